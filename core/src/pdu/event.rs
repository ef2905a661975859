//! A persistent data unit (PDU): one event of a room, in the format in which servers exchange it.
//!
//! A [`Pdu`] is parsed once, never changes, and is meant to be shared as `Arc<Pdu>`. It exists only
//! if the event is valid in the format of its room version; that says nothing about its
//! signatures, its content hash or whether it was allowed.
//!
//! It keeps the event's canonical JSON, with every key and value, also those that nobody knows: the
//! text we store and serve. All that another server can tell of an event, its hashes, its id and
//! whose signatures hold, is made of that text, so to others it is the event as it came. White
//! space, the order of keys and escapes that are not needed are no part of it; of a key that is
//! repeated the last one counts. Only `unsigned` is dropped, which no hash and no signature covers
//! and any server on the way may fill with anything. Of the parsed form a [`Pdu`] keeps what the
//! rules of events read; who needs more parses the text again.

use std::fmt;

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};

use super::{
    auth_content::{AuthContent, MemberContent},
    canonical_json::{self, Members, Object},
    event_ids::{self, EventIds},
    event_text::{EventText, Field},
    event_type::REDACTION,
    format::{self, FormatError, NamedMax},
    hash,
    redaction::{redact, signed_pieces, signed_text},
    room_version::RoomVersion,
};

/// One event of a room. See the module for what it promises.
#[derive(Clone)]
pub struct Pdu {
    version: RoomVersion,
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    origin_server_ts: i64,
    depth: u64,
    redacts: Option<OwnedEventId>,
    auth_content: AuthContent,
    text: EventText,
    unescaped: Option<Box<Unescaped>>,
    /// [`Pdu::has_claimed_content`], if it was found out when the event was named.
    has_claimed_content: Option<bool>,
}

/// What the text of an event hardly ever writes with escapes, if it does.
#[derive(Clone)]
struct Unescaped {
    event_type: Box<str>,
    state_key: Box<str>,
    prev_events: Box<[OwnedEventId]>,
    auth_events: Box<[OwnedEventId]>,
}

/// Two events are equal if they are the same bytes of the same event: an event and its redacted
/// form share the id and differ.
impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.event_id == other.event_id && self.json() == other.json()
    }
}

impl Eq for Pdu {}

impl Pdu {
    /// Parses an event that a peer sent: check 1 of "Checks performed on receipt of a PDU".
    ///
    /// The event id is computed, never taken from the peer, but in room versions whose servers
    /// choose the ids of their events.
    pub fn parse(json: impl AsRef<[u8]>, version: RoomVersion) -> Result<Self, FormatError> {
        let text = EventText::parse(json.as_ref(), version, NamedMax::TODAY)?;
        Self::from_text(text, version)
    }

    /// As [`Pdu::parse`], of an event from before our history of a room: it may name more events
    /// than are accepted today (BACKFILL-2).
    pub fn parse_history(
        json: impl AsRef<[u8]>,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        let text = EventText::parse(json.as_ref(), version, NamedMax::ANY)?;
        Self::from_text(text, version)
    }

    /// As [`Pdu::parse`], of an event that is an object already.
    pub fn from_object(event: Object, version: RoomVersion) -> Result<Self, FormatError> {
        Self::from_text(EventText::from_object(&event, version)?, version)
    }

    fn from_text(text: EventText, version: RoomVersion) -> Result<Self, FormatError> {
        let hashes = hash::hashes(&text, version);
        let has_claimed_content = text.claimed_hash() == Some(hashes.content);
        let event_id = hash::name(&text, version, || hashes.reference);
        let event_id = event_id.map_err(|source| FormatError::InvalidId {
            field: "event_id",
            source,
        })?;
        Self::assemble(event_id, text, version, Some(has_claimed_content))
    }

    /// Restores an event from what [`Pdu::event_id`] and [`Pdu::json`] said when it was stored.
    ///
    /// The id is trusted, not computed again. An error means that the store is damaged.
    pub fn from_stored(
        event_id: OwnedEventId,
        json: impl AsRef<[u8]>,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        let text = EventText::parse(json.as_ref(), version, NamedMax::ANY)?;
        Self::assemble(event_id, text, version, None)
    }

    fn assemble(
        event_id: OwnedEventId,
        text: EventText,
        version: RoomVersion,
        has_claimed_content: Option<bool>,
    ) -> Result<Self, FormatError> {
        format::check_envelope(&text, version)?;
        format::check_state_key(&text)?;
        let event_type = format::bounded_string(&text, Field::Type)?;
        let content = format::content(&text)?;
        Ok(Self {
            version,
            room_id: format::room_id(&text, &event_id, version)?,
            event_id,
            sender: format::sender(&text)?,
            origin_server_ts: format::integer(&text, Field::OriginServerTs)?,
            depth: format::depth(&text, version)?,
            redacts: redaction_target(&text, &event_type, version),
            auth_content: auth_content(&event_type, content, version),
            unescaped: Unescaped::of(&text).map(Box::new),
            text,
            has_claimed_content,
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
        match &self.unescaped {
            Some(unescaped) => &unescaped.event_type,
            None => self.text.plain_string(Field::Type).unwrap_or_default(),
        }
    }

    /// The state key of a state event; `None` for other events.
    pub fn state_key(&self) -> Option<&str> {
        let state_key = self.text.plain_string(Field::StateKey)?;
        Some(match &self.unescaped {
            Some(unescaped) => &unescaped.state_key,
            None => state_key,
        })
    }

    /// Whether this is a state event.
    pub fn is_state(&self) -> bool {
        self.text.has(Field::StateKey)
    }

    /// Whether this is the state event for this type and state key.
    pub fn is_state_for(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type() == event_type && self.state_key() == Some(state_key)
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
    pub fn prev_events(&self) -> EventIds<'_> {
        match &self.unescaped {
            Some(unescaped) => EventIds::unescaped(&unescaped.prev_events),
            None => EventIds::written(self.text.get(Field::PrevEvents).unwrap_or_default()),
        }
    }

    /// The state events that are to prove that this one was allowed.
    pub fn auth_events(&self) -> EventIds<'_> {
        match &self.unescaped {
            Some(unescaped) => EventIds::unescaped(&unescaped.auth_events),
            None => EventIds::written(self.text.get(Field::AuthEvents).unwrap_or_default()),
        }
    }

    /// The event's content, parsed.
    pub fn content(&self) -> Object {
        canonical_json::object(self.content_text())
    }

    /// The event's content as canonical JSON.
    pub fn content_text(&self) -> &str {
        self.text.get(Field::Content).unwrap_or_default()
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
        self.text.json()
    }

    /// The event's text, for hashing and signing.
    pub fn text(&self) -> &EventText {
        &self.text
    }

    /// The whole event without `unsigned`, parsed again.
    pub fn object(&self) -> Object {
        canonical_json::object(self.json())
    }

    /// The text that the event's servers signed: what a redaction leaves of it, without signatures.
    pub fn signed_text(&self) -> String {
        signed_text(&self.text, self.version)
    }

    /// Calls `piece` with one piece after the other of [`Pdu::signed_text`], which need not be
    /// copied into one to be hashed.
    pub fn signed_pieces(&self, piece: impl FnMut(&str)) {
        signed_pieces(&self.text, self.version, piece);
    }

    /// The signatures of one server, if it signed.
    pub fn signatures_of(&self, server: &ServerName) -> Option<Signatures<'_>> {
        let signatures = Members::of(self.text.get(Field::Signatures)?);
        signatures.inside(server.as_str()).map(Signatures)
    }

    /// SHA-256 over [`Pdu::signed_text`]: what the event is named by in room versions whose servers
    /// do not choose the ids of their events.
    pub fn reference_hash(&self) -> [u8; 32] {
        hash::reference_hash(&self.text, self.version)
    }

    /// Whether `other` is this event, as it was or redacted. Where servers choose the ids of their
    /// events, one id is not enough to tell.
    pub fn is_same_event(&self, other: &Self) -> bool {
        self.event_id == other.event_id && self.reference_hash() == other.reference_hash()
    }

    /// Whether the event holds what its content hash says: check 3 on receipt of a PDU. If not, the
    /// checks go on with [`Pdu::redacted`].
    pub fn has_claimed_content(&self) -> bool {
        self.has_claimed_content
            .unwrap_or_else(|| self.text.claimed_hash() == Some(hash::content_hash(&self.text)))
    }

    /// The event after a redaction: same id, same signatures, without the content that its room
    /// version lets a redaction remove.
    pub fn redacted(&self) -> Self {
        let text = EventText::of_canonical(redact(&self.text, self.version), self.version);
        let content = text.get(Field::Content).unwrap_or_default();
        Self {
            redacts: redaction_target(&text, self.event_type(), self.version),
            auth_content: auth_content(self.event_type(), content, self.version),
            text,
            has_claimed_content: None,
            ..self.clone()
        }
    }
}

impl Unescaped {
    fn of(text: &EventText) -> Option<Self> {
        let fields = [
            Field::Type,
            Field::StateKey,
            Field::PrevEvents,
            Field::AuthEvents,
        ];
        let has_escapes = |field| text.has_escapes(field);
        let string = |field: Field| text.string(field).unwrap_or_default().into();
        let ids = |field: Field| event_ids::unescaped(text.get(field).unwrap_or_default());
        fields.into_iter().any(has_escapes).then(|| Self {
            event_type: string(Field::Type),
            state_key: string(Field::StateKey),
            prev_events: ids(Field::PrevEvents),
            auth_events: ids(Field::AuthEvents),
        })
    }
}

/// The signatures of one server over an event.
#[derive(Clone, Debug)]
pub struct Signatures<'a>(Members<'a>);

impl<'a> Signatures<'a> {
    /// The ids of the keys that signed.
    pub fn key_ids(self) -> Vec<&'a str> {
        self.0.map(|(key_id, _)| key_id).collect()
    }

    /// The signature with this key, in base64.
    pub fn with_key(&self, key_id: &str) -> Option<&'a str> {
        let (_, signature) = self.0.clone().find(|(name, _)| *name == key_id)?;
        signature.strip_prefix('"')?.strip_suffix('"')
    }
}

fn auth_content(event_type: &str, content: &str, version: RoomVersion) -> AuthContent {
    match AuthContent::is_read_of(event_type) {
        true => AuthContent::read(event_type, &canonical_json::object(content), version),
        false => AuthContent::Other,
    }
}

fn redaction_target(
    event: &EventText,
    event_type: &str,
    version: RoomVersion,
) -> Option<OwnedEventId> {
    if event_type != REDACTION {
        return None;
    }
    let target = match version.rules().redacts_in_content {
        true => canonical_json::member(event.get(Field::Content)?, Field::Redacts.name())?,
        false => event.get(Field::Redacts)?,
    };
    OwnedEventId::try_from(&*canonical_json::text(target)?).ok()
}

impl fmt::Debug for Pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pdu({} {}", self.event_id, self.event_type())?;
        if let Some(state_key) = self.state_key() {
            write!(f, " {state_key:?}")?;
        }
        write!(f, " from {} in {})", self.sender, self.room_id)
    }
}
