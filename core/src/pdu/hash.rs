//! The two hashes of an event: the content hash, which covers all of it and which its sender puts
//! into `hashes`, and the reference hash, which covers what survives redaction and names the event
//! (server-server API, "Calculating the content hash for an event", "Calculating the reference hash
//! for an event").

use std::mem;

use ruma_common::{EventId, IdParseError, OwnedEventId, OwnedRoomId, RoomId};
use sha2::{Digest, Sha256};

use super::{
    event_text::{EventText, Field},
    redaction::signed_pieces,
    room_version::{EventIds, RoomVersion},
    unpadded_base64,
};

/// The two hashes of one event.
pub(super) struct Hashes {
    pub content: [u8; 32],
    pub reference: [u8; 32],
}

/// SHA-256 over the event without `unsigned`, `signatures` and `hashes`.
pub fn content_hash(event: &EventText) -> [u8; 32] {
    let pieces = event.without_hashes_and_signatures();
    let hasher = pieces.into_iter().fold(Sha256::new(), Sha256::chain_update);
    hasher.finalize().into()
}

/// SHA-256 over [`super::redaction::signed_text`].
pub fn reference_hash(event: &EventText, version: RoomVersion) -> [u8; 32] {
    let mut hasher = Sha256::new();
    signed_pieces(event, version, |piece| hasher.update(piece));
    hasher.finalize().into()
}

/// Both hashes of an event. The two texts begin alike, and that is hashed once.
pub(super) fn hashes(event: &EventText, version: RoomVersion) -> Hashes {
    let mut begun = common_beginning(event);
    let common = Sha256::new().chain_update(begun);
    let [first, rest @ ..] = event.without_hashes_and_signatures();
    let first = first.get(begun.len()..).unwrap_or_default();
    let content = rest
        .iter()
        .fold(common.clone().chain_update(first), Sha256::chain_update);
    let mut reference = common;
    signed_pieces(event, version, |piece| {
        // Only the first piece begins so.
        let begun = mem::take(&mut begun);
        reference.update(piece.get(begun.len()..).unwrap_or_default());
    });
    Hashes {
        content: content.finalize().into(),
        reference: reference.finalize().into(),
    }
}

/// The entry that stands first in nearly every event; neither text leaves it out.
fn common_beginning(event: &EventText) -> &str {
    let auth_events = event.place(Field::AuthEvents).map(|place| place.entry);
    let end = auth_events
        .filter(|entry| entry.start == 1)
        .map(|entry| entry.end);
    event
        .json()
        .get(..end.unwrap_or_default())
        .unwrap_or_default()
}

/// The event's id: what its server chose, or `$` and its reference hash (room versions, "Event
/// IDs").
pub fn event_id(event: &EventText, version: RoomVersion) -> Result<OwnedEventId, IdParseError> {
    name(event, version, || reference_hash(event, version))
}

/// The same of an event whose reference hash is at hand.
pub(super) fn name(
    event: &EventText,
    version: RoomVersion,
    reference_hash: impl FnOnce() -> [u8; 32],
) -> Result<OwnedEventId, IdParseError> {
    let is_url_safe = match version.rules().event_ids {
        EventIds::Chosen => {
            let chosen = event.string(Field::EventId).unwrap_or_default();
            return OwnedEventId::try_from(&*chosen);
        }
        EventIds::Base64 => false,
        EventIds::UrlSafeBase64 => true,
    };
    let id = unpadded_base64::name_of_hash(b'$', &reference_hash(), is_url_safe);
    OwnedEventId::try_from(std::str::from_utf8(&id).unwrap_or_default())
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
