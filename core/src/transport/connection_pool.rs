//! Idle connections, kept for the next request to the same server.

use std::collections::VecDeque;
use std::time::Duration;

use super::server_address::ServerAddress;
use crate::time::Monotonic;

/// How many idle connections are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections to one server.
    pub per_server: usize,
    /// Connections to all servers.
    pub total: usize,
    /// How long a connection may lie idle.
    pub idle_timeout: Duration,
}

impl Default for PoolLimits {
    /// Four to a server and 256 in all, for 50 seconds: most servers close after a minute or more.
    fn default() -> Self {
        Self {
            per_server: 4,
            total: 256,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// Idle connections of type `C`, a runtime's own; the pool never touches them.
///
/// Invariants: never more than the limits allow; a connection is handed out only for an address
/// that shares connections with the one it was put under, and never past its idle timeout. Every
/// connection put in comes out once: taken, evicted or expired.
///
/// All operations are linear in the number of idle connections, which is small.
#[derive(Debug)]
pub struct ConnectionPool<C> {
    limits: PoolLimits,
    /// Oldest first.
    idle: VecDeque<Idle<C>>,
}

#[derive(Debug)]
struct Idle<C> {
    address: ServerAddress,
    connection: C,
    expires: Monotonic,
}

impl<C> ConnectionPool<C> {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            idle: VecDeque::new(),
        }
    }

    /// The connection to `address` that was used last, unless it lay idle too long. The peer may
    /// have closed it, or sent what nobody asked for; only the runtime can see that.
    pub fn take(&mut self, address: &ServerAddress, now: Monotonic) -> Option<C> {
        let position = self
            .idle
            .iter()
            .rposition(|idle| idle.serves(address) && now < idle.expires)?;
        self.idle.remove(position).map(|idle| idle.connection)
    }

    /// Keeps a connection that has just become idle. Returns the one to close in exchange, if a
    /// limit is reached: the oldest to the same server or, if there is room for that server, the
    /// oldest of all.
    pub fn put(&mut self, address: ServerAddress, connection: C, now: Monotonic) -> Option<C> {
        let expires = now.plus(self.limits.idle_timeout);
        self.idle.push_back(Idle {
            address: address.clone(),
            connection,
            expires,
        });
        let to_this_server = self
            .idle
            .iter()
            .filter(|idle| idle.serves(&address))
            .count();
        let surplus = if to_this_server > self.limits.per_server {
            self.idle.iter().position(|idle| idle.serves(&address))
        } else if self.idle.len() > self.limits.total {
            Some(0)
        } else {
            None
        };
        self.idle.remove(surplus?).map(|idle| idle.connection)
    }

    /// Takes out the connections that have lain idle too long, to be closed.
    pub fn expire(&mut self, now: Monotonic) -> Vec<C> {
        let expired = self
            .idle
            .iter()
            .take_while(|idle| idle.expires <= now)
            .count();
        self.idle
            .drain(..expired)
            .map(|idle| idle.connection)
            .collect()
    }

    /// When [`expire`](Self::expire) next has something to do.
    pub fn next_expiry(&self) -> Option<Monotonic> {
        self.idle.front().map(|idle| idle.expires)
    }
}

impl<C> Default for ConnectionPool<C> {
    fn default() -> Self {
        Self::new(PoolLimits::default())
    }
}

impl<C> Idle<C> {
    fn serves(&self, address: &ServerAddress) -> bool {
        self.address.shares_connections_with(address)
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::transport::server_address::parse_server_name;

    const LIMITS: PoolLimits = PoolLimits {
        per_server: 2,
        total: 3,
        idle_timeout: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn address(name: &str) -> ServerAddress {
        let (host, port) = parse_server_name(name).unwrap();
        let address = SocketAddr::from(([1, 2, 3, 4], port.unwrap_or(8448)));
        ServerAddress {
            addresses: vec![address],
            tls_name: host,
            host_header: name.to_owned(),
        }
    }

    /// A pool with the connections `names` put in one second after another, from second 0.
    fn pool(names: &[&str]) -> ConnectionPool<usize> {
        let mut pool = ConnectionPool::new(LIMITS);
        for (index, name) in names.iter().enumerate() {
            assert_eq!(pool.put(address(name), index, at(index as u64)), None);
        }
        pool
    }

    #[test]
    fn the_connection_used_last_is_taken_first_and_only_once() {
        let mut pool = pool(&["a.example", "a.example", "b.example"]);
        let taken = [(); 3].map(|()| pool.take(&address("a.example"), at(3)));
        assert_eq!(taken, [Some(1), Some(0), None]);
    }

    #[test]
    fn connections_are_not_shared_between_ports() {
        let mut pool = pool(&["a.example"]);
        assert_eq!(pool.take(&address("a.example:1"), at(1)), None);
        assert_eq!(pool.take(&address("a.example:8448"), at(1)), Some(0));
    }

    #[test]
    fn a_server_over_its_share_loses_its_own_oldest() {
        let mut pool = pool(&["b.example", "a.example", "a.example"]);
        assert_eq!(pool.put(address("a.example"), 3, at(3)), Some(1));
        assert_eq!(pool.take(&address("b.example"), at(3)), Some(0));
    }

    #[test]
    fn a_full_pool_loses_the_oldest_of_all() {
        let mut pool = pool(&["a.example", "b.example", "c.example"]);
        assert_eq!(pool.put(address("d.example"), 3, at(3)), Some(0));
    }

    #[test]
    fn a_pool_without_room_hands_the_connection_back() {
        let mut pool = ConnectionPool::new(PoolLimits {
            per_server: 0,
            ..LIMITS
        });
        assert_eq!(pool.put(address("a.example"), 7, at(0)), Some(7));
    }

    #[test]
    fn what_lay_idle_too_long_is_not_taken_but_expires() {
        let mut pool = pool(&["a.example", "b.example"]);
        assert_eq!(pool.next_expiry(), Some(at(10)));
        assert_eq!(pool.take(&address("a.example"), at(10)), None);
        assert_eq!(pool.expire(at(10)), [0]);
        assert_eq!(pool.next_expiry(), Some(at(11)));
        assert_eq!(pool.take(&address("b.example"), at(10)), Some(1));
    }
}
