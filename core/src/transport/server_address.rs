//! Where and as whom a server is contacted, and the grammar of server names
//! (appendices, "Server Name").

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of a server whose name gives none.
pub const DEFAULT_PORT: u16 = 8448;

/// Characters of a hostname, at most.
const HOSTNAME_MAX: usize = 255;

/// Whom to connect to, and what to say about it; what [`discovery`](super::discovery) comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress {
    /// Where to connect to, the most promising first. Each was found acceptable: nothing else that
    /// the name may stand for by now is to be tried.
    pub addresses: Vec<SocketAddr>,
    /// Whom the certificate must be for. A name is also sent as SNI, an address is not.
    pub tls_name: Host,
    /// The `Host` header of requests.
    pub host_header: String,
}

/// An address or a name to be resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A DNS name.
    Name(String),
}

/// A name that breaks the grammar of server names (appendices, "Server Name").
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerName {
    /// The hostname is empty, too long, or has characters that do not belong there.
    #[error("malformed hostname")]
    Hostname,
    /// What stands in brackets is no IPv6 address.
    #[error("malformed IPv6 address")]
    Ipv6,
    /// Not 1 to 5 digits for a number from 1 to 65535.
    #[error("malformed port")]
    Port,
    /// A hostname that ends like a number. The DNS has no such names, but many resolvers would
    /// read an address of the sender's choice into it.
    #[error("the hostname looks like an address but is none")]
    Numeric,
}

impl ServerAddress {
    /// Whether one connection can serve both: the same place, and the same certificate.
    #[must_use]
    pub fn shares_connections_with(&self, other: &Self) -> bool {
        let mut ours = self.addresses.iter();
        self.tls_name == other.tls_name && ours.any(|address| other.addresses.contains(address))
    }
}

/// Takes a server name apart, holding it to the grammar of the specification.
pub fn parse_server_name(name: &str) -> Result<(Host, Option<u16>), InvalidServerName> {
    if let Some(bracketed) = name.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(InvalidServerName::Ipv6)?;
        let address: Ipv6Addr = address.parse().map_err(|_| InvalidServerName::Ipv6)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(InvalidServerName::Port),
        };
        return Ok((Host::Ip(address.into()), port));
    }
    match name.split_once(':') {
        Some((hostname, port)) => Ok((parse_hostname(hostname)?, Some(parse_port(port)?))),
        None => Ok((parse_hostname(name)?, None)),
    }
}

fn parse_hostname(hostname: &str) -> Result<Host, InvalidServerName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if hostname.is_empty() || hostname.len() > HOSTNAME_MAX || !hostname.bytes().all(allowed) {
        return Err(InvalidServerName::Hostname);
    }
    if let Ok(address) = hostname.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(address.into()));
    }
    if ends_like_a_number(hostname) {
        return Err(InvalidServerName::Numeric);
    }
    Ok(Host::Name(hostname.to_owned()))
}

/// Whether a resolver of the old kind might take the name for an address: `127.1`, `0x7f.0.0.1`.
fn ends_like_a_number(hostname: &str) -> bool {
    let absolute = hostname.strip_suffix('.').unwrap_or(hostname);
    let last = absolute
        .rsplit('.')
        .next()
        .unwrap_or(absolute)
        .to_ascii_lowercase();
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn parse_port(port: &str) -> Result<u16, InvalidServerName> {
    if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidServerName::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(InvalidServerName::Port),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LIMIT-9.
    #[test]
    fn id_1_anything_else_is_refused() {
        let long = "a".repeat(256);
        let table = [
            ("", InvalidServerName::Hostname),
            (":8448", InvalidServerName::Hostname),
            ("a_b", InvalidServerName::Hostname),
            ("a/b", InvalidServerName::Hostname),
            ("é.example", InvalidServerName::Hostname),
            (long.as_str(), InvalidServerName::Hostname),
            ("a.example:", InvalidServerName::Port),
            ("a.example:+80", InvalidServerName::Port),
            ("a.example:000080", InvalidServerName::Port),
            ("a.example:65536", InvalidServerName::Port),
            ("a.example:0", InvalidServerName::Port),
            ("a.example:80:80", InvalidServerName::Port),
            ("::1", InvalidServerName::Hostname),
            ("[::1", InvalidServerName::Ipv6),
            ("[]", InvalidServerName::Ipv6),
            ("[127.0.0.1]", InvalidServerName::Ipv6),
            ("[fe80::1%eth0]", InvalidServerName::Ipv6),
            ("[::1]80", InvalidServerName::Port),
            ("[::1]:", InvalidServerName::Port),
        ];
        for (name, error) in table {
            assert_eq!(parse_server_name(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_a_resolver_may_take_for_an_address_is_refused() {
        for name in [
            "127.1",
            "2130706433",
            "0x7f.0.0.0x1",
            "127.0.0.01",
            "256.1.1.1",
            "127.1.",
        ] {
            assert_eq!(
                parse_server_name(name),
                Err(InvalidServerName::Numeric),
                "{name:?}"
            );
        }
        for name in ["1.2.3.example", "0x.example", "xn--p1ai"] {
            assert_eq!(
                parse_server_name(name),
                Ok((Host::Name(name.to_owned()), None))
            );
        }
    }

    #[test]
    fn connections_are_shared_by_place_and_certificate() {
        let address = |ports: &[u16], name: &str| ServerAddress {
            addresses: ports
                .iter()
                .map(|port| SocketAddr::from(([1, 2, 3, 4], *port)))
                .collect(),
            tls_name: Host::Name(name.to_owned()),
            host_header: name.to_owned(),
        };
        let one = address(&[8448], "a.example");
        assert!(one.shares_connections_with(&address(&[1, 8448], "a.example")));
        assert!(!one.shares_connections_with(&address(&[8449], "a.example")));
        assert!(!one.shares_connections_with(&address(&[8448], "b.example")));
    }
}
