//! Looking names up: addresses by the operating system, services at name servers.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    time::{Duration, Instant},
};

use comity_core::transport::{
    dns::{self, NoAnswer},
    names::{Found, Lookup, LookupError, Records},
};
use rustls::crypto::ring;

/// How long addresses are believed: the operating system does not tell for how long they hold, and
/// keeps them itself.
const ADDRESSES_GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// How long services are taken for absent where there is no name server to ask.
const UNKNOWN_GOOD_FOR: Duration = Duration::from_secs(60 * 60);

/// How many addresses of a name are looked at.
const ADDRESSES_MAX: usize = 32;

/// How long a name server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often each name server is asked.
const ROUNDS: usize = 2;

/// Where the operating system keeps the addresses of its name servers.
const SYSTEM_FILE: &str = "/etc/resolv.conf";

/// How many name servers the operating system itself uses of that file.
const SYSTEM_SERVERS_MAX: usize = 3;

/// Looks names up.
#[derive(Clone, Debug)]
pub struct Resolver {
    name_servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks the name servers that the operating system asks. If none are known there, nobody is
    /// found to offer a service, and servers are sought at their names' own addresses.
    #[must_use]
    pub fn system() -> Self {
        let text = fs::read_to_string(SYSTEM_FILE).unwrap_or_default();
        let name_servers = name_servers(&text);
        if name_servers.is_empty() {
            tracing::warn!("no name server in {SYSTEM_FILE}: service records cannot be looked up");
        }
        Self { name_servers }
    }

    /// Asks these name servers for services.
    #[must_use]
    pub fn with_name_servers(name_servers: Vec<SocketAddr>) -> Self {
        Self { name_servers }
    }

    /// Looks a name up. Blocks; for services until the deadline at most, for addresses for as long
    /// as the operating system does.
    ///
    /// # Errors
    /// If nobody answered who knows.
    pub fn look_up(&self, lookup: &Lookup, deadline: Instant) -> Result<Found, LookupError> {
        match lookup {
            Lookup::Addresses(name) => addresses(name),
            Lookup::Services(name) => self.services(name, deadline),
        }
    }

    fn services(&self, name: &str, deadline: Instant) -> Result<Found, LookupError> {
        let mut failure = LookupError("no name server answered in time".to_owned());
        if self.name_servers.is_empty() {
            return Ok(Found {
                records: Records::Services(Vec::new()),
                good_for: UNKNOWN_GOOD_FOR,
            });
        }
        for name_server in self
            .name_servers
            .iter()
            .cycle()
            .take(ROUNDS * self.name_servers.len())
        {
            let end = deadline.min(Instant::now() + PATIENCE);
            match ask(*name_server, name, end) {
                Ok(found) => return Ok(found),
                Err(error) => failure = LookupError(format!("{name_server}: {error}")),
            }
        }
        Err(failure)
    }
}

/// Not every system tells that there is no such name from a failure, so both count as failures.
fn addresses(name: &str) -> Result<Found, LookupError> {
    let found = (name, 0).to_socket_addrs();
    let found = found.map_err(|error| LookupError(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()).take(ADDRESSES_MAX) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(Found {
        records: Records::Addresses(addresses),
        good_for: ADDRESSES_GOOD_FOR,
    })
}

fn ask(name_server: SocketAddr, name: &str, deadline: Instant) -> io::Result<Found> {
    let id = random_id()?;
    let question = dns::question(id, name).map_err(io::Error::other)?;
    match by_datagram(name_server, id, name, &question, deadline) {
        Err(NotTold::Truncated) => by_stream(name_server, id, name, &question, deadline),
        Err(NotTold::Io(error)) => Err(error),
        Ok(found) => Ok(found),
    }
}

enum NotTold {
    Truncated,
    Io(io::Error),
}

impl From<io::Error> for NotTold {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The socket is connected, so that the system drops what others send, and its port is of the
/// system's choice: whoever wants to forge an answer must guess both it and the id.
fn by_datagram(
    name_server: SocketAddr,
    id: u16,
    name: &str,
    question: &[u8],
    deadline: Instant,
) -> Result<Found, NotTold> {
    let any: IpAddr = match name_server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(name_server)?;
    socket.send(question)?;
    let mut buffer = [0; dns::DATAGRAM_MAX];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let length = socket.recv(&mut buffer)?;
        match dns::answer(id, name, buffer.get(..length).unwrap_or_default()) {
            Ok(found) => return Ok(found),
            Err(NoAnswer::Truncated) => return Err(NotTold::Truncated),
            Err(NoAnswer::Unrelated) => {}
            Err(error) => return Err(NotTold::Io(io::Error::other(error))),
        }
    }
}

fn by_stream(
    name_server: SocketAddr,
    id: u16,
    name: &str,
    question: &[u8],
    deadline: Instant,
) -> io::Result<Found> {
    let mut stream = TcpStream::connect_timeout(&name_server, left(deadline)?)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    read_exact(&mut stream, &mut length, deadline)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    read_exact(&mut stream, &mut answer, deadline)?;
    dns::answer(id, name, &answer).map_err(io::Error::other)
}

fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => buffer = buffer.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn random_id() -> io::Result<u16> {
    let mut bytes = [0; 2];
    let random = ring::default_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("no randomness to be had"))?;
    Ok(u16::from_be_bytes(bytes))
}

/// The name servers that a `resolv.conf` names.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        let address = words.next().filter(|_| is_server)?.parse().ok()?;
        Some(SocketAddr::new(address, dns::PORT))
    };
    text.lines()
        .filter_map(server)
        .take(SYSTEM_SERVERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_name_servers_are_read() {
        let text = "# nameserver 1.1.1.1\nsearch a.example\nnameserver 127.0.0.53\n\
                    nameserver  ::1 \nnameserver nonsense\nnameserver 9.9.9.9\nnameserver 8.8.8.8\n";
        let expected = ["127.0.0.53:53", "[::1]:53", "9.9.9.9:53"];
        assert_eq!(
            name_servers(text),
            expected.map(|text| text.parse().unwrap())
        );
    }

    #[test]
    fn without_a_name_server_nobody_offers_a_service() {
        let resolver = Resolver::with_name_servers(Vec::new());
        let lookup = Lookup::Services("_matrix-fed._tcp.a.example".to_owned());
        let found = resolver.look_up(&lookup, Instant::now()).unwrap();
        assert_eq!(found.records, Records::Services(Vec::new()));
    }
}
