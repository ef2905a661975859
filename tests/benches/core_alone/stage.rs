//! Rooms of our server with a user of another in each, and what that one says there.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    keys::OwnKeys,
    messaging::command::{Command, CreateRoom, Preset, Reply},
    pdu::{
        Pdu, RoomVersion,
        build::{EventTemplate, build, complete_template},
        signing::SigningKey,
    },
};
use comity_tests::requests::signed;
use http::{Method, Request};
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde_json::{Map, Value, json};

use crate::server::Server;

const VERSION: RoomVersion = RoomVersion::V11;
const OURS: &str = "our.example";
const THEIRS: &str = "a.example";
const BOB: &str = "@bob:a.example";

/// Our server in its rooms.
pub struct Stage {
    pub server: Server,
    rooms: Vec<Room>,
}

/// A room as the other server's user sees it.
struct Room {
    id: OwnedRoomId,
    auth_events: Vec<OwnedEventId>,
    join: Pdu,
}

impl Stage {
    pub fn with_rooms(rooms: usize) -> Self {
        let mut server = Server::start(OURS, key(1), theirs());
        let rooms = (0..rooms).map(|_| Room::with_both(&mut server)).collect();
        Self { server, rooms }
    }
}

impl Room {
    /// Ours makes it, theirs joins it.
    fn with_both(server: &mut Server) -> Self {
        let create = CreateRoom {
            version: Some(VERSION),
            preset: Preset::Public,
            ..CreateRoom::new(format!("@ann:{OURS}").try_into().unwrap())
        };
        let Reply::Room(id) = server.command(Command::CreateRoom(Box::new(create))) else {
            panic!("no room");
        };
        let target = format!("/_matrix/federation/v1/make_join/{id}/{BOB}?ver=11");
        let made = body_of(&ask(server, Method::GET, &target, None));
        let template = made["event"].as_object().unwrap().clone();
        let join = complete(template, i64::try_from(server.now().wall.0).unwrap());
        let target = format!("/_matrix/federation/v2/send_join/{id}/{}", join.event_id());
        let join_json = serde_json::to_value(join.object()).unwrap();
        let answer = body_of(&ask(server, Method::PUT, &target, Some(&join_json)));
        let state = answer["state"].as_array().unwrap();
        let named = |kind: &str| {
            let event = state.iter().find(|event| event["type"] == kind).unwrap();
            let event = Pdu::from_object(event.as_object().unwrap().clone(), VERSION).unwrap();
            event.event_id().to_owned()
        };
        let power = ["m.room.create", "m.room.power_levels"].map(named);
        let auth_events = power.into_iter().chain([join.event_id().to_owned()]);
        Self {
            id,
            auth_events: auth_events.collect(),
            join,
        }
    }
}

/// The requests that bring so many messages of the other server, so many with each: what it says in
/// the one room after what it says in the other, round and round.
pub fn transactions(stage: &Stage, events: usize, at_once: usize) -> Vec<Request<Bytes>> {
    let mut last: Vec<Pdu> = stage.rooms.iter().map(|room| room.join.clone()).collect();
    let mut pdus = Vec::with_capacity(events);
    for number in 0..events {
        let place = number % stage.rooms.len();
        let message = message(&stage.rooms[place], &last[place], number);
        pdus.push(Value::Object(message.object()));
        last[place] = message;
    }
    let request = |(number, pdus): (usize, &[Value])| {
        let body = json!({ "origin": THEIRS, "origin_server_ts": 1, "pdus": pdus });
        let target = format!("/_matrix/federation/v1/send/{number}");
        request(Method::PUT, &target, Some(&body))
    };
    pdus.chunks(at_once).enumerate().map(request).collect()
}

fn message(room: &Room, after: &Pdu, number: usize) -> Pdu {
    let body = format!("This is message number {number}, and it is as long as many a message is.");
    let content = json!({ "msgtype": "m.text", "body": body });
    let template = EventTemplate {
        room_id: Some(room.id.clone()),
        sender: BOB.try_into().unwrap(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: content.as_object().unwrap().clone(),
        redacts: None,
        prev_events: vec![after.event_id().to_owned()],
        auth_events: room.auth_events.clone(),
        reference_hashes: Default::default(),
        depth: after.depth() + 1,
        origin_server_ts: room.join.origin_server_ts() + i64::try_from(number).unwrap(),
    };
    build(template, VERSION, theirs().server_name(), &key(2)).unwrap()
}

fn complete(template: Map<String, Value>, time: i64) -> Pdu {
    complete_template(template, time, VERSION, theirs().server_name(), &key(2)).unwrap()
}

fn ask(
    server: &mut Server,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> http::Response<Bytes> {
    let answer = server.request(request(method, target, body));
    assert!(answer.status().is_success(), "{answer:?}");
    answer
}

fn request(method: Method, target: &str, body: Option<&Value>) -> Request<Bytes> {
    signed(&theirs(), OURS.try_into().unwrap(), method, target, body).unwrap()
}

fn body_of(answer: &http::Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

fn theirs() -> OwnKeys {
    OwnKeys::new(THEIRS.try_into().unwrap(), Arc::new(key(2)))
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("ed25519:1", &[seed; 32]).unwrap()
}
