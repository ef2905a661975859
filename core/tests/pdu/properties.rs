//! What holds of every event, whatever it says.

use std::collections::BTreeMap;

use comity_core::pdu::{
    Pdu, RoomVersion,
    build::{EventTemplate, build},
    canonical_json::{Object, parse, to_canonical_string},
    signing::{SignatureError, verify_event},
};
use proptest::prelude::*;
use ruma_common::OwnedRoomId;
use serde_json::Value;

use crate::{
    EVERY_VERSION,
    events::server,
    room::{ALICE, BOB, key, keys_of, same_cases_each_time, user},
};

/// Types with content that survives a redaction, and two without.
const TYPES: [&str; 9] = [
    "m.room.aliases",
    "m.room.create",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.member",
    "m.room.message",
    "m.room.power_levels",
    "m.room.redaction",
    "x",
];

/// Keys that some rule speaks of, and others.
const KEYS: [&str; 14] = [
    "aliases",
    "allow",
    "ban",
    "body",
    "creator",
    "events",
    "history_visibility",
    "join_authorised_via_users_server",
    "join_rule",
    "membership",
    "redacts",
    "signed",
    "third_party_invite",
    "users",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&KEYS[..]).prop_map(ToOwned::to_owned),
        "[ -~]{0,6}",
        "\\PC{0,4}",
        "[\\x00-\\x1f\"\\\\/\u{7f}\u{2028}😀本]{0,4}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, object(inner).prop_map(Value::from)]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    prop::collection::btree_map(text(), value, 0..5)
        .prop_map(|entries| entries.into_iter().collect())
}

/// A signed event of any version, whose content no rule has looked at.
fn event() -> impl Strategy<Value = Pdu> {
    let version = prop::sample::select(&EVERY_VERSION[..]);
    let event_type = prop::sample::select(&TYPES[..]);
    let state_key = prop::option::of("[a-z@:. ]{0,8}");
    (version, event_type, state_key, object(value())).prop_map(
        |(version, event_type, state_key, content)| {
            let template = EventTemplate {
                reference_hashes: BTreeMap::new(),
                room_id: Some(room_id(version)),
                sender: user(ALICE),
                event_type: event_type.to_owned(),
                state_key,
                content,
                redacts: None,
                prev_events: vec![],
                auth_events: vec![],
                depth: 3,
                origin_server_ts: 1_000,
            };
            build(template, version, &server("b.example"), &key()).unwrap()
        },
    )
}

fn room_id(version: RoomVersion) -> OwnedRoomId {
    let text = match version.rules().room_id_is_create_event {
        true => "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        false => "!room:a.example",
    };
    OwnedRoomId::try_from(text).unwrap()
}

/// The same JSON with its keys the other way round, white space, and every character escaped that
/// may be.
fn written_otherwise(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{} :\t{}", escaped(key), written_otherwise(value))
            };
            let entries: Vec<_> = object.iter().rev().map(entry).collect();
            format!("{{ {} }}", entries.join(" , "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(written_otherwise).collect();
            format!("[\n{}\r\n]", items.join(",  "))
        }
        Value::String(text) => escaped(text),
        Value::Number(number) if number.as_i64() == Some(0) => "-0".to_owned(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let units = text.encode_utf16();
    let escapes: String = units.map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{escapes}\"")
}

proptest! {
    #![proptest_config(same_cases_each_time(256))]

    /// CJ-1 to CJ-3
    #[test]
    fn cj_1_canonical_json_does_not_depend_on_how_a_value_was_written(value in value()) {
        let text = to_canonical_string(&value);
        prop_assert_eq!(&parse(text.as_bytes()).unwrap(), &value);
        let other = parse(written_otherwise(&value).as_bytes()).unwrap();
        prop_assert_eq!(to_canonical_string(&other), text);
    }

    /// PDU-22, PDU-31, PDU-33
    #[test]
    fn pdu_31_an_event_keeps_its_id_however_it_is_written(event in event()) {
        let otherwise = written_otherwise(&Value::Object(event.object()));
        let again = Pdu::parse(otherwise, event.room_version()).unwrap();
        prop_assert_eq!(again.event_id(), event.event_id());
        prop_assert_eq!(again.json(), event.json());
    }

    /// PDU-26
    #[test]
    fn pdu_26_a_redaction_takes_nothing_away_twice_and_leaves_the_id(event in event()) {
        let redacted = event.redacted();
        prop_assert_eq!(redacted.event_id(), event.event_id());
        prop_assert_eq!(&redacted.redacted(), &redacted);
        let again = Pdu::parse(redacted.json(), event.room_version()).unwrap();
        prop_assert_eq!(&again, &redacted);
    }

    /// SIGN-1, SIGN-2, PDU-7 to PDU-9, PDU-21
    #[test]
    fn sign_2_what_was_signed_verifies_until_it_is_altered(event in event(), position in any::<prop::sample::Index>()) {
        let authorising = event.content().contains_key("join_authorised_via_users_server");
        prop_assume!(!authorising && !event.content().contains_key("third_party_invite"));
        let keys = keys_of(&["b.example"], 2_000);
        prop_assert_eq!(verify_event(&event, &keys), Ok(()));
        prop_assert!(event.has_claimed_content());
        prop_assert_eq!(verify_event(&event.redacted(), &keys), Ok(()));

        let without_keys = verify_event(&event, &BTreeMap::new());
        prop_assert!(matches!(without_keys, Err(SignatureError::NoValidKey(_))));
        let altered = with_another_digit(event.json(), "\"ed25519:1\":\"", position.index(80));
        let altered = Pdu::parse(altered, event.room_version()).unwrap();
        prop_assert!(verify_event(&altered, &keys).is_err());
    }

    /// PDU-9
    #[test]
    fn pdu_9_a_changed_content_does_not_fit_its_hash(event in event(), key in "[a-z]{3}") {
        let mut object = event.object();
        let mut content = event.content().clone();
        prop_assume!(content.insert(key, BOB.into()).is_none());
        object.insert("content".to_owned(), content.into());
        if let Ok(altered) = Pdu::from_object(object, event.room_version()) {
            prop_assert!(!altered.has_claimed_content());
        }
    }
}

/// The text with another base64 digit at this place of the string that begins with `before`.
fn with_another_digit(json: &str, before: &str, index: usize) -> String {
    let at = json.find(before).unwrap() + before.len() + index;
    let digit = if json.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    format!("{}{digit}{}", &json[..at], &json[at + 1..])
}
