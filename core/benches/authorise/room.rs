//! A public room of any size, and what is sent to it.

use std::{collections::HashMap, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

const CREATOR: &str = "@creator:example.org";

/// A room of version 11.
pub struct Room {
    pub members: usize,
    pub create: Arc<Pdu>,
    pub state: StateMap,
    pub events: HashMap<OwnedEventId, Arc<Pdu>>,
}

impl Room {
    pub fn new(members: usize) -> Self {
        let create = json!({ "room_version": "11" });
        let mut room = Self {
            members,
            create: Arc::new(event(CREATOR, CREATE, Some(""), &create)),
            state: StateMap::new(),
            events: HashMap::new(),
        };
        room.set(CREATOR, CREATE, "", &create);
        room.set(CREATOR, POWER_LEVELS, "", &power_levels(28));
        room.set(CREATOR, JOIN_RULES, "", &json!({ "join_rule": "public" }));
        for user in (0..members).map(member).chain([CREATOR.to_owned()]) {
            room.set(&user, MEMBER, &user, &json!({ "membership": "join" }));
        }
        room
    }

    fn set(&mut self, sender: &str, event_type: &str, state_key: &str, content: &Value) {
        let event = event(sender, event_type, Some(state_key), content);
        let (key, id) = (StateKey::new(event_type, state_key), event.event_id());
        self.state.insert(key, id.to_owned());
        self.events.insert(id.to_owned(), Arc::new(event));
    }
}

/// Somebody in the middle of the room says something.
pub fn message(room: &Room) -> Pdu {
    let content = json!({ "body": "hello", "msgtype": "m.text" });
    event(&member(room.members / 2), "m.room.message", None, &content)
}

/// One more comes in.
pub fn member_join(room: &Room) -> Pdu {
    let user = member(room.members);
    event(&user, MEMBER, Some(&user), &json!({ "membership": "join" }))
}

/// One more user gets a level.
pub fn more_power_levels(_: &Room) -> Pdu {
    event(CREATOR, POWER_LEVELS, Some(""), &power_levels(29))
}

fn member(number: usize) -> String {
    format!("@user{number}:server{}.example", number % 100)
}

fn power_levels(moderators: usize) -> Value {
    let mut levels = json!({
        "users": { CREATOR: 100 },
        "events": {
            "m.room.name": 50, "m.room.avatar": 50, "m.room.topic": 50,
            "m.room.canonical_alias": 50, "m.room.history_visibility": 100,
            "m.room.power_levels": 100, "m.room.encryption": 100, "m.room.tombstone": 100,
        },
        "users_default": 0, "events_default": 0, "state_default": 50,
        "ban": 50, "kick": 50, "redact": 50, "invite": 0,
    });
    for number in 0..moderators {
        levels["users"][format!("@moderator{number}:example.org")] = 50.into();
    }
    levels
}

/// The rules that are measured ask neither for hashes and signatures nor for the graph.
fn event(sender: &str, event_type: &str, state_key: Option<&str>, content: &Value) -> Pdu {
    let mut event = json!({
        "room_id": "!room:example.org", "sender": sender, "type": event_type, "content": content,
        "prev_events": [], "auth_events": [], "depth": 7, "origin_server_ts": 1_700_000_000_000_i64,
        "signatures": {}, "hashes": { "sha256": "A".repeat(43) },
    });
    if let Some(state_key) = state_key {
        event["state_key"] = state_key.into();
    }
    Pdu::parse(event.to_string(), RoomVersion::V11).unwrap()
}
