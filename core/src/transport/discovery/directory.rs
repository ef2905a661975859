//! Where servers are, as far as it was found out lately.

use std::time::Duration;

use ruma_common::{OwnedServerName, ServerName};

use super::{Discovered, DiscoveryError, well_known::Delegation};
use crate::{
    engine::cache::Cache, messaging::status::Lookups, time::Monotonic,
    transport::server_address::ServerAddress,
};

/// Of how many servers and hosts something is remembered.
const SERVERS_KEPT: usize = 20_000;

/// How long it is believed at least and at most where a server is, whatever its records say.
const BELIEVED_MIN: Duration = Duration::from_secs(30);
pub(super) const BELIEVED_MAX: Duration = Duration::from_secs(60 * 60);

/// How long a server that was not found is not looked for again: the first time, and at most.
const NOT_FOUND_MIN: Duration = Duration::from_secs(15);
const NOT_FOUND_MAX: Duration = Duration::from_secs(60 * 60);

/// How long an old address is used while names cannot be looked up, and how soon that is tried
/// again.
const STALE_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const STALE_RETRY: Duration = Duration::from_secs(60);

/// Where to send what is for a server, or why it is not known.
pub type Route = Result<ServerAddress, DiscoveryError>;

/// What is remembered of servers' whereabouts, bounded, found or not.
#[derive(Debug)]
pub struct Directory {
    servers: Cache<OwnedServerName, Known>,
    delegations: Cache<String, Delegation>,
    /// How often all failures were doubted. Those noted before the last time count no more.
    doubts: u64,
}

#[derive(Clone, Debug)]
struct Known {
    route: Route,
    doubts: u64,
    fresh_until: Monotonic,
    /// The last address that was found, and when.
    found: Option<(ServerAddress, Monotonic)>,
    /// How often in a row the server was not found.
    failures: u32,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            servers: Cache::new(SERVERS_KEPT),
            delegations: Cache::new(SERVERS_KEPT),
            doubts: 0,
        }
    }
}

impl Directory {
    /// Where a server is; `None` if that has to be found out.
    #[must_use]
    pub fn route(&self, server: &ServerName, now: Monotonic) -> Option<&Route> {
        let known = self.servers.get(server)?;
        let counts = known.route.is_ok() || known.doubts == self.doubts;
        (now < known.fresh_until && counts).then_some(&known.route)
    }

    /// What is believed of a host's delegation, fresh or not.
    #[must_use]
    pub(super) fn delegation(&self, host: &str) -> Option<&Delegation> {
        self.delegations.get(host)
    }

    /// Of how many servers something is remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.servers.count()
    }

    /// How often it was asked where a server is.
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        self.servers.lookups()
    }

    /// Notes what was found out.
    pub fn note(&mut self, discovered: Discovered, now: Monotonic) {
        let Discovered {
            server,
            route,
            good_for,
            delegation,
        } = discovered;
        if let Some((host, delegation)) = delegation {
            self.delegations.insert(host, delegation);
        }
        let known = match route {
            Ok(address) => Known {
                route: Ok(address.clone()),
                doubts: self.doubts,
                fresh_until: now.plus(good_for.clamp(BELIEVED_MIN, BELIEVED_MAX)),
                found: Some((address, now)),
                failures: 0,
            },
            Err(error) => Known {
                doubts: self.doubts,
                ..Known::not_found(error, self.servers.get(&server), now)
            },
        };
        self.servers.insert(server, known);
    }

    /// Looks for this server again, should it not have been found.
    pub fn doubt(&mut self, server: &ServerName, now: Monotonic) {
        let failed = self
            .servers
            .get(server)
            .filter(|known| known.route.is_err());
        if let Some(known) = failed.cloned() {
            let known = Known {
                fresh_until: now,
                ..known
            };
            self.servers.insert(server.to_owned(), known);
        }
    }

    /// Looks for every server again that was not found.
    pub fn doubt_all(&mut self) {
        self.doubts += 1;
    }
}

impl Known {
    fn not_found(error: DiscoveryError, before: Option<&Self>, now: Monotonic) -> Self {
        let found = before.and_then(|known| known.found.clone());
        let failures = before.map_or(0, |known| known.failures);
        let pause = (NOT_FOUND_MIN * 2u32.pow(failures.min(8))).min(NOT_FOUND_MAX);
        let is_young = |(_, since): &&(ServerAddress, Monotonic)| now.since(*since) < STALE_FOR;
        let stale = found.as_ref().filter(|_| error.is_temporary());
        let (route, pause) = match stale.filter(is_young) {
            Some((address, _)) => (Ok(address.clone()), STALE_RETRY),
            None => (Err(error), pause),
        };
        Self {
            route,
            doubts: 0,
            fresh_until: now.plus(pause),
            found,
            failures: failures.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::transport::server_address::Host;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn name(server: &str) -> &ServerName {
        server.try_into().unwrap()
    }

    fn address() -> ServerAddress {
        ServerAddress {
            addresses: vec![SocketAddr::from(([1, 2, 3, 4], 8448))],
            tls_name: Host::Name("a.example".to_owned()),
            host_header: "a.example".to_owned(),
        }
    }

    fn discovered(server: &str, route: Route, good_for: u64) -> Discovered {
        Discovered {
            server: name(server).to_owned(),
            route,
            good_for: Duration::from_secs(good_for),
            delegation: None,
        }
    }

    fn unresolved() -> DiscoveryError {
        DiscoveryError::NotResolved("a.example".to_owned(), "no answer".to_owned())
    }

    fn is_found(directory: &Directory, server: &str, seconds: u64) -> Option<bool> {
        let route = directory.route(name(server), at(seconds));
        route.map(Result::is_ok)
    }

    #[test]
    fn disc_8_an_address_is_believed_for_as_long_as_its_records_live() {
        let mut directory = Directory::default();
        directory.note(discovered("a.example", Ok(address()), 300), at(0));
        assert_eq!(is_found(&directory, "a.example", 299), Some(true));
        assert_eq!(is_found(&directory, "a.example", 300), None);
        directory.note(discovered("a.example", Ok(address()), 0), at(0));
        assert_eq!(is_found(&directory, "a.example", 29), Some(true));
        directory.note(discovered("a.example", Ok(address()), 1_000_000), at(0));
        assert_eq!(is_found(&directory, "a.example", HOUR), None);
    }

    #[test]
    fn disc_5_a_server_that_is_not_found_is_looked_for_ever_less_often() {
        let mut directory = Directory::default();
        let mut pauses = Vec::new();
        let mut now = 0;
        for _ in 0..10 {
            directory.note(discovered("a.example", Err(unresolved()), 0), at(now));
            let ends = (now..).find(|second| is_found(&directory, "a.example", *second).is_none());
            pauses.push(ends.unwrap() - now);
            now = ends.unwrap();
        }
        assert_eq!(pauses[..3], [15, 30, 60]);
        assert_eq!(pauses.last(), Some(&HOUR));
    }

    #[test]
    fn disc_8_an_old_address_serves_while_names_cannot_be_looked_up() {
        let mut directory = Directory::default();
        directory.note(discovered("a.example", Ok(address()), 60), at(0));
        directory.note(discovered("a.example", Err(unresolved()), 0), at(60));
        assert_eq!(is_found(&directory, "a.example", 60), Some(true));
        assert_eq!(is_found(&directory, "a.example", 120), None);
        directory.note(discovered("a.example", Err(unresolved()), 0), at(25 * HOUR));
        assert_eq!(is_found(&directory, "a.example", 25 * HOUR), Some(false));
    }

    #[test]
    fn disc_8_an_old_address_does_not_serve_once_the_name_is_known_to_be_gone() {
        let mut directory = Directory::default();
        let gone = DiscoveryError::NoAddress("a.example".to_owned());
        directory.note(discovered("a.example", Ok(address()), 60), at(0));
        directory.note(discovered("a.example", Err(gone), 0), at(60));
        assert_eq!(is_found(&directory, "a.example", 60), Some(false));
    }

    #[test]
    fn a_doubted_server_is_looked_for_at_once_if_it_was_not_found() {
        let mut directory = Directory::default();
        directory.note(discovered("a.example", Err(unresolved()), 0), at(0));
        directory.note(discovered("b.example", Ok(address()), 60), at(0));
        directory.note(discovered("c.example", Err(unresolved()), 0), at(0));
        directory.doubt(name("a.example"), at(1));
        directory.doubt(name("b.example"), at(1));
        assert_eq!(is_found(&directory, "a.example", 1), None);
        assert_eq!(is_found(&directory, "b.example", 1), Some(true));
        assert_eq!(is_found(&directory, "c.example", 1), Some(false));
        directory.doubt_all();
        assert_eq!(is_found(&directory, "b.example", 1), Some(true));
        assert_eq!(is_found(&directory, "c.example", 1), None);
        directory.note(discovered("c.example", Err(unresolved()), 0), at(1));
        assert_eq!(is_found(&directory, "c.example", 1), Some(false));
    }
}
