//! The node's configuration file.
//!
//! A wrong file is refused as a whole, before anything is opened, with the line and the reason.
//! Paths in it are relative to the directory it is in.

mod file;
mod template;

use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use comity_core::{keys::KeySettings, messaging::settings::Settings};
use comity_sync::{ConnectionLimits, RecordingConfig};
use ruma_common::OwnedServerName;
use serde::Deserialize;

pub use template::{Template, TlsPaths};

/// A configuration that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Which runtime drives the federation.
    pub runtime: Runtime,
    /// The directory of the databases.
    pub database_directory: PathBuf,
    /// Where and how other servers are served.
    pub federation: Federation,
    /// Where and how clients are served.
    pub client: Client,
    /// Where metrics and the server's health are told, in plain HTTP; nowhere without it.
    pub observe: Option<SocketAddr>,
    /// Where the federation's inputs are recorded, for [`crate::replay`]; nowhere without it.
    pub recording: Option<RecordingConfig>,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log_filter: String,
    /// What lines of the log look like.
    pub log_format: LogFormat,
    /// The directory of the configuration file.
    pub directory: PathBuf,
}

/// See [`Config::federation`].
#[derive(Clone, Debug)]
pub struct Federation {
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The certificate to show; plain HTTP, for a reverse proxy, without one.
    pub tls: Option<TlsPaths>,
    /// What those who connect may take.
    pub connections: ConnectionLimits,
    /// The key that signs our events and requests.
    pub signing_key: PathBuf,
    /// Files with certificate authorities to trust besides the system's.
    pub extra_ca: Vec<PathBuf>,
    /// What we choose of how we take part in rooms.
    pub settings: Settings,
    /// What we choose of our own keys and of getting those of others.
    pub keys: KeySettings,
    /// The name with the port that our page for servers names, if we serve it.
    pub delegates_to: Option<OwnedServerName>,
    /// The servers whose users invite nobody here.
    pub unwelcome: BTreeSet<OwnedServerName>,
}

/// See [`Config::client`].
#[derive(Clone, Debug)]
pub struct Client {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The certificate to show; plain HTTP without one.
    pub tls: Option<TlsPaths>,
    /// The local parts of the users who may look after the server itself.
    pub operators: Vec<String>,
}

/// See [`Config::log_format`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What drives the federation's sockets, store and clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The smol executor.
    #[default]
    Smol,
    /// Plain threads.
    Sync,
}

impl Runtime {
    /// As it is written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smol => "smol",
            Self::Sync => "sync",
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read, or the first thing that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let directory = fs::canonicalize(path).map_err(unreadable)?;
        let directory = directory.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, directory).map_err(|problem| ConfigError::Wrong {
            path: path.to_owned(),
            line: line_of(&text, problem.place.start),
            reason: problem.reason,
        })
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Problem> {
        let file: file::File = toml::from_str(text)?;
        file.check(directory)
    }
}

/// What is wrong with a configuration, and where, in bytes.
#[derive(Debug)]
struct Problem {
    place: Range<usize>,
    reason: String,
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Self {
        Self {
            place: error.span().unwrap_or_default(),
            reason: error.message().to_owned(),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use comity_core::transport::address_guard::PrivateAddresses;

    use super::*;

    fn example() -> String {
        let name = "example.org:8448".try_into().unwrap();
        let tls = TlsPaths {
            certificate: "c.pem".into(),
            private_key: "k.pem".into(),
        };
        Template {
            server_name: name,
            federation_listen: "0.0.0.0:8448".parse().unwrap(),
            client_listen: "127.0.0.1:8008".parse().unwrap(),
            tls,
            extra_ca: vec!["ca \"1\".pem".into()],
        }
        .to_string()
    }

    fn refused(from: &str, to: &str) -> String {
        let text = example();
        assert!(text.contains(from), "{from} is no part of the template");
        let text = text.replacen(from, to, 1);
        let line = 1 + text.lines().position(|line| line.contains(to)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("comity.toml");
        fs::write(&path, &text).unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        let place = format!("{}:{line}: ", path.display());
        let reason = error.strip_prefix(&place);
        reason
            .unwrap_or_else(|| panic!("{error} should start with {place}"))
            .to_owned()
    }

    #[test]
    fn what_init_writes_is_a_good_configuration() {
        let config = Config::parse(&example(), Path::new("/etc/comity")).unwrap();
        assert_eq!(config.server_name, "example.org:8448");
        assert_eq!(config.runtime, Runtime::Smol);
        assert_eq!(config.database_directory, Path::new("/etc/comity/data"));
        assert_eq!(config.federation.listen, ["0.0.0.0:8448".parse().unwrap()]);
        assert_eq!(
            config.federation.tls.unwrap().certificate,
            Path::new("/etc/comity/c.pem")
        );
        assert_eq!(
            config.federation.extra_ca,
            [Path::new("/etc/comity/ca \"1\".pem")]
        );
        assert_eq!(config.client.listen, "127.0.0.1:8008".parse().unwrap());
        assert!(config.client.tls.is_none());
    }

    #[test]
    fn policy_servers_are_heeded_unless_the_file_says_otherwise() {
        let heeded = |text: &str| {
            let config = Config::parse(text, Path::new("/")).unwrap();
            config.federation.settings.policy_servers
        };
        let written = example();
        let line = "policy_servers = true\n";
        assert!(heeded(&written));
        assert!(heeded(&written.replace(line, "")));
        assert!(!heeded(&written.replace(line, "policy_servers = false\n")));
    }

    #[test]
    fn streams_are_served_and_pulled_unless_the_file_says_otherwise() {
        let chosen = |text: &str| {
            let config = Config::parse(text, Path::new("/")).unwrap();
            let settings = config.federation.settings;
            (settings.serve_stream, settings.pull_streams)
        };
        let written = example();
        let (serve, pull) = ("serve_stream = true\n", "pull_streams = true\n");
        assert_eq!(chosen(&written), (true, true));
        assert_eq!(
            chosen(&written.replace(serve, "").replace(pull, "")),
            (true, true)
        );
        let not_served = written.replace(serve, "serve_stream = false\n");
        assert_eq!(chosen(&not_served), (false, true));
        let not_pulled = written.replace(pull, "pull_streams = false\n");
        assert_eq!(chosen(&not_pulled), (true, false));
    }

    #[test]
    fn what_waits_for_silent_servers_can_be_bounded_and_operators_named() {
        let text = example()
            .replace("queue_depth = 10000", "queue_depth = 7")
            .replace("queue_days = 30", "queue_days = 2")
            .replace("operators = []", "operators = [\"olga\"]");
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let queues = config.federation.settings.queues;
        assert_eq!((queues.depth, queues.age.as_secs()), (7, 2 * 24 * 60 * 60));
        assert_eq!(config.client.operators, ["olga"]);
        let config = Config::parse(&example(), Path::new("/")).unwrap();
        assert_eq!(config.federation.settings, Default::default());
    }

    #[test]
    fn a_host_has_a_bound_of_connections_unless_a_proxy_stands_before_us() {
        let chosen = |text: &str| {
            let limits = Config::parse(text, Path::new("/"))
                .unwrap()
                .federation
                .connections;
            (limits.connections, limits.connections_per_host)
        };
        let written = example();
        assert_eq!(chosen(&written), (1024, Some(128)));
        let pair = "certificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
        let proxied = written.replacen(pair, "behind_proxy = true\n", 1);
        assert_eq!(chosen(&proxied), (1024, None));
        let line = "# connections = 1024\n# connections_per_host = 128\n";
        assert!(written.contains(line));
        let small = "connections = 9\nconnections_per_host = 5\n";
        assert_eq!(chosen(&written.replace(line, small)), (9, Some(5)));
        assert_eq!(chosen(&proxied.replace(line, small)), (9, Some(5)));
        let none = "connections_per_host = 0\n";
        assert_eq!(chosen(&written.replace(line, none)), (1024, None));
    }

    #[test]
    fn private_addresses_are_refused_or_allowed_as_the_file_says() {
        let chosen = |text: &str| {
            let config = Config::parse(text, Path::new("/")).unwrap();
            config.federation.settings.private_addresses
        };
        let written = example();
        let line = "# private_addresses = true\n";
        assert_eq!(chosen(&written), PrivateAddresses::IfOursIs);
        let allowed = written.replace(line, "private_addresses = true\n");
        assert_eq!(chosen(&allowed), PrivateAddresses::Allowed);
        let refused = written.replace(line, "private_addresses = false\n");
        assert_eq!(chosen(&refused), PrivateAddresses::Refused);
    }

    #[test]
    fn retired_keys_and_notaries_are_read_and_nonsense_refused() {
        let commented = "# notaries = [\"matrix.org\"]\n";
        let key = "NDcFPlc+pY4lDSFCwZLB2ncpHnuFbKVQLMXWYmEKfa4";
        let line =
            format!("retired_keys = [{{ id = \"ed25519:a\", key = \"{key}\", expired_ts = 7 }}]");
        let text = example().replace(commented, &format!("notaries = [\"n.example\"]\n{line}\n"));
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let KeySettings { retired, notaries } = config.federation.keys;
        assert_eq!(notaries, ["n.example"]);
        assert_eq!(
            (retired[0].key_id.as_str(), retired[0].expired.0),
            ("ed25519:a", 7)
        );
        for (good, bad) in [
            ("n.example", "n example"),
            (key, "AAAA"),
            ("ed25519:a", "rsa:a"),
        ] {
            let problem = Config::parse(&text.replace(good, bad), Path::new("/")).unwrap_err();
            assert!(!problem.reason.is_empty(), "{bad}");
        }
        let config = Config::parse(&example(), Path::new("/")).unwrap();
        assert_eq!(config.federation.keys, KeySettings::default());
    }

    #[test]
    fn servers_may_be_named_whose_invites_are_refused() {
        let written = example();
        let line = "# refuse_invites_from = [\"spam.example\"]\n";
        let chosen = |text: &str| Config::parse(text, Path::new("/")).map(|c| c.federation);
        assert!(chosen(&written).unwrap().unwelcome.is_empty());
        let named = chosen(&written.replace(line, &line[2..])).unwrap();
        let names: Vec<_> = named.unwelcome.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["spam.example"]);
        let wrong = written.replace(line, "refuse_invites_from = [\"no name\"]\n");
        assert!(chosen(&wrong).unwrap_err().reason.contains("server name"));
    }

    #[test]
    fn the_page_for_servers_is_served_if_the_file_says_what_it_names() {
        let written = example();
        let line = "# well_known = \"matrix.example.org:443\"\n";
        let chosen = |text: &str| Config::parse(text, Path::new("/")).map(|c| c.federation);
        assert_eq!(chosen(&written).unwrap().delegates_to, None);
        let named = chosen(&written.replace(line, &line[2..])).unwrap();
        assert_eq!(named.delegates_to.unwrap(), "matrix.example.org:443");
        let wrong = written.replace(line, "well_known = \"no name\"\n");
        assert!(chosen(&wrong).unwrap_err().reason.contains("server name"));
    }

    #[test]
    fn behind_a_proxy_no_certificate_is_needed_and_without_one_it_must_be_said() {
        let text = example()
            .replace("certificate = \"c.pem\"", "behind_proxy = true")
            .replace("private_key = \"k.pem\"", "");
        let config = Config::parse(&text, Path::new("/")).unwrap();
        assert!(config.federation.tls.is_none());
        for neither in ["behind_proxy = true", "behind_proxy = false"] {
            let text = text.replace("behind_proxy = true", neither);
            let text = text.replace("listen = [", "certificate = \"c.pem\"\nlisten = [");
            let problem = Config::parse(&text, Path::new("/")).unwrap_err();
            assert!(
                problem.reason.contains("behind_proxy"),
                "{}",
                problem.reason
            );
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let reason = refused("signing_key =", "singing_key =");
        assert!(reason.contains("unknown field `singing_key`"), "{reason}");
    }

    #[test]
    fn a_wrong_server_name_is_refused_with_its_line() {
        let reason = refused("\"example.org:8448\"", "\"exa mple\"");
        assert!(reason.contains("is no server name"), "{reason}");
    }

    #[test]
    fn a_wrong_address_is_refused_with_its_line() {
        let reason = refused("\"127.0.0.1:8008\"", "\"localhost\"");
        assert!(reason.contains("is no IP address with a port"), "{reason}");
        let reason = refused("[\"0.0.0.0:8448\"]", "[]");
        assert!(reason.contains("at least one address"), "{reason}");
    }

    #[test]
    fn a_wrong_runtime_type_or_filter_is_refused_with_its_line() {
        assert!(refused("runtime = \"smol\"", "runtime = \"tokio\"").contains("unknown variant"));
        assert!(refused("server_name = \"example.org:8448\"", "server_name = 7").contains("type"));
        assert!(refused("filter = \"info\"", "filter = \"=[\"").contains("log filter"));
    }

    #[test]
    fn a_client_certificate_needs_its_key() {
        let reason = refused(
            "# certificate = \"client.pem\"",
            "certificate = \"client.pem\"",
        );
        assert!(reason.contains("private_key"), "{reason}");
    }

    #[test]
    fn broken_toml_is_refused_with_its_line() {
        assert!(!refused("[database]", "[database").is_empty());
    }
}
