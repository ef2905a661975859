//! What a server may choose of how it takes part in rooms.

/// What a server may choose of how it takes part in rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether policy servers are heeded: in a room that has one, events of ours are sent with its
    /// signature or not at all, and events of others without it are soft-failed (server-server API,
    /// "Policy Servers"). On, unless told otherwise.
    pub policy_servers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy_servers: true,
        }
    }
}
