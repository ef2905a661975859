//! A persistent data unit (PDU): one event of a room, in the format in which servers exchange it.
//!
//! A [`Pdu`] is parsed once, never changes, and is meant to be shared as `Arc<Pdu>`. It exists only
//! if the event is valid in the format of its room version; that says nothing about its
//! signatures, its content hash or whether it was allowed.
//!
//! It keeps the event as canonical JSON without `unsigned`, which any server on the way may fill
//! with anything: the text we store and serve, with all keys we do not know, since the content hash
//! covers them. Of the parsed form it keeps what the rules of events read; who needs more parses the
//! text again.

use std::{fmt, ops::Range};

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    auth_content::{AuthContent, MemberContent},
    canonical_json::{Object, check_object, object_to_canonical_string, parse_object},
    event_type::REDACTION,
    format::{self, FormatError, MAX_AUTH_EVENTS, MAX_EVENT_BYTES, MAX_PREV_EVENTS},
    hash,
    redaction::redact,
    room_version::RoomVersion,
};

/// One event of a room. See the module for what it promises.
#[derive(Clone)]
pub struct Pdu {
    version: RoomVersion,
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    event_type: Box<str>,
    state_key: Option<Box<str>>,
    sender: OwnedUserId,
    origin_server_ts: i64,
    depth: u64,
    prev_events: Box<[OwnedEventId]>,
    auth_events: Box<[OwnedEventId]>,
    redacts: Option<OwnedEventId>,
    auth_content: AuthContent,
    /// Where the content stands in the text.
    content: Range<usize>,
    json: Box<str>,
}

/// Two events are equal if they are the same bytes of the same event: an event and its redacted
/// form share the id and differ.
impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.event_id == other.event_id && self.json == other.json
    }
}

impl Eq for Pdu {}

impl Pdu {
    /// Parses an event that a peer sent: check 1 of "Checks performed on receipt of a PDU".
    ///
    /// The event id is computed, never taken from the peer.
    pub fn parse(json: impl AsRef<[u8]>, version: RoomVersion) -> Result<Self, FormatError> {
        Self::from_checked(parse_object(json.as_ref())?, version)
    }

    /// As [`Pdu::parse`], of an event that is an object already.
    pub fn from_object(mut event: Object, version: RoomVersion) -> Result<Self, FormatError> {
        check_object(&mut event)?;
        Self::from_checked(event, version)
    }

    /// As [`Pdu::from_object`], of an object that was checked already.
    pub(super) fn from_checked(
        mut event: Object,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        event.remove("unsigned");
        let json = object_to_canonical_string(&event, &[]);
        if json.len() > MAX_EVENT_BYTES {
            return Err(FormatError::TooLarge(json.len()));
        }
        let event_id =
            hash::event_id(&event, version).map_err(|source| FormatError::InvalidId {
                field: "event_id",
                source,
            })?;
        Self::assemble(event_id, event, json.into(), version)
    }

    /// Restores an event from what [`Pdu::event_id`] and [`Pdu::json`] said when it was stored.
    ///
    /// The id is trusted, not computed again. An error means that the store is damaged.
    pub fn from_stored(
        event_id: OwnedEventId,
        json: impl Into<Box<str>>,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        let json = json.into();
        Self::assemble(event_id, parse_object(json.as_bytes())?, json, version)
    }

    fn assemble(
        event_id: OwnedEventId,
        event: Object,
        json: Box<str>,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        format::check_envelope(&event)?;
        let content = format::object(&event, "content")?;
        let event_type = format::bounded_string(&event, "type")?;
        Ok(Self {
            version,
            room_id: format::room_id(&event, &event_id, version)?,
            event_id,
            event_type: event_type.into(),
            state_key: format::state_key(&event)?.map(Into::into),
            sender: format::sender(&event)?,
            origin_server_ts: format::integer(&event, "origin_server_ts")?,
            depth: format::depth(&event)?,
            prev_events: format::event_ids(&event, "prev_events", MAX_PREV_EVENTS)?,
            auth_events: format::event_ids(&event, "auth_events", MAX_AUTH_EVENTS)?,
            redacts: redaction_target(&event, version),
            auth_content: AuthContent::read(event_type, content, version),
            content: content_span(&json),
            json,
        })
    }

    /// The version of the event's room.
    pub fn room_version(&self) -> RoomVersion {
        self.version
    }

    /// The event's id: `$` and its reference hash.
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The event's room. In room version 12 a create event does not name it: it follows from the
    /// event's id.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The event's type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The state key of a state event; `None` for other events.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// Whether this is a state event.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether this is the state event for this type and state key.
    pub fn is_state_for(&self, event_type: &str, state_key: &str) -> bool {
        &*self.event_type == event_type && self.state_key() == Some(state_key)
    }

    /// The user who sent the event.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// The sender's server. A field `origin` that old events carry is not this.
    pub fn origin(&self) -> &ServerName {
        self.sender.server_name()
    }

    /// When the sender's server says it made the event, in milliseconds since the Unix epoch.
    pub fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts
    }

    /// One more than the largest depth of the previous events, if the sender's server was honest.
    pub fn depth(&self) -> u64 {
        self.depth
    }

    /// The events that the sender's server saw as the room's latest.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.prev_events
    }

    /// The state events that are to prove that this one was allowed.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.auth_events
    }

    /// The event's content, parsed.
    pub fn content(&self) -> Object {
        // The text was written from an object or was parsed as one when this value was made.
        serde_json::from_str(self.content_text()).unwrap_or_default()
    }

    /// The event's content as canonical JSON.
    pub fn content_text(&self) -> &str {
        self.json.get(self.content.clone()).unwrap_or_default()
    }

    /// What the authorisation rules read of the content.
    pub fn auth_content(&self) -> &AuthContent {
        &self.auth_content
    }

    /// `content.membership` of a membership event.
    pub fn membership(&self) -> Option<&str> {
        self.auth_content
            .member()
            .and_then(MemberContent::membership)
    }

    /// The event that this redaction asks to redact, from where its room version puts it.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// The event as canonical JSON without `unsigned`: what we store and what we serve to peers.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The whole event without `unsigned`, parsed again.
    pub fn object(&self) -> Object {
        // The text was written from an object or was parsed as one when this value was made.
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// The event after a redaction: same id, same signatures, without the content that its room
    /// version lets a redaction remove.
    pub fn redacted(&self) -> Self {
        let redacted = redact(&self.object(), self.version);
        let json: Box<str> = object_to_canonical_string(&redacted, &[]).into();
        let content = redacted.get("content").and_then(Value::as_object);
        Self {
            redacts: redaction_target(&redacted, self.version),
            auth_content: content.map_or(AuthContent::Other, |content| {
                AuthContent::read(&self.event_type, content, self.version)
            }),
            content: content_span(&json),
            json,
            ..self.clone()
        }
    }
}

/// Where the content stands in the text of an event.
fn content_span(json: &str) -> Range<usize> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let span = |event: Event<'_>| {
        let content = event.content.get();
        let start = content.as_ptr().addr().checked_sub(json.as_ptr().addr())?;
        Some(start..start + content.len())
    };
    serde_json::from_str(json)
        .ok()
        .and_then(span)
        .unwrap_or_default()
}

fn redaction_target(event: &Object, version: RoomVersion) -> Option<OwnedEventId> {
    if event.get("type")?.as_str()? != REDACTION {
        return None;
    }
    let place = match version.rules().redacts_in_content {
        true => event.get("content")?.as_object()?,
        false => event,
    };
    place.get("redacts")?.as_str()?.try_into().ok()
}

impl fmt::Debug for Pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pdu({} {}", self.event_id, self.event_type)?;
        if let Some(state_key) = self.state_key() {
            write!(f, " {state_key:?}")?;
        }
        write!(f, " from {} in {})", self.sender, self.room_id)
    }
}
