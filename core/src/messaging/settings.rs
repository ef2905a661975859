//! What a server may choose of how it takes part in rooms.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::transport::address_guard::PrivateAddresses;

/// What a server may choose of how it takes part in rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether policy servers are heeded: in a room that has one, events of ours are sent with its
    /// signature or not at all, and events of others without it are soft-failed (server-server API,
    /// "Policy Servers"). On, unless told otherwise.
    pub policy_servers: bool,
    /// How many events one server may make us fetch in one room in ten minutes, to fill gaps: more
    /// than a long absence is worth.
    pub pulled_max: u32,
    /// How many ends a room's graph may have before an event of ours, of type
    /// `org.matrix.dummy_event`, joins them. So many as Synapse lets there be.
    pub extremities_max: usize,
    /// How much is kept for servers that do not answer.
    pub queues: QueueLimits,
    /// Whether other servers may fetch everything that they may see after a position in our stream
    /// of events ([`crate::transaction::after`]). On, unless told otherwise.
    pub serve_stream: bool,
    /// Whether we fetch what we have missed from servers that offer the same. On, unless told
    /// otherwise.
    pub pull_streams: bool,
    /// Whether we connect to addresses that are not of the public internet.
    pub private_addresses: PrivateAddresses,
    /// How much of what other servers ask of us may be under way at once.
    pub requests: RequestLimits,
    /// Whether a join asks for the room without its members first, so that its command is answered
    /// sooner, and gets them afterwards ([`crate::messaging::join`]). Off, unless told otherwise.
    pub join_in_part: bool,
}

/// How much of what other servers ask may be under way at once. Beyond that they are told to come
/// back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLimits {
    /// Requests.
    pub requests: usize,
    /// Requests of one server, which has fewer when the whole fills.
    pub requests_per_server: usize,
    /// Bytes of bodies.
    pub bytes: usize,
    /// Bytes of one server's bodies, unless it is a single one.
    pub bytes_per_server: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            requests: 4096,
            requests_per_server: 128,
            bytes: 512 * MIB,
            bytes_per_server: 64 * MIB,
        }
    }
}

/// How much is kept for one server that does not answer. At either bound the oldest is given up,
/// and the application is told; of events, the server can still ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLimits {
    /// So many events, and so many ephemeral messages of those that must not be lost.
    pub depth: u32,
    /// For how long.
    pub age: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            depth: 10_000,
            age: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy_servers: true,
            pulled_max: 20_000,
            extremities_max: 10,
            queues: QueueLimits::default(),
            serve_stream: true,
            pull_streams: true,
            private_addresses: PrivateAddresses::default(),
            requests: RequestLimits::default(),
            join_in_part: false,
        }
    }
}
