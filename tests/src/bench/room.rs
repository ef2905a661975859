//! A room that a remote hosts: its events, all made and signed here.
//!
//! It is public and of version 11. What is in its state grows by members only, so every message
//! has the same state before it, and any number of messages can be made beforehand.

use std::sync::Arc;

use comity_core::keys::OwnKeys;
use comity_core::pdu::auth_content::AuthContent;
use comity_core::pdu::auth_events::{Selector, from_state};
use comity_core::pdu::build::{EventTemplate, build, depth_after};
use comity_core::pdu::event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS};
use comity_core::pdu::{Pdu, RoomVersion, StateKey, StateMap};
use ruma_common::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::clock;
use crate::homeservers::failure::Failure;

/// Of every room here.
pub const VERSION: RoomVersion = RoomVersion::V11;

/// What everybody says: as long as messages of people are.
const WORDS: &str =
    "The quick brown fox jumps over the lazy dog, and so the day goes on as it did.";

/// A user of a remote, who can sign.
#[derive(Clone)]
pub struct Speaker {
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's server.
    pub own: OwnKeys,
}

/// What an event is to say.
pub struct Saying<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// Its state key, if it is a state event.
    pub state_key: Option<&'a str>,
    /// Its content.
    pub content: Value,
}

/// A room as its host knows it.
#[derive(Clone)]
pub struct Room {
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Who made it.
    pub founder: Speaker,
    /// The current state.
    state: StateMap,
    /// The events of the state, the oldest first.
    state_events: Vec<Arc<Pdu>>,
    /// What the next event builds on.
    last: Option<Arc<Pdu>>,
}

impl Room {
    /// Makes a room: public, with its founder in it.
    pub fn found(name: &str, founder: Speaker) -> Result<Self, Failure> {
        let server = founder.own.server_name();
        let room_id = OwnedRoomId::try_from(format!("!{name}:{server}"))
            .map_err(Failure::while_doing("naming a room"))?;
        let mut room = Self {
            room_id,
            founder: founder.clone(),
            state: StateMap::new(),
            state_events: Vec::new(),
            last: None,
        };
        let user = founder.user_id.as_str();
        let levels = json!({ "users": { user: 100 }, "events_default": 0, "state_default": 0 });
        for (event_type, state_key, content) in [
            (CREATE, "", json!({ "room_version": VERSION.as_str() })),
            (MEMBER, user, json!({ "membership": "join" })),
            (POWER_LEVELS, "", levels),
            (JOIN_RULES, "", json!({ "join_rule": "public" })),
            (
                "m.room.history_visibility",
                "",
                json!({ "history_visibility": "shared" }),
            ),
        ] {
            room.set(&founder, event_type, state_key, content)?;
        }
        Ok(room)
    }

    /// Lets somebody in.
    pub fn admit(&mut self, member: &Speaker) -> Result<(), Failure> {
        let content = json!({ "membership": "join", "displayname": member.user_id.localpart() });
        self.set(member, MEMBER, member.user_id.as_str(), content)
    }

    /// Takes in an event that somebody else made.
    pub fn take_in(&mut self, event: Arc<Pdu>) {
        if let Some(state_key) = event.state_key() {
            let key = StateKey::new(event.event_type(), state_key);
            self.state.insert(key, event.event_id().to_owned());
            self.state_events.push(event.clone());
        }
        self.last = Some(event);
    }

    /// What the next event builds on.
    pub fn last(&self) -> Option<&Arc<Pdu>> {
        self.last.as_ref()
    }

    /// The events of the state.
    pub fn state_events(&self) -> &[Arc<Pdu>] {
        &self.state_events
    }

    /// The state events that authorise others: all but those of members, and the founder's.
    pub fn auth_chain(&self) -> impl Iterator<Item = &Arc<Pdu>> {
        let founder = self.founder.user_id.as_str();
        self.state_events.iter().filter(move |event| {
            let is_member = event.event_type() == MEMBER;
            !is_member || event.is_state_for(MEMBER, founder)
        })
    }

    /// So many messages, each building on the one before.
    pub fn line(&mut self, speaker: &Speaker, length: usize) -> Result<Vec<Arc<Pdu>>, Failure> {
        let next = |number| {
            let event = self.message(speaker, number, self.last.as_slice())?;
            self.last = Some(event.clone());
            Ok(event)
        };
        (0..length).map(next).collect()
    }

    /// A message that builds on these events.
    pub fn message(
        &self,
        speaker: &Speaker,
        number: usize,
        previous: &[Arc<Pdu>],
    ) -> Result<Arc<Pdu>, Failure> {
        let saying = Saying {
            event_type: "m.room.message",
            state_key: None,
            content: json!({ "msgtype": "m.text", "body": format!("{number}: {WORDS}") }),
        };
        self.event(speaker, saying, previous)
    }

    /// An event that builds on these and is authorised by the room's state.
    pub fn event(
        &self,
        speaker: &Speaker,
        saying: Saying<'_>,
        previous: &[Arc<Pdu>],
    ) -> Result<Arc<Pdu>, Failure> {
        let template = self.template(&speaker.user_id, saying, previous);
        let own = &speaker.own;
        build(template, VERSION, own.server_name(), own.signing_key())
            .map(Arc::new)
            .map_err(Failure::while_doing("making an event"))
    }

    /// The answer to `make_join`.
    pub fn join_template(&self, user_id: &UserId) -> Value {
        let saying = Saying {
            event_type: MEMBER,
            state_key: Some(user_id.as_str()),
            content: json!({ "membership": "join" }),
        };
        let template = self.template(user_id, saying, self.last.as_slice());
        json!({
            "room_version": VERSION.as_str(),
            "event": {
                "room_id": template.room_id,
                "sender": template.sender,
                "type": template.event_type,
                "state_key": template.state_key,
                "content": template.content,
                "prev_events": template.prev_events,
                "auth_events": template.auth_events,
                "depth": template.depth,
                "origin_server_ts": template.origin_server_ts,
            },
        })
    }

    fn set(
        &mut self,
        speaker: &Speaker,
        event_type: &str,
        state_key: &str,
        content: Value,
    ) -> Result<(), Failure> {
        let saying = Saying {
            event_type,
            state_key: Some(state_key),
            content,
        };
        let event = self.event(speaker, saying, self.last.as_slice())?;
        self.take_in(event);
        Ok(())
    }

    fn template(
        &self,
        sender: &UserId,
        saying: Saying<'_>,
        previous: &[Arc<Pdu>],
    ) -> EventTemplate {
        let content = match saying.content {
            Value::Object(content) => content,
            _ => Map::new(),
        };
        let auth_content = AuthContent::read(saying.event_type, &content, VERSION);
        let selector = Selector {
            event_type: saying.event_type,
            state_key: saying.state_key,
            sender,
            content: &auth_content,
        };
        EventTemplate {
            room_id: Some(self.room_id.clone()),
            sender: sender.to_owned(),
            event_type: saying.event_type.to_owned(),
            state_key: saying.state_key.map(ToOwned::to_owned),
            auth_events: from_state(selector, VERSION, &self.state),
            content,
            redacts: None,
            prev_events: previous
                .iter()
                .map(|one| one.event_id().to_owned())
                .collect(),
            reference_hashes: Default::default(),
            depth: depth_after(previous.iter().map(|event| event.depth())),
            origin_server_ts: clock::now().wall.to_i64(),
        }
    }
}
