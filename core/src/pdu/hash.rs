//! The two hashes of an event: the content hash, which covers all of it and which its sender puts
//! into `hashes`, and the reference hash, which covers what survives redaction and names the event
//! (server-server API, "Calculating the content hash for an event", "Calculating the reference hash
//! for an event").

use ruma_common::{EventId, IdParseError, OwnedEventId, OwnedRoomId, RoomId};
use sha2::{Digest, Sha256};

use super::{
    canonical_json::{Object, object_to_canonical_string},
    redaction::redact,
    room_version::RoomVersion,
    unpadded_base64,
};

/// SHA-256 over the event without `unsigned`, `signatures` and `hashes`.
pub fn content_hash(event: &Object) -> [u8; 32] {
    let text = object_to_canonical_string(event, &["unsigned", "signatures", "hashes"]);
    Sha256::digest(text).into()
}

/// SHA-256 over [`signed_text`].
pub fn reference_hash(event: &Object, version: RoomVersion) -> [u8; 32] {
    Sha256::digest(signed_text(event, version)).into()
}

/// The text that a server signs to sign an event: the redacted event without `signatures`.
pub fn signed_text(event: &Object, version: RoomVersion) -> String {
    object_to_canonical_string(&redact(event, version), &["signatures", "unsigned"])
}

/// The event's id: `$` and its reference hash (room versions, version 4, "Event IDs").
pub fn event_id(event: &Object, version: RoomVersion) -> Result<OwnedEventId, IdParseError> {
    let hash = unpadded_base64::encode_url_safe(&reference_hash(event, version));
    OwnedEventId::try_from(format!("${hash}"))
}

/// The id of the room that this create event starts, where room ids are made of create events
/// (room versions, version 12, "Room IDs").
pub fn room_id_of_create_event(event_id: &EventId) -> Result<OwnedRoomId, IdParseError> {
    OwnedRoomId::try_from(format!("!{}", event_id.as_str().trim_start_matches('$')))
}

/// The inverse of [`room_id_of_create_event`].
pub fn create_event_id_of_room(room_id: &RoomId) -> Result<OwnedEventId, IdParseError> {
    OwnedEventId::try_from(format!("${}", room_id.strip_sigil()))
}
