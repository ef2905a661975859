//! Making events: hashing and signing what our users send, and adding our signature to what other
//! servers made (server-server API, "Adding hashes and signatures to outgoing events").

use std::collections::BTreeMap;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, ServerName};
use serde_json::{Value, json};

use super::{
    Pdu,
    canonical_json::{self, Object, to_canonical_string},
    event_text::{EventText, Field},
    event_type::CREATE,
    format::{FormatError, MAX_DEPTH},
    hash,
    redaction::signed_text,
    room_version::{EventIds, RoomVersion},
    signing::{SigningKey, insert_signature},
    unpadded_base64,
};

/// Everything that makes up a new event, but its hashes and signatures.
#[derive(Clone, Debug)]
pub struct EventTemplate {
    /// The room; not looked at for a create event whose room id follows from its event id.
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its content, without the target of a redaction.
    pub content: Object,
    /// The target of a redaction, which is put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// The room's forward extremities, at most [`super::format::MAX_PREV_EVENTS`].
    pub prev_events: Vec<OwnedEventId>,
    /// The events selected by [`super::auth_events`].
    pub auth_events: Vec<OwnedEventId>,
    /// [`Pdu::reference_hash`] of every event in the two lists, where servers choose event ids;
    /// elsewhere nobody looks here.
    pub reference_hashes: BTreeMap<OwnedEventId, [u8; 32]>,
    /// One more than the largest depth of the previous events: [`depth_after`].
    pub depth: u64,
    /// Now, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
}

/// The depth of an event that follows events of these depths: 1 for the first event of a room.
pub fn depth_after(previous: impl IntoIterator<Item = u64>) -> u64 {
    previous
        .into_iter()
        .max()
        .unwrap_or(0)
        .saturating_add(1)
        .min(MAX_DEPTH)
}

/// The [`EventTemplate::reference_hashes`] of these events.
pub fn reference_hashes<'a>(
    events: impl IntoIterator<Item = &'a Pdu>,
) -> BTreeMap<OwnedEventId, [u8; 32]> {
    let pair = |event: &Pdu| (event.event_id().to_owned(), event.reference_hash());
    events.into_iter().map(pair).collect()
}

/// Builds, hashes and signs an event. Fails if it is not valid in the format of its room version,
/// for instance too large.
pub fn build(
    template: EventTemplate,
    version: RoomVersion,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, FormatError> {
    sign_event(template.into_object(version)?, version, server, key)
}

/// Completes the template of a membership event that a resident server made for us (`make_join`,
/// `make_leave`, `make_knock`): sets its time, then names, hashes and signs it.
///
/// The caller checks that the result is the event it asked for: room, sender, state key, content.
pub fn complete_template(
    mut template: Object,
    origin_server_ts: i64,
    version: RoomVersion,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, FormatError> {
    for field in ["event_id", "hashes", "signatures", "unsigned"] {
        template.remove(field);
    }
    template.insert("origin_server_ts".to_owned(), origin_server_ts.into());
    sign_event(template, version, server, key)
}

fn sign_event(
    mut event: Object,
    version: RoomVersion,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, FormatError> {
    if version.rules().event_ids == EventIds::Chosen {
        let hash = hash::content_hash(&EventText::from_object(&event, version)?);
        let id = format!("${}:{server}", unpadded_base64::encode_url_safe(&hash));
        event.insert("event_id".to_owned(), id.into());
    }
    let hash = hash::content_hash(&EventText::from_object(&event, version)?);
    let hashes = json!({ "sha256": unpadded_base64::encode(&hash) });
    event.insert("hashes".to_owned(), hashes);
    let text = EventText::from_object(&event, version)?;
    let signature = key.sign(signed_text(&text, version).as_bytes());
    insert_signature(&mut event, server, key.key_id(), signature);
    Pdu::from_object(event, version)
}

impl Pdu {
    /// This event with our signature added to those it has. Fails if that makes it too large.
    pub fn signed_by(&self, server: &ServerName, key: &SigningKey) -> Result<Self, FormatError> {
        let signature = key.sign(self.signed_text().as_bytes());
        self.with_signature(server, key.key_id(), signature)
    }

    /// This event with a server's signature, in base64, added to those it has. Fails if that makes
    /// it too large.
    pub fn with_signature(
        &self,
        server: &ServerName,
        key_id: &str,
        signature: String,
    ) -> Result<Self, FormatError> {
        let mut signed = Object::new();
        let signatures = self.text().get(Field::Signatures).unwrap_or_default();
        let signatures = Value::Object(canonical_json::object(signatures));
        signed.insert(Field::Signatures.name().to_owned(), signatures);
        insert_signature(&mut signed, server, key_id, signature);
        let signatures = signed.remove(Field::Signatures.name()).unwrap_or_default();
        let signatures = to_canonical_string(&signatures);
        Self::parse(
            self.text().with(Field::Signatures, &signatures),
            self.room_version(),
        )
    }
}

impl EventTemplate {
    fn into_object(mut self, version: RoomVersion) -> Result<Object, FormatError> {
        let rules = version.rules();
        let mut event = Object::new();
        event.insert(
            "prev_events".to_owned(),
            self.names(&self.prev_events, version)?,
        );
        event.insert(
            "auth_events".to_owned(),
            self.names(&self.auth_events, version)?,
        );
        if let Some(target) = self.redacts {
            let place = match rules.redacts_in_content {
                true => &mut self.content,
                false => &mut event,
            };
            place.insert("redacts".to_owned(), target.as_str().into());
        }
        if let Some(state_key) = self.state_key {
            event.insert("state_key".to_owned(), state_key.into());
        }
        let names_room = !(rules.room_id_is_create_event && self.event_type == CREATE);
        if let Some(room_id) = self.room_id.filter(|_| names_room) {
            event.insert("room_id".to_owned(), room_id.as_str().into());
        }
        event.insert("type".to_owned(), self.event_type.into());
        event.insert("sender".to_owned(), self.sender.as_str().into());
        event.insert("content".to_owned(), Value::Object(self.content));
        event.insert("depth".to_owned(), self.depth.into());
        event.insert("origin_server_ts".to_owned(), self.origin_server_ts.into());
        Ok(event)
    }

    /// The list that names these events.
    fn names(&self, events: &[OwnedEventId], version: RoomVersion) -> Result<Value, FormatError> {
        if version.rules().event_ids != EventIds::Chosen {
            return Ok(json!(events));
        }
        let pair = |event_id: &OwnedEventId| {
            let hash = self.reference_hashes.get(event_id);
            let hash = hash.ok_or_else(|| FormatError::UnknownReferenceHash(event_id.clone()))?;
            Ok(json!([event_id, { "sha256": unpadded_base64::encode(hash) }]))
        };
        events.iter().map(pair).collect()
    }
}
