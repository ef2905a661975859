//! The file as it is written, and what is checked of each value.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use comity_core::{
    WallTime,
    keys::{KeySettings, RetiredKey},
    messaging::settings::{QueueLimits, Settings},
    pdu::unpadded_base64,
    transport::address_guard::PrivateAddresses,
};
use comity_sync::{ConnectionLimits, RecordingConfig};
use ruma_common::{OwnedServerName, ServerName};
use serde::Deserialize;
use toml::Spanned;
use tracing_subscriber::EnvFilter;

use super::{Client, Config, Federation, LogFormat, Problem, Runtime, TlsPaths};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    server_name: Spanned<String>,
    #[serde(default)]
    runtime: Runtime,
    database: DatabaseSection,
    federation: FederationSection,
    client: ClientSection,
    observe: Option<ObserveSection>,
    recording: Option<RecordingSection>,
    log: LogSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseSection {
    directory: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FederationSection {
    listen: Spanned<Vec<Spanned<String>>>,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    #[serde(default)]
    behind_proxy: bool,
    signing_key: PathBuf,
    #[serde(default)]
    extra_ca: Vec<PathBuf>,
    policy_servers: Option<bool>,
    serve_stream: Option<bool>,
    pull_streams: Option<bool>,
    join_in_part: Option<bool>,
    queue_depth: Option<u32>,
    queue_days: Option<u32>,
    private_addresses: Option<bool>,
    connections: Option<usize>,
    connections_per_host: Option<usize>,
    #[serde(default)]
    retired_keys: Vec<Spanned<RetiredKeyEntry>>,
    #[serde(default)]
    notaries: Vec<Spanned<String>>,
    well_known: Option<Spanned<String>>,
    #[serde(default)]
    refuse_invites_from: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredKeyEntry {
    id: String,
    key: String,
    expired_ts: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientSection {
    listen: Spanned<String>,
    certificate: Option<Spanned<PathBuf>>,
    private_key: Option<Spanned<PathBuf>>,
    #[serde(default)]
    operators: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObserveSection {
    listen: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingSection {
    file: PathBuf,
    megabytes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogSection {
    filter: Spanned<String>,
    #[serde(default)]
    format: LogFormat,
}

impl File {
    pub(super) fn check(self, directory: &Path) -> Result<Config, Problem> {
        Ok(Config {
            server_name: server_name(&self.server_name)?,
            runtime: self.runtime,
            database_directory: directory.join(self.database.directory),
            federation: self.federation.check(directory)?,
            client: self.client.check(directory)?,
            observe: self
                .observe
                .map(|observe| address(&observe.listen))
                .transpose()?,
            recording: self.recording.map(|recording| RecordingConfig {
                file: directory.join(recording.file),
                limit: u64::from(recording.megabytes) * 1_000_000,
            }),
            log_filter: log_filter(self.log.filter)?,
            log_format: self.log.format,
            directory: directory.to_owned(),
        })
    }
}

impl FederationSection {
    fn check(self, directory: &Path) -> Result<Federation, Problem> {
        if self.listen.get_ref().is_empty() {
            return Err(wrong(
                &self.listen,
                "there must be at least one address to listen on",
            ));
        }
        let connections = self.connections();
        let tls = match (self.certificate, self.private_key, self.behind_proxy) {
            (Some(certificate), Some(private_key), false) => Some(
                TlsPaths {
                    certificate,
                    private_key,
                }
                .relative_to(directory),
            ),
            (None, None, true) => None,
            _ => {
                return Err(wrong(
                    &self.listen,
                    "there must be certificate and private_key, or behind_proxy = true",
                ));
            }
        };
        let defaults = Settings::default();
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let queues = QueueLimits {
            depth: self.queue_depth.unwrap_or(defaults.queues.depth),
            age: self.queue_days.map_or(defaults.queues.age, days),
        };
        let settings = Settings {
            policy_servers: self.policy_servers.unwrap_or(defaults.policy_servers),
            serve_stream: self.serve_stream.unwrap_or(defaults.serve_stream),
            pull_streams: self.pull_streams.unwrap_or(defaults.pull_streams),
            join_in_part: self.join_in_part.unwrap_or(defaults.join_in_part),
            queues,
            private_addresses: private_addresses(self.private_addresses),
            ..defaults
        };
        let keys = KeySettings {
            retired: self
                .retired_keys
                .iter()
                .map(retired_key)
                .collect::<Result<_, _>>()?,
            notaries: self
                .notaries
                .iter()
                .map(server_name)
                .collect::<Result<_, _>>()?,
        };
        Ok(Federation {
            settings,
            keys,
            unwelcome: self
                .refuse_invites_from
                .iter()
                .map(server_name)
                .collect::<Result<_, _>>()?,
            delegates_to: self.well_known.as_ref().map(server_name).transpose()?,
            listen: self
                .listen
                .get_ref()
                .iter()
                .map(address)
                .collect::<Result<_, _>>()?,
            tls,
            connections,
            signing_key: directory.join(self.signing_key),
            extra_ca: self
                .extra_ca
                .iter()
                .map(|path| directory.join(path))
                .collect(),
        })
    }
}

impl FederationSection {
    fn connections(&self) -> ConnectionLimits {
        let usual = match self.behind_proxy {
            true => ConnectionLimits::behind_proxy(),
            false => ConnectionLimits::default(),
        };
        let per_host = match self.connections_per_host {
            None => usual.connections_per_host,
            Some(0) => None,
            Some(most) => Some(most),
        };
        ConnectionLimits {
            connections: self.connections.unwrap_or(usual.connections),
            connections_per_host: per_host,
            ..usual
        }
    }
}

impl ClientSection {
    fn check(self, directory: &Path) -> Result<Client, Problem> {
        let listen = address(&self.listen)?;
        let tls = match (self.certificate, self.private_key) {
            (None, None) => None,
            (Some(certificate), Some(private_key)) => Some(
                TlsPaths {
                    certificate: certificate.into_inner(),
                    private_key: private_key.into_inner(),
                }
                .relative_to(directory),
            ),
            (Some(lonely), None) => return Err(wrong(&lonely, "certificate without private_key")),
            (None, Some(lonely)) => return Err(wrong(&lonely, "private_key without certificate")),
        };
        Ok(Client {
            listen,
            tls,
            operators: self.operators,
        })
    }
}

fn retired_key(entry: &Spanned<RetiredKeyEntry>) -> Result<RetiredKey, Problem> {
    let RetiredKeyEntry {
        id,
        key,
        expired_ts,
    } = entry.get_ref();
    if !id.starts_with("ed25519:") {
        return Err(wrong(entry, format!("{id:?} is no id of an ed25519 key")));
    }
    let public = unpadded_base64::decode(key).and_then(|public| public.try_into().ok());
    Ok(RetiredKey {
        key_id: id.clone(),
        public: public.ok_or_else(|| wrong(entry, format!("{key:?} is no public key")))?,
        expired: WallTime(*expired_ts),
    })
}

fn private_addresses(allowed: Option<bool>) -> PrivateAddresses {
    match allowed {
        None => PrivateAddresses::IfOursIs,
        Some(true) => PrivateAddresses::Allowed,
        Some(false) => PrivateAddresses::Refused,
    }
}

fn server_name(name: &Spanned<String>) -> Result<OwnedServerName, Problem> {
    let parsed = ServerName::parse(name.get_ref());
    parsed.map_err(|_| wrong(name, format!("{:?} is no server name", name.get_ref())))
}

fn address(text: &Spanned<String>) -> Result<SocketAddr, Problem> {
    let no_address = |_| {
        wrong(
            text,
            format!("{:?} is no IP address with a port", text.get_ref()),
        )
    };
    text.get_ref().parse().map_err(no_address)
}

fn log_filter(filter: Spanned<String>) -> Result<String, Problem> {
    match EnvFilter::try_new(filter.get_ref()) {
        Ok(_) => Ok(filter.into_inner()),
        Err(error) => Err(wrong(&filter, format!("the log filter is wrong: {error}"))),
    }
}

fn wrong<T>(value: &Spanned<T>, reason: impl Into<String>) -> Problem {
    Problem {
        place: value.span(),
        reason: reason.into(),
    }
}
