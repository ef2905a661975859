//! The messaging layer: what the rest of a homeserver talks to.
//!
//! **Contract.** A [`Command`](command::Command) goes in and is answered exactly once, by a
//! [`Reply`](command::Reply) or a [`CommandError`](command::CommandError), when its effects are on
//! disk. A [`Notice`](notice::Notice) comes out for what happened, whoever caused it. A
//! [`Question`](notice::Question) comes out for what only the application knows.
//!
//! **Invariants.** No event is noticed twice, before an event that it builds on, or after it was
//! rejected or soft-failed.

pub mod backfill;
pub mod by_time;
pub mod command;
pub mod compose;
pub mod create_room;
pub mod delivery;
pub mod device_keys;
pub mod directory;
pub mod ephemeral;
pub mod hierarchy;
pub mod homeserver;
pub mod invite;
pub mod invited_to;
pub mod join;
pub mod knock;
pub mod leave;
pub mod media;
pub mod merge_ends;
pub mod notice;
pub mod openid;
pub mod overview;
pub mod public_rooms;
pub mod read;
pub mod rescinded;
pub mod resident;
pub mod restricted;
pub mod send;
pub mod settings;
pub mod status;
pub mod third_party_invite;
