//! A room whose events tests make one by one, on any state they like, and what ruma says of them.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    auth_content::AuthContent,
    auth_events,
    auth_events::Selector,
    build::{EventTemplate, build, depth_after, reference_hashes},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
    signing::{KnownKeys, PublicKey, SigningKey, VerifyKey},
};
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId};
use serde_json::{Map, Value, json};

pub const CREATOR: &str = "@creator:a.example";
/// With level 50.
pub const MODERATOR: &str = "@moderator:a.example";
pub const ALICE: &str = "@alice:b.example";
pub const BOB: &str = "@bob:c.example";

pub fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:1", &[7; 32]).unwrap()
}

/// The key with which every server of the tests signs, valid until this time.
pub fn keys_of(servers: &[&str], valid_until: i64) -> KnownKeys {
    let verify_key = VerifyKey {
        key_id: key().key_id().to_owned(),
        public_key: PublicKey::new(key().public_key()),
        valid_until,
        retired: false,
    };
    servers
        .iter()
        .map(|s| {
            (
                OwnedServerName::try_from(*s).unwrap(),
                Arc::new([verify_key.clone()]) as _,
            )
        })
        .collect()
}

/// Property tests try the same cases on every run, so that a failure is one for everybody.
pub fn same_cases_each_time(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

pub fn user(id: &str) -> OwnedUserId {
    OwnedUserId::try_from(id).unwrap()
}

pub struct Room {
    pub version: RoomVersion,
    pub create: Arc<Pdu>,
    /// Every event made so far.
    pub events: BTreeMap<OwnedEventId, Arc<Pdu>>,
    /// The state that the usual first events left.
    pub state: StateMap,
    clock: i64,
}

impl Room {
    /// A room with its create event only.
    pub fn created(version: RoomVersion, extra: Value) -> Self {
        let mut content = json!({ "room_version": version.as_str() });
        if version.rules().creator_in_content {
            content["creator"] = CREATOR.into();
        }
        let mut content = object(content);
        content.extend(object(extra));
        let template = EventTemplate {
            reference_hashes: BTreeMap::new(),
            room_id: Some(OwnedRoomId::try_from("!room:a.example").unwrap()),
            sender: user(CREATOR),
            event_type: CREATE.to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
            prev_events: vec![],
            auth_events: vec![],
            depth: 1,
            origin_server_ts: 1,
        };
        let create = Arc::new(sign(template, version));
        let mut room = Self {
            version,
            create: create.clone(),
            events: BTreeMap::new(),
            state: StateMap::new(),
            clock: 1,
        };
        room.keep(&create);
        room.state = room.after(&StateMap::new(), &create);
        room
    }

    /// A public room with its creator, a moderator and Alice in it.
    pub fn new(version: RoomVersion) -> Self {
        let mut room = Self::created(version, json!({}));
        room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
        let levels = room.usual_levels();
        room.put(CREATOR, POWER_LEVELS, "", levels);
        room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": "public" }));
        room.put(
            MODERATOR,
            MEMBER,
            MODERATOR,
            json!({ "membership": "join" }),
        );
        room.put(ALICE, MEMBER, ALICE, json!({ "membership": "join" }));
        room
    }

    /// The creator's level of 100 is given where creators need one.
    pub fn usual_levels(&self) -> Value {
        let mut levels = json!({ "users": { MODERATOR: 50 } });
        if !self.version.rules().creators_above_levels {
            levels["users"][CREATOR] = 100.into();
        }
        levels
    }

    /// Makes a state event on the present state, which then holds it, allowed or not.
    pub fn put(
        &mut self,
        sender: &str,
        event_type: &str,
        state_key: &str,
        content: Value,
    ) -> Arc<Pdu> {
        let state = self.state.clone();
        let event = self.make(&state, sender, event_type, Some(state_key), content);
        self.state = self.after(&state, &event);
        event
    }

    /// Makes an event on this state, with the auth events that belong to it.
    pub fn make(
        &mut self,
        state: &StateMap,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Arc<Pdu> {
        let template = self.template(state, sender, event_type, state_key, content);
        self.add(template)
    }

    pub fn template(
        &mut self,
        state: &StateMap,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> EventTemplate {
        let content = object(content);
        let sender = user(sender);
        let auth_content = AuthContent::read(event_type, &content, self.version);
        let selector = Selector {
            event_type,
            state_key,
            sender: &sender,
            content: &auth_content,
        };
        let auth_events = auth_events::from_state(selector, self.version, state);
        let last = self
            .events
            .values()
            .max_by_key(|event| event.origin_server_ts())
            .unwrap();
        self.clock += 1;
        let named = auth_events.iter().map(|event_id| &*self.events[event_id]);
        EventTemplate {
            reference_hashes: reference_hashes(named.chain([&**last])),
            room_id: Some(self.create.room_id().to_owned()),
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            redacts: None,
            prev_events: vec![last.event_id().to_owned()],
            auth_events,
            depth: depth_after([last.depth()]),
            origin_server_ts: self.clock,
            sender,
            content,
        }
    }

    pub fn add(&mut self, template: EventTemplate) -> Arc<Pdu> {
        let event = Arc::new(sign(template, self.version));
        self.keep(&event);
        event
    }

    fn keep(&mut self, event: &Arc<Pdu>) {
        self.events
            .insert(event.event_id().to_owned(), event.clone());
    }

    pub fn after(&self, state: &StateMap, event: &Pdu) -> StateMap {
        let mut state = state.clone();
        let key = StateKey::new(event.event_type(), event.state_key().unwrap());
        state.insert(key, event.event_id().to_owned());
        state
    }

    /// The events of a state.
    pub fn view(&self, state: &StateMap) -> Vec<Arc<Pdu>> {
        state
            .iter()
            .map(|(_, event_id)| self.events[event_id].clone())
            .collect()
    }
}

fn sign(template: EventTemplate, version: RoomVersion) -> Pdu {
    let server = <&UserId>::try_from(template.sender.as_str())
        .unwrap()
        .server_name()
        .to_owned();
    build(template, version, &server, &key()).unwrap()
}
