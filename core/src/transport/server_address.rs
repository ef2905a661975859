//! From a server's name to where and as whom it is contacted
//! (server-server API, "Resolving server names").
//!
//! Decides by the name alone: IP literals and names with a port (cases 1 and 2), and plain
//! hostnames as if nothing were delegated (case 6).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ruma_common::ServerName;

/// The port of a server whose name gives none.
pub const DEFAULT_PORT: u16 = 8448;

/// Characters of a hostname, at most.
const HOSTNAME_MAX: usize = 255;

/// Whom to connect to, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// What to connect to; a name is first resolved to addresses.
    pub host: Host,
    /// The TCP port.
    pub port: u16,
    /// Whom the certificate must be for. A name is also sent as SNI, an address is not.
    pub tls_name: Host,
    /// The `Host` header of requests.
    pub host_header: String,
}

/// An address or a name to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where `name` is contacted. Errors when the name breaks the grammar, which is stricter than
    /// the identifier type's own check.
    pub fn of(name: &ServerName) -> Result<Self, InvalidServerName> {
        let (host, port) = parse_server_name(name.as_str())?;
        Ok(Self {
            tls_name: host.clone(),
            host,
            port: port.unwrap_or(DEFAULT_PORT),
            host_header: name.as_str().to_owned(),
        })
    }

    /// Whether one connection can serve both: same host, port and certificate.
    pub fn shares_connections_with(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.tls_name) == (&other.host, other.port, &other.tls_name)
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

    fn of(name: &str) -> ServerAddress {
        ServerAddress::of(<&ServerName>::try_from(name).unwrap()).unwrap()
    }

    fn ip(address: &str) -> Host {
        Host::Ip(address.parse().unwrap())
    }

    #[test]
    fn disc_1_case_1_an_ip_literal_is_contacted_as_it_is() {
        let table = [
            ("127.0.0.1", "127.0.0.1", 8448),
            ("127.0.0.1:1234", "127.0.0.1", 1234),
            ("[::1]", "::1", 8448),
            ("[2001:db8::2]:80", "2001:db8::2", 80),
            ("[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 8448),
        ];
        for (name, address, port) in table {
            let found = of(name);
            assert_eq!(
                (&found.host, &found.tls_name),
                (&ip(address), &ip(address)),
                "{name}"
            );
            assert_eq!((found.port, found.host_header.as_str()), (port, name));
        }
    }

    #[test]
    fn disc_1_cases_2_and_6_a_hostname_is_resolved_and_certified() {
        for (name, host, port) in [
            ("a.example:443", "a.example", 443),
            ("localhost:8008", "localhost", 8008),
            ("localhost", "localhost", 8448),
            ("A-1.example", "A-1.example", 8448),
        ] {
            let (found, host) = (of(name), Host::Name(host.to_owned()));
            assert_eq!((&found.host, &found.tls_name), (&host, &host), "{name}");
            assert_eq!((found.port, found.host_header.as_str()), (port, name));
        }
    }

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
    fn the_default_port_written_out_shares_connections() {
        assert!(of("a.example").shares_connections_with(&of("a.example:8448")));
        assert!(!of("a.example").shares_connections_with(&of("a.example:8449")));
    }
}
