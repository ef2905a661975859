//! The events of a room so far, and what a state of them says.

use std::collections::BTreeMap;

use comity_core::pdu::{RoomVersion, canonical_json::Object};
use serde_json::Value;

use super::{dice::Dice, draft::reference_hash};

/// A state of the room: event ids by type and state key.
pub type State = BTreeMap<(String, String), String>;

/// What came of judging an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is part of the room.
    Allowed,
    /// The state before it forbids it.
    RejectedByState,
    /// It is wrong by itself or by its own auth events, so that no state ever holds it.
    Rejected,
}

/// An event that became known.
#[derive(Clone, Debug)]
pub struct KnownEvent {
    /// Its id.
    pub event_id: String,
    /// The room it belongs to.
    pub room_id: String,
    /// The event, as it was kept.
    pub event: Value,
    /// Its type and state key, if it is a state event.
    pub key: Option<(String, String)>,
    /// What came of judging it.
    pub standing: Standing,
    /// How other events name it.
    reference: Value,
}

impl KnownEvent {
    /// An event that was received.
    pub fn new(
        event_id: &str,
        room_id: &str,
        kept: &str,
        standing: Standing,
        version: RoomVersion,
    ) -> Self {
        let event: Value = serde_json::from_str(kept).expect("what was kept is JSON");
        let text_at = |field: &str| event[field].as_str().map(ToOwned::to_owned);
        let pairs = version.rules().event_ids == comity_core::pdu::room_version::EventIds::Chosen;
        let reference = match event.as_object() {
            Some(object) if pairs => {
                let hash = reference_hash(object, version);
                serde_json::json!([event_id, { "sha256": hash }])
            }
            _ => event_id.into(),
        };
        Self {
            event_id: event_id.to_owned(),
            room_id: room_id.to_owned(),
            key: text_at("type").zip(text_at("state_key")),
            event,
            standing,
            reference,
        }
    }

    /// Whether it was rejected for any reason.
    pub fn is_rejected(&self) -> bool {
        self.standing != Standing::Allowed
    }

    /// How another event names it among its previous or auth events.
    pub fn reference(&self) -> Value {
        self.reference.clone()
    }

    /// The event with its id and its standing, for people to read.
    pub fn as_json(&self) -> Value {
        let mut event = self.event.clone();
        event["event_id"] = self.event_id.as_str().into();
        event["standing"] = format!("{:?}", self.standing).into();
        event
    }

    /// A field of its content, null if there is none.
    pub fn content(&self, field: &str) -> &Value {
        &self.event["content"][field]
    }
}

/// The events of a room and one state of them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub version: RoomVersion,
    pub events: &'a BTreeMap<String, KnownEvent>,
    pub state: &'a State,
}

impl<'a> View<'a> {
    pub fn get(&self, event_type: &str, state_key: &str) -> Option<&'a KnownEvent> {
        let key = (event_type.to_owned(), state_key.to_owned());
        self.events.get(self.state.get(&key)?)
    }

    pub fn membership(&self, user: &str) -> &'a str {
        let member = self.get("m.room.member", user);
        let membership = member.and_then(|member| member.content("membership").as_str());
        membership.unwrap_or("leave")
    }

    /// One of these users who is a member of this kind.
    pub fn user_who_is(
        &self,
        dice: &mut Dice,
        membership: &str,
        users: &[&'static str],
    ) -> Option<&'static str> {
        let members = users.iter().copied();
        dice.choose(members.filter(|user| self.membership(user) == membership))
    }

    /// The content of the state event of this type, empty if there is none.
    pub fn content(&self, event_type: &str) -> Object {
        let content = self
            .get(event_type, "")
            .and_then(|event| event.event["content"].as_object());
        content.cloned().unwrap_or_default()
    }

    /// The state events that belong into the `auth_events` of this event.
    pub fn auth_events(&self, event: &Object) -> Vec<Value> {
        let keys = auth_keys(event, self.version);
        let known = keys
            .iter()
            .filter_map(|(event_type, key)| self.get(event_type, key));
        known.map(KnownEvent::reference).collect()
    }
}

/// The types and state keys of the auth events (server-server API, "Auth events selection").
fn auth_keys(event: &Object, version: RoomVersion) -> Vec<(&'static str, String)> {
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let content = event.get("content").unwrap_or(&Value::Null);
    if text("type") == "m.room.create" {
        return Vec::new();
    }
    let mut keys = vec![
        ("m.room.power_levels", String::new()),
        ("m.room.member", text("sender").to_owned()),
    ];
    if !version.rules().room_id_is_create_event {
        keys.push(("m.room.create", String::new()));
    }
    if text("type") == "m.room.member" {
        let membership = content["membership"].as_str().unwrap_or_default();
        keys.push(("m.room.member", text("state_key").to_owned()));
        if ["join", "invite", "knock"].contains(&membership) {
            keys.push(("m.room.join_rules", String::new()));
        }
        if let Some(token) = content["third_party_invite"]["signed"]["token"].as_str()
            && membership == "invite"
        {
            keys.push(("m.room.third_party_invite", token.to_owned()));
        }
        if let Some(user) = content["join_authorised_via_users_server"].as_str()
            && membership == "join"
            && version.rules().restricted
        {
            keys.push(("m.room.member", user.to_owned()));
        }
    }
    keys.sort();
    keys.dedup();
    keys
}
