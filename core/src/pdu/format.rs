//! Check 1 on receipt of a PDU: is it valid in the format of its room version (room versions,
//! "Event format"; client-server API, "Size limits")?
//!
//! Each function reads one field of an event that a peer sent and answers with a typed value or
//! with the reason why the event must be dropped.

use std::borrow::Cow;

use ruma_common::{EventId, IdParseError, OwnedEventId, OwnedRoomId, OwnedUserId};
use thiserror::Error;

use super::{
    canonical_json::{JsonError, MAX_INTEGER, Scanner, member},
    event_text::{EventText, Field},
    event_type::CREATE,
    room_version::{EventIds, RoomVersion},
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

/// How many events an event may name.
#[derive(Clone, Copy, Debug)]
pub struct NamedMax {
    /// As its `prev_events`.
    pub prev_events: usize,
    /// As its `auth_events`.
    pub auth_events: usize,
}

impl NamedMax {
    /// What servers accept today.
    pub const TODAY: Self = Self {
        prev_events: MAX_PREV_EVENTS,
        auth_events: MAX_AUTH_EVENTS,
    };

    /// As many as fit into an event, as of old: such events are part of rooms' histories
    /// (BACKFILL-2).
    pub const ANY: Self = Self {
        prev_events: usize::MAX,
        auth_events: usize::MAX,
    };
}

/// The largest `depth` where numbers are strict. Elsewhere it is 2^63−1, but as many servers drop
/// what is beyond this in every room version, no event of ours is.
pub const MAX_DEPTH: u64 = MAX_INTEGER.unsigned_abs();

/// The key of the content hash in `hashes`.
const CONTENT_HASH: &str = "sha256";
const NAMED_EVENTS: &str = "list of events named as in its room version";

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
    /// `depth` is negative or too large.
    #[error("`depth` is {0}, which is negative or too large")]
    Depth(i64),
    /// An event is to be named whose reference hash the caller did not give.
    #[error("the reference hash of {0} is not known")]
    UnknownReferenceHash(OwnedEventId),
}

/// A string field of at most [`MAX_ID_BYTES`].
pub(super) fn bounded_string(event: &EventText, field: Field) -> Result<Cow<'_, str>, FormatError> {
    let text = event.string(field);
    let text = text.ok_or_else(|| is_not(field.name(), "string"))?;
    check_length(&text, field.name()).map(|()| text)
}

pub(super) fn check_state_key(event: &EventText) -> Result<(), FormatError> {
    match event.get(Field::StateKey) {
        None => Ok(()),
        Some(_) => bounded_string(event, Field::StateKey).map(drop),
    }
}

pub(super) fn sender(event: &EventText) -> Result<OwnedUserId, FormatError> {
    let text = bounded_string(event, Field::Sender)?;
    let invalid = |source| FormatError::InvalidId {
        field: "sender",
        source,
    };
    let sender = OwnedUserId::try_from(&*text).map_err(invalid)?;
    // The identifier's parser takes a port written as `+443`, which no server name may have.
    if sender.server_name().as_str().contains('+') {
        return Err(invalid(IdParseError::InvalidServerName));
    }
    Ok(sender)
}

/// The text of a content, which is an object.
pub(super) fn content(event: &EventText) -> Result<&str, FormatError> {
    object(event, Field::Content)
}

fn object(event: &EventText, field: Field) -> Result<&str, FormatError> {
    let text = event.get(field).filter(|text| text.starts_with('{'));
    text.ok_or_else(|| is_not(field.name(), "object"))
}

pub(super) fn integer(event: &EventText, field: Field) -> Result<i64, FormatError> {
    let integer = event.get(field).and_then(|text| text.parse().ok());
    integer.ok_or_else(|| is_not(field.name(), "integer"))
}

pub(super) fn depth(event: &EventText, version: RoomVersion) -> Result<u64, FormatError> {
    let depth = integer(event, Field::Depth)?;
    let limit = match version.rules().strict_numbers {
        true => MAX_DEPTH,
        false => u64::MAX,
    };
    let in_range = u64::try_from(depth).ok().filter(|depth| *depth <= limit);
    in_range.ok_or(FormatError::Depth(depth))
}

/// Reads the list of the events that an event names: by their ids, or where servers choose event
/// ids by pairs of an id and an object with the reference hash, which nobody checks.
pub(super) fn read_event_ids(
    scanner: &mut Scanner<'_>,
    field: Field,
    limit: usize,
    version: RoomVersion,
) -> Result<(), FormatError> {
    let field = field.name();
    let (mut count, in_pairs) = (0, version.rules().event_ids == EventIds::Chosen);
    begin(scanner, b'[', field, "array")?;
    scanner.array(|scanner| {
        count += 1;
        match in_pairs {
            _ if count > limit => Ok(scanner.skip()?),
            true => read_pair(scanner, field),
            false => read_event_id(scanner, field),
        }
    })?;
    match count <= limit {
        true => Ok(()),
        false => Err(FormatError::TooMany {
            field,
            count,
            limit,
        }),
    }
}

fn read_pair(scanner: &mut Scanner<'_>, field: &'static str) -> Result<(), FormatError> {
    let mut count = 0;
    begin(scanner, b'[', field, NAMED_EVENTS)?;
    scanner.array(|scanner| {
        count += 1;
        match count {
            1 => read_event_id(scanner, field),
            _ => {
                begin(scanner, b'{', field, NAMED_EVENTS)?;
                Ok(scanner.skip()?)
            }
        }
    })?;
    match count {
        2 => Ok(()),
        _ => Err(is_not(field, NAMED_EVENTS)),
    }
}

fn read_event_id(scanner: &mut Scanner<'_>, field: &'static str) -> Result<(), FormatError> {
    begin(scanner, b'"', field, NAMED_EVENTS)?;
    let id = scanner.characters()?;
    check_length(&id, field)?;
    // An id without a colon, as all that are hashes, is one if it has the sigil.
    let has_colon = id.bytes().fold(false, |found, byte| found | (byte == b':'));
    if id.starts_with('$') && !has_colon {
        return Ok(());
    }
    let id = <&EventId>::try_from(&*id);
    id.map(drop)
        .map_err(|source| FormatError::InvalidId { field, source })
}

/// The event's room. Where room ids are made of create events, the create event `event_id` must
/// not name its room, and all others must name one of that form.
pub(super) fn room_id(
    event: &EventText,
    event_id: &EventId,
    version: RoomVersion,
) -> Result<OwnedRoomId, FormatError> {
    let invalid = |source| FormatError::InvalidId {
        field: "room_id",
        source,
    };
    let from_create = version.rules().room_id_is_create_event;
    if from_create && event.string(Field::Type).as_deref() == Some(CREATE) {
        return match event.get(Field::RoomId) {
            Some(_) => Err(FormatError::Unexpected("room_id")),
            None => super::hash::room_id_of_create_event(event_id).map_err(invalid),
        };
    }
    let room_id = bounded_string(event, Field::RoomId)?;
    let room_id = OwnedRoomId::try_from(&*room_id).map_err(invalid)?;
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

/// `hashes`, with a content hash, and `signatures` are there, and the event names itself only where
/// event ids are chosen.
pub(super) fn check_envelope(event: &EventText, version: RoomVersion) -> Result<(), FormatError> {
    if version.rules().event_ids == EventIds::Chosen {
        bounded_string(event, Field::EventId)?;
    } else if event.has(Field::EventId) {
        return Err(FormatError::Unexpected("event_id"));
    }
    for (field, expected) in [
        (Field::AuthEvents, "array"),
        (Field::Hashes, "object"),
        (Field::PrevEvents, "array"),
        (Field::Signatures, "object"),
    ] {
        if !event.has(field) {
            return Err(is_not(field.name(), expected));
        }
    }
    let hashes = event.get(Field::Hashes).unwrap_or_default();
    match event.claimed_hash().is_some() || member(hashes, CONTENT_HASH).is_some() {
        true => Ok(()),
        false => Err(is_not("hashes.sha256", "base64 string")),
    }
}

/// Reads `signatures`: strings by server and key, whoever made them.
pub(super) fn read_signatures(scanner: &mut Scanner<'_>) -> Result<(), FormatError> {
    let begin = |scanner: &mut Scanner<'_>, first| {
        begin(
            scanner,
            first,
            "signatures",
            "object of strings by server and key",
        )
    };
    begin(scanner, b'{')?;
    scanner.object(|scanner, _| {
        begin(scanner, b'{')?;
        scanner.object(|scanner, _| {
            begin(scanner, b'"')?;
            Ok(scanner.skip()?)
        })
    })
}

/// Reads `hashes`, and answers with the content hash, if it is as long as one. Of any length, it
/// must be base64. The specification does not say what other hashes may be; that they are strings is
/// what Synapse demands.
pub(super) fn read_hashes(scanner: &mut Scanner<'_>) -> Result<Option<[u8; 32]>, FormatError> {
    let mut content_hash = None;
    begin(scanner, b'{', "hashes", "object of strings")?;
    scanner.object(|scanner, key| {
        begin(scanner, b'"', "hashes", "object of strings")?;
        // In canonical text nothing that base64 consists of has escapes.
        let hash = scanner.string()?;
        if key == CONTENT_HASH {
            content_hash = unpadded_base64::decode_exact(hash);
            if content_hash.is_none() && unpadded_base64::decode(hash).is_none() {
                return Err(is_not("hashes.sha256", "base64 string"));
            }
        }
        Ok(())
    })?;
    Ok(content_hash)
}

/// A value that begins with this byte comes next.
fn begin(
    scanner: &mut Scanner<'_>,
    first: u8,
    field: &'static str,
    expected: &'static str,
) -> Result<(), FormatError> {
    match scanner.peek() == Some(first) {
        true => Ok(()),
        false => Err(is_not(field, expected)),
    }
}

fn is_not(field: &'static str, expected: &'static str) -> FormatError {
    FormatError::Field { field, expected }
}

fn check_length(text: &str, field: &'static str) -> Result<(), FormatError> {
    match text.len() {
        0..=MAX_ID_BYTES => Ok(()),
        bytes => Err(FormatError::TooLong { field, bytes }),
    }
}
