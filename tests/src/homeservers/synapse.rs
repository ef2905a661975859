//! Synapse as a peer: one process, SQLite, TLS, all limits that would slow a test down raised.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::authority::{Authority, Identity};
use super::client::{Client, Door};
use super::failure::Failure;
use super::homeserver::{Homeserver, Ports};
use super::process::{Process, make_directory};

/// A Synapse in a directory of its own.
pub struct Synapse {
    label: String,
    server_name: String,
    door: Door,
    python: PathBuf,
    configuration: PathBuf,
    process: Process,
}

impl Synapse {
    /// Writes its configuration below `parent`; it does not run yet. `host` is the name or address
    /// of loopback that its server name begins with.
    pub fn prepare(
        label: &str,
        host: &str,
        ports: Ports,
        python: &Path,
        parent: &Path,
        authority: &Authority,
    ) -> Result<Self, Failure> {
        let directory = make_directory(parent, label)?;
        let identity = authority.identity(&directory)?;
        let server_name = format!("{host}:{}", ports.named);
        let settings = settings(
            &server_name,
            ports.listening,
            &directory,
            &identity,
            authority,
        );
        let configuration = directory.join("homeserver.yaml");
        // Every JSON document is a YAML document.
        write_json(&configuration, &settings)?;
        write_json(&directory.join("log.yaml"), &log_settings())?;
        Ok(Self {
            label: label.to_owned(),
            door: Door::new(
                format!("https://{host}:{}", ports.listening),
                authority.roots(),
            ),
            server_name,
            python: python.to_owned(),
            configuration,
            process: Process::new(directory.join("output.log")),
        })
    }
}

impl Homeserver for Synapse {
    fn label(&self) -> &str {
        &self.label
    }

    fn server_name(&self) -> &str {
        &self.server_name
    }

    fn door(&self) -> &Door {
        &self.door
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn launch(&self) -> Result<(), Failure> {
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "synapse.app.homeserver", "-c"])
            .arg(&self.configuration);
        self.process.start(command)
    }

    fn go_down(&self) -> Result<(), Failure> {
        self.process.stop()
    }

    fn register(&self, localpart: &str) -> Result<Client, Failure> {
        self.door.register(localpart, "not needed")
    }

    fn sign_up(&self, localpart: &str, password: &str) -> Result<(), Failure> {
        self.door.register(localpart, password).map(drop)
    }
}

fn settings(
    server_name: &str,
    port: u16,
    directory: &Path,
    identity: &Identity,
    authority: &Authority,
) -> Value {
    let mut settings = json!({
        "server_name": server_name,
        "listeners": [{
            "port": port,
            "type": "http",
            "tls": true,
            "bind_addresses": ["127.0.0.1"],
            "resources": [{"names": ["client", "federation"], "compress": false}],
        }],
        "tls_certificate_path": identity.certificate,
        "tls_private_key_path": identity.private_key,
        "pid_file": directory.join("homeserver.pid"),
        "media_store_path": directory.join("media"),
        "signing_key_path": directory.join("signing.key"),
        "log_config": directory.join("log.yaml"),
        "database": {"name": "sqlite3", "args": {"database": directory.join("homeserver.db")}},
        "macaroon_secret_key": "interop",
        "form_secret": "interop",
        "report_stats": false,
        "enable_registration": true,
        "allow_public_rooms_over_federation": true,
        "room_list_publication_rules": [{"action": "allow"}],
        "enable_registration_without_verification": true,
    });
    for part in [trust(authority), haste(), generosity()] {
        if let (Value::Object(settings), Value::Object(part)) = (&mut settings, part) {
            settings.extend(part);
        }
    }
    settings
}

/// Loopback is allowed, and only our own authority vouches.
fn trust(authority: &Authority) -> Value {
    json!({
        "federation_verify_certificates": true,
        "federation_custom_ca_list": [authority.certificate_path()],
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
    })
}

/// A peer that was down is tried again at once, not after ten minutes. Times are milliseconds.
fn haste() -> Value {
    json!({"federation": {
        "client_timeout": 20_000,
        "max_short_retries": 1,
        "max_short_retry_delay": 500,
        "max_long_retries": 1,
        "max_long_retry_delay": 500,
        "destination_min_retry_interval": 500,
        "destination_max_retry_interval": 2_000,
        "destination_retry_multiplier": 2,
    }})
}

/// Rate limits far above what the suite does.
fn generosity() -> Value {
    let plenty = json!({"per_second": 10_000, "burst_count": 10_000});
    json!({
        "rc_message": plenty,
        "rc_registration": plenty,
        "rc_admin_redaction": plenty,
        "rc_joins": {"local": plenty, "remote": plenty},
        "rc_joins_per_room": plenty,
        "rc_invites": {"per_room": plenty, "per_user": plenty, "per_issuer": plenty},
        "rc_login": {"address": plenty, "account": plenty, "failed_attempts": plenty},
        "rc_room_creation": plenty,
        "rc_profile": plenty,
        "rc_federation": {
            "window_size": 1000,
            "sleep_limit": 10_000,
            "sleep_delay": 1,
            "reject_limit": 10_000,
            "concurrent": 100,
        },
        "limit_remote_rooms": {"enabled": false},
    })
}

fn log_settings() -> Value {
    json!({
        "version": 1,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            "synapse.metrics": {"level": "WARNING"},
            "synapse.storage": {"level": "WARNING"},
            "synapse.util": {"level": "WARNING"},
        },
        "disable_existing_loggers": false,
    })
}

fn write_json(path: &Path, content: &Value) -> Result<(), Failure> {
    fs::write(path, content.to_string())
        .map_err(Failure::while_doing(format!("writing {}", path.display())))
}
