//! Who takes part when a fuzz target talks to a whole server: ours, with a room of several
//! versions, and `a.example`, whose user is in each and whose key the target has.
//!
//! Inputs name what is there by what it is: `<10 room>`, `<10 last>` and, for the state of the room
//! of version 10, `<10 m.room.power_levels>` or `<10 m.room.member @bob:a.example>`. So they stay
//! good when ids change. Events without signatures are hashed and signed.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use comity_core::{
    Call, WallTime,
    input::CallError,
    keys::OwnKeys,
    messaging::command::{Command, CreateRoom, Preset, Reply},
    pdu::{RoomVersion, build::complete_template, signing::SigningKey},
    persistence::queries::{Answer, Query, Read},
};
use http::{Response, StatusCode};
use ruma_common::OwnedRoomId;
use serde_json::{Map, Value, json};

use super::server::Server;

/// The versions of the rooms.
const VERSIONS: [RoomVersion; 3] = [RoomVersion::V2, RoomVersion::V10, RoomVersion::V12];

/// How deep events are looked for in a body.
const DEPTH_MAX: usize = 6;

/// The names of the servers.
pub(super) const OURS: &str = "our.example";
const THEIRS: &str = "a.example";

/// How things stand before an input comes.
pub(super) struct Setup {
    /// All that our server wrote.
    written: Vec<Query>,
    /// What the names in inputs stand for.
    names: Vec<(String, String)>,
    rooms: BTreeMap<String, RoomVersion>,
}

/// A server's key.
pub(super) fn key(seed: &[u8; 32]) -> SigningKey {
    SigningKey::from_seed("ed25519:1", seed).expect("a key id")
}

/// The keys of a server that signs for itself.
pub(super) fn keys(name: &str, seed: u8) -> OwnKeys {
    let key = Arc::new(key(&[seed; 32]));
    OwnKeys::new(name.try_into().expect("a server name"), key)
}

/// The keys of `a.example`.
pub(super) fn theirs() -> OwnKeys {
    keys(THEIRS, 2)
}

/// How things stand; found out once.
pub(super) fn setup() -> &'static Setup {
    static SETUP: OnceLock<Setup> = OnceLock::new();
    SETUP.get_or_init(Setup::new)
}

/// What `a.example` answers that tells the truth about its keys and finds nothing else.
pub(super) fn truthful(call: &Call) -> Result<Response<Bytes>, CallError> {
    let path = call.request.uri().path();
    if path == "/_matrix/key/v2/server" && call.address.host_header == THEIRS {
        return Ok(theirs().published(WallTime(1_700_000_000_000)));
    }
    let mut response = Response::new(Bytes::from_static(br#"{"errcode":"M_NOT_FOUND"}"#));
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

impl Setup {
    fn new() -> Self {
        let (ours, theirs) = (keys(OURS, 1), theirs());
        let mut server = Server::start(&ours, &[1; 32], Vec::new());
        let mut guest = Server::start(&theirs, &[2; 32], Vec::new());
        let mut setup = Self {
            written: Vec::new(),
            names: Vec::new(),
            rooms: BTreeMap::new(),
        };
        for version in VERSIONS {
            let room_id = create_room(&mut server, version);
            join(&mut guest, &mut server, &room_id);
            setup.note_room(&mut server, &room_id, version);
        }
        setup.written = server.written;
        setup
    }

    /// Our server, which has just been started.
    pub(super) fn server(&self) -> Server {
        Server::start(&keys(OURS, 1), &[1; 32], self.written.clone())
    }

    /// An input with every name in it replaced by what it stands for.
    pub(super) fn filled_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, stands_for) in &self.names {
            if text.contains(name) {
                text = text.replace(name, stands_for);
            }
        }
        text
    }

    /// Signs every event in a body that is not signed.
    pub(super) fn sign(&self, value: &mut Value) {
        self.sign_within(value, DEPTH_MAX);
    }

    fn sign_within(&self, value: &mut Value, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        match value {
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| self.sign_within(item, depth)),
            Value::Object(object) if is_unsigned_event(object) => {
                if let Some(signed) = self.signed(object.clone()) {
                    *object = signed;
                }
            }
            Value::Object(object) => object
                .values_mut()
                .for_each(|item| self.sign_within(item, depth)),
            _ => {}
        }
    }

    fn signed(&self, event: Map<String, Value>) -> Option<Map<String, Value>> {
        let room_id = event.get("room_id").and_then(Value::as_str);
        let version = room_id.and_then(|room_id| self.rooms.get(room_id).copied());
        let time = event.get("origin_server_ts").and_then(Value::as_i64);
        let (theirs, time) = (theirs(), time.unwrap_or(1_700_000_000_000));
        let version = version.unwrap_or(RoomVersion::V10);
        let name = theirs.server_name();
        let event = complete_template(event, time, version, name, theirs.signing_key());
        Some(event.ok()?.object())
    }

    fn note_room(&mut self, server: &mut Server, room_id: &OwnedRoomId, version: RoomVersion) {
        self.rooms.insert(room_id.to_string(), version);
        let name = |what: &str| format!("<{} {what}>", version.as_str());
        self.names.push((name("room"), room_id.to_string()));
        let read = Command::Read(Read::CurrentState(room_id.clone()));
        let Ok(Reply::Read(Answer::Events(state))) = server.command(read, &mut truthful) else {
            panic!("no state");
        };
        for event in &state {
            let (kind, key) = (event.pdu.event_type(), event.pdu.state_key());
            let what = format!("{kind} {}", key.unwrap_or_default());
            let id = event.pdu.event_id().to_string();
            self.names.push((name(what.trim_end()), id));
        }
        let last = state.iter().max_by_key(|event| event.pdu.depth());
        let last = last.expect("a room has state").pdu.event_id().to_string();
        self.names.push((name("last"), last));
    }
}

fn is_unsigned_event(object: &Map<String, Value>) -> bool {
    let is_event = ["type", "sender", "content"].map(|key| object.contains_key(key));
    is_event == [true; 3] && !object.contains_key("signatures")
}

fn create_room(server: &mut Server, version: RoomVersion) -> OwnedRoomId {
    let creator = format!("@ann:{OURS}").try_into().expect("a user");
    let room = CreateRoom {
        version: Some(version),
        preset: Preset::Public,
        ..CreateRoom::new(creator)
    };
    match server.command(Command::CreateRoom(Box::new(room)), &mut truthful) {
        Ok(Reply::Room(room_id)) => room_id,
        other => panic!("{other:?}"),
    }
}

fn join(guest: &mut Server, server: &mut Server, room_id: &OwnedRoomId) {
    let command = Command::Join {
        user_id: format!("@bob:{THEIRS}").try_into().expect("a user"),
        room_id: room_id.clone(),
        via: vec![OURS.try_into().expect("a server name")],
        content: json!({}).as_object().cloned().unwrap_or_default(),
    };
    let mut ask = |call: &Call| match call.address.host_header.as_str() {
        OURS => Ok(server.request(call.request.clone(), &mut truthful)),
        _ => truthful(call),
    };
    let joined = guest.command(command, &mut ask);
    assert!(joined.is_ok(), "{joined:?}");
}
