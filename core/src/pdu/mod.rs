//! The rules of events: what an event is, whose it is, whether it was allowed, and what the state
//! of a room is when its history forks.
//!
//! The rules are pure functions of their arguments. Each room version's peculiarities are rows of the
//! table in [`room_version`].
//!
//! | file | answers |
//! |---|---|
//! | [`event`], [`event_text`], [`event_ids`], [`mod@format`] | is it a valid event (check 1 on receipt of a PDU), what does it say? |
//! | [`hash`], [`redaction`], [`canonical_json`] | what is hashed and signed, what is the event's id? |
//! | [`signing`] | did the servers sign it that had to (check 2), and is it unaltered (check 3)? |
//! | [`auth_content`], [`auth_events`], [`authorisation`] | was it allowed (checks 4 to 6)? |
//! | [`policy`] | does the room's policy server let it pass (check 7)? |
//! | [`state`], [`resolution`] | what is a room's state, and what if its history forks? |
//! | [`acl`] | may this server take part? |
//! | [`build`] | how do we make an event of our own? |
//! | [`explain`] | why was it judged so, and how did the state come about? |
//!
//! The flows apply them, as decisions that the engine asks:
//!
//! | file | what happens |
//! |---|---|
//! | [`admit`], [`place`], [`view`], [`merge`] | an event from another server is judged and put into its room |
//! | [`gap`], [`sources`], [`walk`], [`bridge`], [`answers`] | what it builds on is missing: it is asked for |
//! | [`judging`], [`import`], [`history`] | events come without what was before them: the state of a room, its past |
//! | [`serve`], [`gate`] | other servers ask for events and states |

pub mod acl;
pub mod admit;
pub mod answers;
pub mod auth_content;
pub mod auth_events;
pub mod authorisation;
pub mod bridge;
pub mod build;
pub mod canonical_json;
pub mod event;
pub mod event_ids;
pub mod event_text;
pub mod event_type;
pub mod explain;
pub mod format;
pub mod gap;
pub mod gate;
pub mod hash;
pub mod history;
pub mod import;
pub mod judging;
mod kept;
pub mod merge;
pub mod place;
pub mod policy;
pub mod redacting;
pub mod redaction;
pub mod resolution;
pub mod room_version;
pub mod serve;
pub mod signing;
pub mod sources;
pub mod state;
pub mod unpadded_base64;
pub mod view;
pub mod walk;

pub use event::Pdu;
pub use room_version::RoomVersion;
pub use state::{StateKey, StateMap};
