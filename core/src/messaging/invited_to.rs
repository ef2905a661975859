//! What an invite says of the room that it is for (INVITE-6).
//!
//! It is shown to the invited user as what a stranger says. What can be checked of it is: an entry
//! that is a whole event must be one of that room, and where a room's id is the hash of its create
//! event, that event must be there, so that nobody is invited to a room by another's description.
//! Other entries may be stripped to what clients are shown, as most servers do; of those nothing can
//! be checked.

use ruma_common::RoomId;
use serde_json::Value;

use crate::pdu::{Pdu, RoomVersion, event_type::CREATE};

/// How much is kept of what others say of a room.
const ENTRIES_MAX: usize = 50;

/// What an invite says of a room, without what is false.
///
/// # Errors
/// What is wrong, if that makes the invite invalid.
pub fn description(
    mut entries: Vec<Value>,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<Vec<Value>, &'static str> {
    entries.truncate(ENTRIES_MAX);
    entries.retain(|entry| entry.is_object() && !is_false(entry, room_id, version));
    let is_create = |entry: &Value| entry["type"] == CREATE && is_whole(entry);
    match entries.iter().any(is_create) {
        false if version.rules().room_id_is_create_event => {
            Err("the room's create event is not among what is said of it")
        }
        false => {
            tracing::debug!(%room_id, "an invite comes without the room's create event");
            Ok(entries)
        }
        true => Ok(entries),
    }
}

/// Whether this is an event as servers send them to each other, and not stripped for clients.
fn is_whole(entry: &Value) -> bool {
    entry.get("auth_events").is_some()
}

fn is_false(entry: &Value, room_id: &RoomId, version: RoomVersion) -> bool {
    is_whole(entry)
        && !Pdu::parse(entry.to_string(), version)
            .is_ok_and(|event| event.room_id() == room_id && event.has_claimed_content())
}
