//! The event types that the rules of a room speak of.

/// `m.room.create`: the first event of a room.
pub const CREATE: &str = "m.room.create";
/// `m.room.member`: a user's membership, under the user's id as state key.
pub const MEMBER: &str = "m.room.member";
/// `m.room.power_levels`: who may do what.
pub const POWER_LEVELS: &str = "m.room.power_levels";
/// `m.room.join_rules`: who may join.
pub const JOIN_RULES: &str = "m.room.join_rules";
/// `m.room.third_party_invite`: an invitation to someone known by an address only.
pub const THIRD_PARTY_INVITE: &str = "m.room.third_party_invite";
/// `m.room.history_visibility`: who may read what was said before they came.
pub const HISTORY_VISIBILITY: &str = "m.room.history_visibility";
/// `m.room.redaction`: removes what another event said.
pub const REDACTION: &str = "m.room.redaction";
/// `m.room.policy`: the room's policy server.
pub const POLICY: &str = "m.room.policy";
/// `org.matrix.dummy_event`: says nothing, but joins the ends of the room's graph.
pub const DUMMY: &str = "org.matrix.dummy_event";
/// `m.room.aliases`: the aliases that a server gave the room, before room version 6.
pub const ALIASES: &str = "m.room.aliases";
