//! A valid event of each room version, for tests to break.

use comity_core::pdu::{
    RoomVersion,
    canonical_json::{Object, parse_object},
    event_text::EventText,
    redaction,
};
use ruma_common::OwnedServerName;
use serde_json::{Value, json};

use crate::room::{ALICE, object};

pub fn server(name: &str) -> OwnedServerName {
    OwnedServerName::try_from(name).unwrap()
}

pub fn text(event: &Object, version: RoomVersion) -> EventText {
    EventText::from_object(event, version).unwrap()
}

pub fn redact(event: &Object, version: RoomVersion) -> Object {
    let redacted = redaction::redact(&text(event, version), version);
    parse_object(redacted.as_bytes()).unwrap()
}

pub const HASH_B: &str = "$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
pub const HASH_C: &str = "$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC";

pub fn chooses_event_ids(version: RoomVersion) -> bool {
    [RoomVersion::V1, RoomVersion::V2].contains(&version)
}

/// How an event of this version names another event.
pub fn named(event_id: &str, version: RoomVersion) -> Value {
    match chooses_event_ids(version) {
        true => json!([event_id, { "sha256": "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE" }]),
        false => json!(event_id),
    }
}

/// A valid event with every key that any rule speaks of.
pub fn valid_event(version: RoomVersion) -> Object {
    let room = if version == RoomVersion::V12 {
        "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    } else {
        "!room:a.example"
    };
    let mut event = object(json!({
        "type": "m.room.message",
        "room_id": room,
        "sender": ALICE,
        "content": { "body": "hello", "count": 3 },
        "origin": "b.example",
        "origin_server_ts": 1_700_000_000_000_i64,
        "depth": 12,
        "prev_events": [named(HASH_B, version)],
        "auth_events": [named(HASH_C, version)],
        "hashes": { "sha256": "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD" },
        "signatures": {},
        "unsigned": { "age": 5 },
        "org.example.unknown": [1, "two"],
    }));
    if chooses_event_ids(version) {
        event.insert("event_id".to_owned(), "$event:b.example".into());
    }
    event
}
