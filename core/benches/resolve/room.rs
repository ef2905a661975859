//! Rooms of any size, and the conflicts to resolve in them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use comity_core::pdu::{
    Pdu, RoomVersion, StateMap,
    auth_content::AuthContent,
    auth_events::{self, Selector},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::EventLookup,
    unpadded_base64,
};
use ruma_common::{EventId, OwnedEventId, UserId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const CREATOR: &str = "@creator:example.org";

/// A room that grows, and the states to resolve.
pub struct Room {
    version: RoomVersion,
    pub events: BTreeMap<OwnedEventId, Arc<Pdu>>,
    room_id: String,
}

/// The states that a fork left, in a room.
pub struct Case {
    pub version: RoomVersion,
    /// In a map of the kind that ruma's events are in.
    pub events: HashMap<OwnedEventId, Arc<Pdu>>,
    pub states: Vec<StateMap>,
    /// Which events name an event among their auth events: what a store answers from an index.
    cited_by: HashMap<OwnedEventId, Vec<OwnedEventId>>,
}

impl EventLookup for Case {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.events.get(event_id)
    }

    fn is_rejected(&self, _: &EventId) -> bool {
        false
    }

    fn cited_by(&self, event_id: &EventId) -> Option<&[OwnedEventId]> {
        Some(self.cited_by.get(event_id).map_or(&[], |citing| citing))
    }
}

impl Room {
    /// A public room with this many members, and the state in which they joined.
    pub fn new(version: RoomVersion, members: usize) -> (Self, StateMap) {
        let mut room = Self {
            version,
            events: BTreeMap::new(),
            room_id: "!room:example.org".to_owned(),
        };
        let mut state = StateMap::new();
        let create = json!({ "room_version": version.as_str(), "creator": CREATOR });
        let create = room.send(&mut state, CREATOR, (CREATE, ""), create);
        if version.rules().room_id_is_create_event {
            room.room_id = create.as_str().replace('$', "!");
        }
        room.join(&mut state, CREATOR);
        let levels = room.levels(0);
        room.send(&mut state, CREATOR, (POWER_LEVELS, ""), levels);
        let public = json!({ "join_rule": "public" });
        room.send(&mut state, CREATOR, (JOIN_RULES, ""), public);
        for number in 0..members {
            room.join(&mut state, &member(number));
        }
        (room, state)
    }

    fn join(&mut self, state: &mut StateMap, user: &str) {
        let content = json!({ "membership": "join" });
        self.send(state, user, (MEMBER, user), content);
    }

    fn rename(&mut self, state: &mut StateMap, number: usize, name: &str) {
        let content = json!({ "membership": "join", "displayname": name });
        self.send(state, &member(number), (MEMBER, &member(number)), content);
    }

    /// Power levels that anybody may use to set the room's features, and nobody else has.
    fn levels(&self, number: usize) -> Value {
        let mut levels = json!({ "events": { "feature": 0 }, "number": number });
        if !self.version.rules().creators_above_levels {
            levels["users"] = json!({ CREATOR: 100 });
        }
        levels
    }

    /// A state event that follows this state and becomes part of it.
    fn send(
        &mut self,
        state: &mut StateMap,
        sender: &str,
        (event_type, state_key): (&str, &str),
        content: Value,
    ) -> OwnedEventId {
        let sender = <&UserId>::try_from(sender).unwrap();
        let content: Map<String, Value> = content.as_object().unwrap().clone();
        let auth_content = AuthContent::read(event_type, &content, self.version);
        let selector = Selector {
            event_type,
            state_key: Some(state_key),
            sender,
            content: &auth_content,
        };
        let auth_events = auth_events::from_state(selector, self.version, state);
        let number = self.events.len();
        let event_id = format!(
            "${}",
            unpadded_base64::encode_url_safe(&Sha256::digest(number.to_be_bytes()))
        );
        let mut event = json!({
            "type": event_type, "state_key": state_key, "sender": sender, "content": content,
            "auth_events": auth_events, "prev_events": [], "depth": number, "origin_server_ts": number,
            "hashes": { "sha256": "" }, "signatures": {},
        });
        if event_type != CREATE || !self.version.rules().room_id_is_create_event {
            event["room_id"] = self.room_id.clone().into();
        }
        let event_id = OwnedEventId::try_from(event_id).unwrap();
        let event = Pdu::from_stored(event_id.clone(), event.to_string(), self.version).unwrap();
        self.events.insert(event_id.clone(), Arc::new(event));
        state.set((event_type, state_key), &event_id);
        event_id
    }

    fn with(self, states: Vec<StateMap>) -> Case {
        let mut cited_by = HashMap::<OwnedEventId, Vec<OwnedEventId>>::new();
        for (event_id, event) in &self.events {
            for cited in event.auth_events() {
                let citing = cited_by.entry(cited.to_owned()).or_default();
                citing.push(event_id.clone());
            }
        }
        Case {
            version: self.version,
            events: self.events.into_iter().collect(),
            states,
            cited_by,
        }
    }
}

fn member(number: usize) -> String {
    format!("@member{number:06}:server{}.example.org", number % 100)
}

/// 20 events on one branch and 21 on the other: renames, features, a ban, and power levels that
/// were changed twice, so that the first change is in the auth difference.
pub fn small_conflict(version: RoomVersion, members: usize) -> Case {
    let (mut room, state) = Room::new(version, members);
    let mut branches = [state.clone(), state];
    for (branch, state) in branches.iter_mut().enumerate() {
        for number in 0..9 {
            room.rename(state, 10 * branch + number, "new");
            let feature = json!({ "branch": branch });
            let key = number.to_string();
            room.send(state, &member(number), ("feature", &key), feature);
        }
    }
    let [one, other] = &mut branches;
    for number in 1..=2 {
        let levels = room.levels(number);
        room.send(one, CREATOR, (POWER_LEVELS, ""), levels);
    }
    for number in 30..33 {
        let target = member(number);
        let ban = json!({ "membership": "ban" });
        room.send(other, CREATOR, (MEMBER, &target), ban);
    }
    room.with(branches.to_vec())
}

/// Every one of so many members has another name on each branch.
pub fn wide_conflict(version: RoomVersion, members: usize, keys: usize) -> Case {
    let (mut room, state) = Room::new(version, members);
    let mut branches = [state.clone(), state];
    for (branch, state) in branches.iter_mut().enumerate() {
        for number in 0..keys {
            room.rename(state, number, ["this", "that"][branch]);
        }
    }
    room.with(branches.to_vec())
}

/// On each branch so many changes of the power levels, and after each of them a rename.
pub fn long_conflict(version: RoomVersion, length: usize) -> Case {
    let (mut room, state) = Room::new(version, length);
    let mut branches = [state.clone(), state];
    for (branch, state) in branches.iter_mut().enumerate() {
        for number in 0..length {
            let levels = room.levels(2 * number + branch + 1);
            room.send(state, CREATOR, (POWER_LEVELS, ""), levels);
            room.rename(state, number, ["this", "that"][branch]);
        }
    }
    room.with(branches.to_vec())
}

impl Case {
    /// The event of an id that occurs in the states or their auth chains.
    pub fn event(&self, event_id: &EventId) -> &Arc<Pdu> {
        &self.events[event_id]
    }
}
