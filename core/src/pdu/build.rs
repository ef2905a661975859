//! Making events: hashing and signing what our users send, and adding our signature to what other
//! servers made (server-server API, "Adding hashes and signatures to outgoing events").

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, ServerName};
use serde_json::{Value, json};

use super::{
    Pdu,
    canonical_json::{Object, check_object},
    event_type::CREATE,
    format::{FormatError, MAX_DEPTH},
    hash,
    room_version::RoomVersion,
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

/// Builds, hashes and signs an event. Fails if it is not valid in the format of its room version,
/// for instance too large.
pub fn build(
    template: EventTemplate,
    version: RoomVersion,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, FormatError> {
    sign_event(template.into_object(version), version, server, key)
}

/// Completes the template of a membership event that a resident server made for us (`make_join`,
/// `make_leave`, `make_knock`): sets its time, then hashes and signs it.
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
    check_object(&mut event)?;
    let content_hash = unpadded_base64::encode(&hash::content_hash(&event));
    event.insert("hashes".to_owned(), json!({ "sha256": content_hash }));
    let signature = key.sign(hash::signed_text(&event, version).as_bytes());
    insert_signature(&mut event, server, key.key_id(), signature);
    Pdu::from_checked(event, version)
}

impl Pdu {
    /// This event with our signature added to those it has. Fails if that makes it too large.
    pub fn signed_by(&self, server: &ServerName, key: &SigningKey) -> Result<Self, FormatError> {
        let mut event = self.object();
        let signature = key.sign(hash::signed_text(&event, self.room_version()).as_bytes());
        insert_signature(&mut event, server, key.key_id(), signature);
        Self::from_checked(event, self.room_version())
    }
}

impl EventTemplate {
    fn into_object(self, version: RoomVersion) -> Object {
        let rules = version.rules();
        let mut content = self.content;
        let mut event = Object::new();
        if let Some(target) = self.redacts {
            let place = if rules.redacts_in_content {
                &mut content
            } else {
                &mut event
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
        event.insert("content".to_owned(), Value::Object(content));
        event.insert("prev_events".to_owned(), json!(self.prev_events));
        event.insert("auth_events".to_owned(), json!(self.auth_events));
        event.insert("depth".to_owned(), self.depth.into());
        event.insert("origin_server_ts".to_owned(), self.origin_server_ts.into());
        event
    }
}
