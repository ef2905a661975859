//! A liar who is in a room: `@eve:liar` makes events that nobody should make.

use std::collections::BTreeMap;

use comity_core::{
    keys::OwnKeys,
    messaging::{command::Preset, notice::Notice},
    pdu::{
        Pdu, RoomVersion, StateKey, StateMap,
        auth_content::AuthContent,
        auth_events::{Selector, from_state},
        build::{self, EventTemplate},
        event_type::CREATE,
        room_version::EventIds,
        unpadded_base64,
    },
    transport::remote_request::{Endpoint, SignedEvent},
};
use comity_tests::simulation::{Liar, Network};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::stage::{Stage, object, room};

/// What the liar knows of a room.
#[derive(Clone)]
pub struct Forger {
    pub own: OwnKeys,
    pub room_id: OwnedRoomId,
    pub version: RoomVersion,
    pub state: StateMap,
    /// The events of the state and of what authorises it.
    pub events: Vec<Pdu>,
    /// What the next event builds on.
    pub last: Pdu,
    transactions: u32,
}

pub fn eve() -> OwnedUserId {
    "@eve:liar".try_into().unwrap()
}

/// Adds a liar to the network and lets Eve join the stage's room.
pub fn infiltrate(stage: &mut Stage, version: RoomVersion) -> Forger {
    stage.network.add_liar(Liar::new("liar"));
    let own = stage.network.liar("liar").own.clone();
    let endpoint = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    let made = body(&stage.network.ask("liar", "one", endpoint));
    let now = stage.network.now().wall.to_i64();
    let (name, key) = (own.server_name(), own.signing_key());
    let template = object(made["event"].clone());
    let join = build::complete_template(template, now, version, name, key).unwrap();
    let endpoint = Endpoint::SendJoin(signed(&join, join.json().to_owned()));
    let joined = body(&stage.network.ask("liar", "one", endpoint));
    let parse = |event: &Value| Pdu::parse(event.to_string(), version).unwrap();
    let list = |name: &str| joined[name].as_array().unwrap().clone();
    let mut forger = Forger {
        own,
        room_id: stage.room_id.clone(),
        version,
        state: StateMap::new(),
        events: list("auth_chain").iter().map(parse).collect(),
        last: join.clone(),
        transactions: 0,
    };
    for event in list("state").iter().map(parse) {
        forger.learn(event);
    }
    forger.learn(join);
    forger
}

pub fn signed(event: &Pdu, body: String) -> SignedEvent {
    SignedEvent {
        room_id: event.room_id().to_owned(),
        event_id: event.event_id().to_owned(),
        body,
    }
}

pub fn body(response: &http::Response<bytes::Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

impl Forger {
    /// A room that the liar itself makes: public, with Eve in it.
    pub fn with_a_room(own: OwnKeys, version: RoomVersion) -> Self {
        let room_id: OwnedRoomId = "!trap:liar".try_into().unwrap();
        let content = json!({ "room_version": version.as_str(), "creator": "@eve:liar" });
        let template = EventTemplate {
            reference_hashes: BTreeMap::new(),
            room_id: Some(room_id),
            sender: eve(),
            event_type: CREATE.to_owned(),
            state_key: Some(String::new()),
            content: object(content),
            redacts: None,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            depth: 1,
            origin_server_ts: 1,
        };
        let create = build::build(template, version, own.server_name(), own.signing_key()).unwrap();
        let mut forger = Self {
            own,
            room_id: create.room_id().to_owned(),
            version,
            state: StateMap::new(),
            events: Vec::new(),
            last: create.clone(),
            transactions: 0,
        };
        forger.learn(create);
        for (event_type, state_key, content) in [
            (
                "m.room.member",
                "@eve:liar",
                json!({ "membership": "join" }),
            ),
            ("m.room.join_rules", "", json!({ "join_rule": "public" })),
        ] {
            let event = forger.event(event_type, Some(state_key), content);
            forger.learn(event.clone());
            forger.last = event;
        }
        forger
    }

    /// Takes a state event into the state.
    pub fn learn(&mut self, event: Pdu) {
        let key = StateKey::new(event.event_type(), event.state_key().unwrap());
        self.state.insert(key, event.event_id().to_owned());
        self.events.push(event);
    }

    /// An event by Eve that builds on the last one, authorised as it should be.
    pub fn event(&self, event_type: &str, state_key: Option<&str>, content: Value) -> Pdu {
        let last = (self.last.event_id().to_owned(), self.last.depth());
        self.event_after(&[last], event_type, state_key, content)
    }

    /// The same, building on events of these ids and depths.
    pub fn event_after(
        &self,
        previous: &[(OwnedEventId, u64)],
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Pdu {
        let content = object(content);
        let sender = eve();
        let auth_content = AuthContent::read(event_type, &content, self.version);
        let selector = Selector {
            event_type,
            state_key,
            sender: &sender,
            content: &auth_content,
        };
        let template = EventTemplate {
            reference_hashes: self.reference_hashes(previous),
            room_id: Some(self.room_id.clone()),
            sender: sender.clone(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            auth_events: from_state(selector, self.version, &self.state),
            content,
            redacts: None,
            prev_events: previous.iter().map(|(id, _)| id.clone()).collect(),
            depth: build::depth_after(previous.iter().map(|(_, depth)| *depth)),
            origin_server_ts: 1_700_000_000_000,
        };
        let own = &self.own;
        build::build(template, self.version, own.server_name(), own.signing_key()).unwrap()
    }

    /// A redaction by Eve that builds on the last event.
    pub fn redaction(&self, target: &OwnedEventId) -> Pdu {
        let plain = self.event("m.room.redaction", None, json!({}));
        let mut object = plain.object();
        let place = match self.version.rules().redacts_in_content {
            true => object["content"].as_object_mut().unwrap(),
            false => &mut object,
        };
        place.insert("redacts".to_owned(), target.as_str().into());
        let (name, key) = (self.own.server_name(), self.own.signing_key());
        let time = plain.origin_server_ts();
        build::complete_template(object, time, self.version, name, key).unwrap()
    }

    /// Events that nobody has ever seen have some hash or other.
    fn reference_hashes(
        &self,
        previous: &[(OwnedEventId, u64)],
    ) -> BTreeMap<OwnedEventId, [u8; 32]> {
        let mut hashes = build::reference_hashes(self.events.iter().chain([&self.last]));
        for (event_id, _) in previous {
            hashes.entry(event_id.clone()).or_default();
        }
        hashes
    }

    /// How events of the room name this one.
    pub fn name_of(&self, event_id: &EventId) -> Value {
        let hash = self.reference_hashes(&[]).remove(event_id);
        match self.version.rules().event_ids {
            EventIds::Chosen => {
                json!([event_id, { "sha256": unpadded_base64::encode(&hash.unwrap()) }])
            }
            EventIds::Base64 | EventIds::UrlSafeBase64 => json!(event_id),
        }
    }

    /// The event under an id that the liar chose, where servers choose ids.
    pub fn renamed(&self, event: &Pdu, event_id: &str) -> Pdu {
        let mut object = event.object();
        object.insert("event_id".to_owned(), event_id.into());
        object.insert("signatures".to_owned(), json!({}));
        let renamed = Pdu::from_object(object, self.version).unwrap();
        let own = &self.own;
        renamed
            .signed_by(own.server_name(), own.signing_key())
            .unwrap()
    }

    pub fn message(&self, text: &str) -> Pdu {
        self.event("m.room.message", None, json!({ "body": text }))
    }

    /// A line of messages, each building on the one before; the first on the last known event.
    pub fn line(&self, length: usize) -> Vec<Pdu> {
        let mut forger = self.clone();
        let next = |number| {
            forger.last = forger.message(&format!("line {number}"));
            forger.last.clone()
        };
        (0..length).map(next).collect()
    }

    /// Pushes a transaction of these events and returns the status and the answer.
    pub fn push(&mut self, network: &mut Network, to: &str, events: &[String]) -> (u16, Value) {
        self.transactions += 1;
        let body = format!(
            r#"{{"origin":"liar","origin_server_ts":1,"pdus":[{}]}}"#,
            events.join(",")
        );
        let endpoint = Endpoint::SendTransaction {
            transaction_id: self.transactions.to_string().into(),
            body: body.into(),
        };
        let response = network.ask("liar", to, endpoint);
        (response.status().as_u16(), self::body(&response))
    }

    /// Pushes one event, lets it be judged, and returns why it was not taken in, if it was not.
    pub fn push_one(&mut self, network: &mut Network, event: &Pdu) -> Option<String> {
        let (status, answer) = self.push(network, "one", &[event.json().to_owned()]);
        assert_eq!(status, 200);
        while !network.server("one").jobs().is_empty() && network.step() {}
        let error = answer["pdus"][event.event_id().as_str()]["error"].as_str();
        error
            .map(ToOwned::to_owned)
            .or_else(|| refused(network, "one", event.event_id()))
    }
}

/// Why a server refused an event that it had acknowledged, if it did.
pub fn refused(network: &mut Network, server: &str, event_id: &EventId) -> Option<String> {
    let notices = network.server(server).notices.iter();
    let reason = |notice: &Notice| match notice {
        Notice::Refused {
            event_id: refused,
            reason,
            ..
        } => (refused == event_id).then(|| reason.clone()),
        _ => None,
    };
    notices.rev().find_map(reason)
}

/// A room of server `one` with the liar in it.
pub fn lied_to(version: RoomVersion) -> (Stage, Forger) {
    let mut stage = Stage::with(&["one"], room(version, Preset::Public));
    let forger = infiltrate(&mut stage, version);
    (stage, forger)
}

/// An event with something changed after it was signed.
pub fn altered(event: &Pdu, change: impl FnOnce(&mut Value)) -> String {
    let mut event = Value::Object(event.object());
    change(&mut event);
    event.to_string()
}

/// How a liar says that it knows nothing.
pub fn not_found() -> (u16, Value) {
    (404, json!({ "errcode": "M_NOT_FOUND" }))
}

/// Events as JSON.
pub fn list(events: &[Pdu]) -> Vec<Value> {
    let value = |event: &Pdu| Value::Object(event.object());
    events.iter().map(value).collect()
}
