//! Check 1 on receipt of a PDU: is it valid in the format of its room version (room versions,
//! "Event format"; client-server API, "Size limits")?
//!
//! Each function reads one field of an event that a peer sent and answers with a typed value or
//! with the reason why the event must be dropped.

use ruma_common::{EventId, IdParseError, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::Value;
use thiserror::Error;

use super::{
    canonical_json::{JsonError, MAX_INTEGER, Object},
    event_type::CREATE,
    room_version::RoomVersion,
    unpadded_base64,
};

/// The largest event, in bytes of canonical JSON with its signatures and without `unsigned`.
pub const MAX_EVENT_BYTES: usize = 65_536;
/// The longest `sender`, `room_id`, `type`, `state_key` and event id, in bytes.
pub const MAX_ID_BYTES: usize = 255;
/// The most `prev_events` of one event.
pub const MAX_PREV_EVENTS: usize = 20;
/// The most `auth_events` of one event.
pub const MAX_AUTH_EVENTS: usize = 10;
/// The largest `depth`.
pub const MAX_DEPTH: u64 = MAX_INTEGER.unsigned_abs();

/// Why an event is not valid in the format of its room version. Such an event is dropped as if it
/// had never been seen.
#[derive(Debug, Error)]
pub enum FormatError {
    /// Not an object of canonical JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Larger than [`MAX_EVENT_BYTES`].
    #[error("the event has {0} bytes, more than {MAX_EVENT_BYTES}")]
    TooLarge(usize),
    /// A field is missing or holds another type of value.
    #[error("`{field}` is missing or is no {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A field that this event must not have in this room version.
    #[error("`{0}` must not be present")]
    Unexpected(&'static str),
    /// A field longer than [`MAX_ID_BYTES`].
    #[error("`{field}` has {bytes} bytes, more than {MAX_ID_BYTES}")]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A field that is no valid identifier of its kind.
    #[error("`{field}` is not valid: {source}")]
    InvalidId {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        source: IdParseError,
    },
    /// Too many entries in a list.
    #[error("`{field}` has {count} entries, more than {limit}")]
    TooMany {
        /// The list's name.
        field: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// `depth` is outside of 0..=2^53−1.
    #[error("`depth` is {0}, outside of 0..={MAX_DEPTH}")]
    Depth(i64),
}

/// A string field of at most [`MAX_ID_BYTES`].
pub(super) fn bounded_string<'a>(
    event: &'a Object,
    field: &'static str,
) -> Result<&'a str, FormatError> {
    let text = event
        .get(field)
        .and_then(Value::as_str)
        .ok_or(FormatError::Field {
            field,
            expected: "string",
        })?;
    match text.len() {
        0..=MAX_ID_BYTES => Ok(text),
        bytes => Err(FormatError::TooLong { field, bytes }),
    }
}

pub(super) fn object<'a>(
    event: &'a Object,
    field: &'static str,
) -> Result<&'a Object, FormatError> {
    event
        .get(field)
        .and_then(Value::as_object)
        .ok_or(FormatError::Field {
            field,
            expected: "object",
        })
}

pub(super) fn integer(event: &Object, field: &'static str) -> Result<i64, FormatError> {
    event
        .get(field)
        .and_then(Value::as_i64)
        .ok_or(FormatError::Field {
            field,
            expected: "integer",
        })
}

pub(super) fn state_key(event: &Object) -> Result<Option<&str>, FormatError> {
    match event.get("state_key") {
        None => Ok(None),
        Some(_) => bounded_string(event, "state_key").map(Some),
    }
}

pub(super) fn sender(event: &Object) -> Result<OwnedUserId, FormatError> {
    let text = bounded_string(event, "sender")?;
    let sender = OwnedUserId::try_from(text).map_err(|source| FormatError::InvalidId {
        field: "sender",
        source,
    })?;
    // The identifier's parser takes a port written as `+443`, which no server name may have.
    if sender.server_name().as_str().contains('+') {
        let source = IdParseError::InvalidServerName;
        return Err(FormatError::InvalidId {
            field: "sender",
            source,
        });
    }
    Ok(sender)
}

pub(super) fn depth(event: &Object) -> Result<u64, FormatError> {
    let depth = integer(event, "depth")?;
    u64::try_from(depth)
        .ok()
        .filter(|depth| *depth <= MAX_DEPTH)
        .ok_or(FormatError::Depth(depth))
}

pub(super) fn event_ids(
    event: &Object,
    field: &'static str,
    limit: usize,
) -> Result<Box<[OwnedEventId]>, FormatError> {
    let items = event
        .get(field)
        .and_then(Value::as_array)
        .ok_or(FormatError::Field {
            field,
            expected: "array",
        })?;
    if items.len() > limit {
        return Err(FormatError::TooMany {
            field,
            count: items.len(),
            limit,
        });
    }
    items.iter().map(|item| event_id(item, field)).collect()
}

fn event_id(item: &Value, field: &'static str) -> Result<OwnedEventId, FormatError> {
    let text = item.as_str().ok_or(FormatError::Field {
        field,
        expected: "list of event ids",
    })?;
    if text.len() > MAX_ID_BYTES {
        return Err(FormatError::TooLong {
            field,
            bytes: text.len(),
        });
    }
    OwnedEventId::try_from(text).map_err(|source| FormatError::InvalidId { field, source })
}

/// The event's room. Where room ids are made of create events, the create event `event_id` must
/// not name its room, and all others must name one of that form.
pub(super) fn room_id(
    event: &Object,
    event_id: &EventId,
    version: RoomVersion,
) -> Result<OwnedRoomId, FormatError> {
    let invalid = |source| FormatError::InvalidId {
        field: "room_id",
        source,
    };
    let from_create = version.rules().room_id_is_create_event;
    if from_create && event.get("type").and_then(Value::as_str) == Some(CREATE) {
        return match event.get("room_id") {
            Some(_) => Err(FormatError::Unexpected("room_id")),
            None => super::hash::room_id_of_create_event(event_id).map_err(invalid),
        };
    }
    let room_id = OwnedRoomId::try_from(bounded_string(event, "room_id")?).map_err(invalid)?;
    if from_create && !is_hash(room_id.strip_sigil()) {
        return Err(invalid(IdParseError::InvalidCharacters));
    }
    Ok(room_id)
}

/// Whether this is a SHA-256 hash in URL-safe base64.
fn is_hash(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `hashes` and `signatures` are there, the content hash can be decoded, and nothing is there that
/// versions with hashes for event ids forbid.
pub(super) fn check_envelope(event: &Object) -> Result<(), FormatError> {
    if event.contains_key("event_id") {
        return Err(FormatError::Unexpected("event_id"));
    }
    object(event, "signatures")?;
    object(event, "hashes")?
        .get("sha256")
        .and_then(Value::as_str)
        .and_then(unpadded_base64::decode)
        .ok_or(FormatError::Field {
            field: "hashes.sha256",
            expected: "base64 string",
        })?;
    Ok(())
}
