//! From a server's name to where and as whom it is contacted
//! (server-server API, "Resolving server names").
//!
//! **Contract.** A request that leaves the engine names a server. If the [`Directory`] does not
//! know where that is, the request waits for a [`DiscoverServer`] job, which asks for names and
//! pages as any decision asks for facts, and so is a pure function of what it was told. What it
//! comes to is remembered, found or not, in bounded room and time.
//!
//! **Invariants.**
//! - The first case of the specification's table that matches decides (DISC-1). A page delegates
//!   once: the delegate's own page is not looked at (DISC-4).
//! - A service record says where to connect to, never whom the certificate is for (DISC-7).
//! - Every address in a [`ServerAddress`], and every address that a page is fetched from, has
//!   passed the guard ([`address_guard`](super::address_guard)). Runtimes connect to no other and
//!   resolve nothing themselves (DISC-13).
//! - Delegation changes the connection only: what is signed, and who is checked, keeps the name
//!   that was looked for (DISC-11).

pub mod directory;
mod http_date;
mod services;
pub mod well_known;

use core::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use ruma_common::OwnedServerName;

use self::{
    directory::{BELIEVED_MAX, Route},
    well_known::{Answer, Delegation, Place},
};
use super::{
    names::{Found, Lookup, Records, Service},
    server_address::{DEFAULT_PORT, Host, InvalidServerName, ServerAddress, parse_server_name},
};
use crate::engine::{
    facts::{Blocked, Facts},
    outcome::Outcome,
    registry::Identity,
    stop::Stop,
};

pub use self::directory::Directory;

/// The services that servers offer; the second is the name of old.
const SERVICES: [&str; 2] = ["_matrix-fed._tcp", "_matrix._tcp"];

/// How many redirections of a page are followed.
const REDIRECTIONS_MAX: usize = 5;

/// How many addresses of one server are tried.
const ADDRESSES_MAX: usize = 16;

/// After so long a time no further page is fetched.
const PATIENCE: Duration = Duration::from_secs(30);

/// Finds out where a server is.
#[derive(Clone, Debug)]
pub struct DiscoverServer {
    /// Which.
    pub server: OwnedServerName,
}

/// What became known of a server's whereabouts.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// The server.
    pub server: OwnedServerName,
    /// Where it is, or why that is not known.
    pub route: Route,
    /// For how long that holds, as the records say that led there.
    pub good_for: Duration,
    /// A host whose delegation was asked for, and what is believed of it now.
    pub delegation: Option<(String, Delegation)>,
}

/// Why it is not known where a server is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The name is none.
    #[error("the server name is malformed: {0}")]
    Invalid(#[from] InvalidServerName),
    /// A name could not be looked up; another time it may be.
    #[error("cannot look up {0}: {1}")]
    NotResolved(String, String),
    /// There is no such name, or it has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// We do not connect to where it is.
    #[error("{0} is at an address that is not public")]
    NotPublic(String),
    /// Its records say that it does not take part in federation.
    #[error("{0} offers no federation")]
    NotOffered(String),
    /// It took too many steps to find out.
    #[error("it cannot be found out")]
    GivenUp,
}

impl DiscoveryError {
    /// Whether it tells of our means rather than of the server.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotResolved(..) | Self::GivenUp => true,
            Self::Invalid(_) | Self::NoAddress(_) | Self::NotPublic(_) | Self::NotOffered(_) => {
                false
            }
        }
    }
}

impl DiscoverServer {
    /// What no two of these jobs do at once.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Discovery(self.server.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let mut search = Search {
            facts,
            good_for: BELIEVED_MAX,
            delegation: None,
        };
        let route = match search.server(self.server.as_str()) {
            Ok(address) => Ok(address),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Blocked) => return Err(Blocked),
        };
        let discovered = Discovered {
            server: self.server.clone(),
            route,
            good_for: search.good_for,
            delegation: search.delegation,
        };
        Ok(Outcome {
            discovered: Some(discovered),
            ..Outcome::default()
        })
    }
}

/// The text of the page at an HTTPS URL; `None` if it cannot be had. Redirections are not followed.
///
/// The URL may be anybody's choice: it leads to no address to which we would not connect for a
/// server's sake.
pub fn page_at<'f>(url: &str, facts: &Facts<'f>) -> Result<Option<&'f Bytes>, Blocked> {
    let Some(place) = Place::at(url) else {
        return Ok(None);
    };
    let mut search = Search {
        facts,
        good_for: BELIEVED_MAX,
        delegation: None,
    };
    let addresses = match search.addresses(&place.host) {
        Ok(addresses) => at_port(&addresses, place.port),
        Err(Stop::Refused(_)) => return Ok(None),
        Err(Stop::Blocked) => return Err(Blocked),
    };
    let address = ServerAddress {
        addresses,
        tls_name: place.host.clone(),
        host_header: place.host_header(),
    };
    let page = facts.page(address, place.target)?;
    Ok(page.as_ref().ok().and_then(|page| page.text()))
}

/// One way through the specification's table.
struct Search<'s, 'f> {
    facts: &'s Facts<'f>,
    good_for: Duration,
    delegation: Option<(String, Delegation)>,
}

type Step<T> = Result<T, Stop<DiscoveryError>>;

impl From<DiscoveryError> for Stop<DiscoveryError> {
    fn from(error: DiscoveryError) -> Self {
        Self::Refused(error)
    }
}

impl Search<'_, '_> {
    /// All cases: by the name alone, by its delegate, by its services, by its own address.
    fn server(&mut self, server: &str) -> Step<ServerAddress> {
        let (host, port) = parse_server_name(server).map_err(DiscoveryError::from)?;
        let (Host::Name(name), None) = (&host, port) else {
            return self.host(host, port, server);
        };
        match self.delegate(name)? {
            Some(delegate) => self.delegated(&delegate),
            None => self.offered(name),
        }
    }

    /// Case 3.
    fn delegated(&mut self, delegate: &str) -> Step<ServerAddress> {
        match parse_server_name(delegate).map_err(DiscoveryError::from)? {
            (Host::Name(name), None) => self.offered(&name),
            (host, port) => self.host(host, port, delegate),
        }
    }

    /// Cases 1, 2, 3.1, 3.2, 3.5 and 6: a host with the addresses that it has.
    fn host(&mut self, host: Host, port: Option<u16>, host_header: &str) -> Step<ServerAddress> {
        let addresses = self.addresses(&host)?;
        let port = port.unwrap_or(DEFAULT_PORT);
        Ok(ServerAddress {
            addresses: at_port(&addresses, port),
            tls_name: host,
            host_header: host_header.to_owned(),
        })
    }

    /// Cases 3.3, 3.4, 4 and 5: a host whose records say who serves for it; else the host itself.
    fn offered(&mut self, name: &str) -> Step<ServerAddress> {
        let ask = |service: &&str| {
            self.facts
                .look_up(Lookup::Services(format!("{service}.{name}")))
        };
        let asked: Vec<_> = SERVICES.iter().map(ask).collect();
        for found in asked {
            let found = found?.as_ref();
            let found = found
                .map_err(|error| DiscoveryError::NotResolved(name.to_owned(), error.to_string()))?;
            self.good_for = self.good_for.min(found.good_for);
            if let Records::Services(services) = &found.records
                && !services.is_empty()
            {
                return self.through(services, name);
            }
        }
        self.host(Host::Name(name.to_owned()), None, name)
    }

    fn through(&mut self, services: &[Service], name: &str) -> Step<ServerAddress> {
        if services.iter().all(|service| service.target.is_empty()) {
            return Err(DiscoveryError::NotOffered(name.to_owned()).into());
        }
        let services = services::in_order(services, &self.facts.lot(name));
        let targets = services.iter().map(|service| {
            let found = self.addresses(&Host::Name(service.target.clone()));
            (service.port, found)
        });
        let targets: Vec<_> = targets.collect();
        let mut addresses = Vec::new();
        let mut failure = DiscoveryError::NoAddress(name.to_owned());
        for (port, found) in targets {
            match found {
                Ok(found) => addresses.extend(at_port(&found, port)),
                Err(Stop::Refused(error)) => failure = error,
                Err(Stop::Blocked) => return Err(Stop::Blocked),
            }
        }
        if addresses.is_empty() {
            return Err(failure.into());
        }
        addresses.truncate(ADDRESSES_MAX);
        Ok(ServerAddress {
            addresses,
            tls_name: Host::Name(name.to_owned()),
            host_header: name.to_owned(),
        })
    }

    /// To whom a host delegates, by what is believed or by asking it.
    fn delegate(&mut self, name: &str) -> Step<Option<String>> {
        let now = self.facts.now().monotonic;
        let known = self.facts.directory().delegation(name);
        let fresh = known.filter(|known| !known.fresh_for(now).is_zero());
        let delegation = match fresh {
            Some(known) => known.clone(),
            None => {
                let answer = self.ask_for_delegate(name)?;
                let delegation = Delegation::after(known, answer, now, self.lot(name));
                self.delegation = Some((name.to_owned(), delegation.clone()));
                delegation
            }
        };
        self.good_for = self.good_for.min(delegation.fresh_for(now));
        Ok(delegation.to)
    }

    fn ask_for_delegate(&mut self, name: &str) -> Step<Answer> {
        let mut place = Place::of(name);
        for _ in 0..=REDIRECTIONS_MAX {
            let addresses = match self.addresses(&place.host) {
                Ok(addresses) => at_port(&addresses, place.port),
                Err(Stop::Refused(error)) if error.is_temporary() => return Ok(Answer::Failed),
                Err(Stop::Refused(_)) => return Ok(Answer::Absent),
                Err(Stop::Blocked) => return Err(Stop::Blocked),
            };
            let address = ServerAddress {
                addresses,
                tls_name: place.host.clone(),
                host_header: place.host_header(),
            };
            let Ok(page) = self.facts.page(address, place.target.clone())? else {
                return Ok(Answer::Failed);
            };
            match page.read(&place, self.facts.now().wall) {
                Answer::Moved(next) if self.is_patient() => place = next,
                answer => return Ok(answer),
            }
        }
        Ok(Answer::Absent)
    }

    fn lot(&self, name: &str) -> u8 {
        let lot = self.facts.lot(&format!("delegation of {name}"));
        lot.first().copied().unwrap_or_default()
    }

    fn is_patient(&self) -> bool {
        let begun = self.facts.begun().monotonic;
        self.facts.now().monotonic.since(begun) < PATIENCE
    }

    /// The addresses of a host that we may connect to.
    fn addresses(&mut self, host: &Host) -> Step<Vec<IpAddr>> {
        let (found, name) = match host {
            Host::Ip(address) => (vec![*address], address.to_string()),
            Host::Name(name) => (self.resolve(name)?, name.clone()),
        };
        if found.is_empty() {
            return Err(DiscoveryError::NoAddress(name).into());
        }
        let mut allowed = found;
        allowed.retain(|address| self.facts.may_connect_to(*address));
        allowed.truncate(ADDRESSES_MAX);
        if allowed.is_empty() {
            return Err(DiscoveryError::NotPublic(name).into());
        }
        Ok(allowed)
    }

    fn resolve(&mut self, name: &str) -> Step<Vec<IpAddr>> {
        match self.facts.look_up(Lookup::Addresses(name.to_owned()))? {
            Ok(Found {
                records: Records::Addresses(addresses),
                good_for,
            }) => {
                self.good_for = self.good_for.min(*good_for);
                Ok(addresses.clone())
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                Err(DiscoveryError::NotResolved(name.to_owned(), error.to_string()).into())
            }
        }
    }
}

fn at_port(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    addresses
        .iter()
        .map(|address| SocketAddr::new(*address, port))
        .collect()
}
