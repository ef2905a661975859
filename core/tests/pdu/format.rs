//! Check 1 on receipt of a PDU: the format of events.

use comity_core::pdu::{
    Pdu, RoomVersion, build::depth_after, canonical_json::object_to_canonical_string,
    format::FormatError, hash, unpadded_base64,
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION, VERSIONS,
    events::{HASH_B, HASH_C, chooses_event_ids, named, server, valid_event},
    room::{ALICE, Room, key},
};

fn with(version: RoomVersion, field: &str, value: Value) -> Result<Pdu, FormatError> {
    let mut event = valid_event(version);
    event.insert(field.to_owned(), value);
    Pdu::from_object(event, version)
}

#[test]
fn a_valid_event_says_what_its_fields_say() {
    for version in EVERY_VERSION {
        let event = valid_event(version);
        let pdu = Pdu::parse(serde_json::to_vec(&event).unwrap(), version).unwrap();
        assert_eq!(pdu.event_type(), "m.room.message");
        assert_eq!(pdu.sender(), ALICE);
        assert_eq!(pdu.origin(), "b.example");
        assert_eq!(pdu.room_id(), event["room_id"].as_str().unwrap());
        assert_eq!((pdu.state_key(), pdu.is_state()), (None, false));
        assert_eq!(
            (pdu.depth(), pdu.origin_server_ts()),
            (12, 1_700_000_000_000)
        );
        assert_eq!(pdu.prev_events(), [HASH_B]);
        assert_eq!(pdu.auth_events(), [HASH_C]);
        assert_eq!(pdu.content()["body"], "hello");
        assert_eq!(pdu.membership(), None);
    }
}

/// PDU-18, PDU-33
#[test]
fn pdu_33_keeps_unknown_keys_and_forgets_unsigned() {
    let pdu = Pdu::from_object(valid_event(RoomVersion::V11), RoomVersion::V11).unwrap();
    assert!(pdu.json().contains(r#""org.example.unknown":[1,"two"]"#));
    assert!(!pdu.json().contains("unsigned"));
    assert_eq!(
        Value::Object(pdu.object())["content"],
        json!({ "body": "hello", "count": 3 })
    );
}

#[test]
fn a_stored_event_comes_back_as_it_was() {
    let room = Room::new(RoomVersion::V12);
    for event in room.events.values() {
        let stored =
            Pdu::from_stored(event.event_id().to_owned(), event.json(), RoomVersion::V12).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{event:?}"));
        assert_eq!(stored.json(), event.json());
        assert_eq!(stored.content(), event.content());
    }
    let id = OwnedEventId::try_from("$x").unwrap();
    assert!(Pdu::from_stored(id, "{}", RoomVersion::V12).is_err());
}

#[test]
fn pdu_2_every_required_field_must_be_there_and_of_its_type() {
    let required = [
        "type",
        "sender",
        "content",
        "hashes",
        "signatures",
        "origin_server_ts",
        "depth",
        "auth_events",
        "prev_events",
        "room_id",
    ];
    for version in EVERY_VERSION {
        for field in required {
            let mut event = valid_event(version);
            event.remove(field);
            assert!(
                Pdu::from_object(event, version).is_err(),
                "{version} without {field}"
            );
            for wrong in [json!(null), json!(true), json!([["x"]]), json!({ "x": 1 })] {
                if field == "content" && wrong.is_object()
                    || field == "signatures" && wrong.is_object()
                {
                    continue;
                }
                assert!(
                    with(version, field, wrong.clone()).is_err(),
                    "{version} {field}: {wrong}"
                );
            }
        }
        assert!(with(version, "state_key", json!(null)).is_err());
        assert!(with(version, "sender", json!("alice")).is_err());
        assert!(with(version, "sender", json!("@alice:b.example:+80")).is_err());
    }
}

#[test]
fn pdu_2_signatures_are_strings_by_server_and_key() {
    for version in VERSIONS {
        for wrong in [
            json!({ "x": null }),
            json!({ "x": [] }),
            json!({ "x": "y" }),
            json!({ "b.example": {}, "x": { "ed25519:1": "A", "ed25519:2": 5 } }),
            json!({ "x": { "unknown": null } }),
        ] {
            assert!(
                with(version, "signatures", wrong.clone()).is_err(),
                "{wrong}"
            );
        }
        assert!(with(version, "signatures", json!({ "x": {} })).is_ok());
        let unknown = json!({ "x": { "unknown": "no base64!" } });
        assert!(with(version, "signatures", unknown).is_ok());
    }
}

/// CJ-6: what a key said before it was repeated is not looked at.
#[test]
fn cj_6_of_a_repeated_field_the_last_one_counts() {
    for version in EVERY_VERSION {
        let event = object_to_canonical_string(&valid_event(version), &[]);
        let expected = Pdu::parse(&event, version).unwrap();
        let rest = event.strip_prefix('{').unwrap();
        for field in [
            "auth_events",
            "hashes",
            "prev_events",
            "signatures",
            "depth",
        ] {
            let repeated = format!(r#"{{"{field}":null,{rest}"#);
            assert_eq!(Pdu::parse(repeated, version).unwrap(), expected, "{field}");
            let unset = event.strip_suffix('}').unwrap();
            let unset = format!(r#"{unset},"{field}":null}}"#);
            assert!(Pdu::parse(unset, version).is_err(), "{field}");
        }
    }
}

/// As in Synapse; the specification speaks of `sha256` alone.
#[test]
fn pdu_2_hashes_are_strings() {
    for version in EVERY_VERSION {
        let hash = valid_event(version)["hashes"]["sha256"].clone();
        let with_another = |other| with(version, "hashes", json!({ "sha256": hash, "x": other }));
        assert!(with_another(json!("no base64!")).is_ok());
        for wrong in [json!(1), json!(null), json!({})] {
            assert!(with_another(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

#[test]
fn pdu_2_room_id_is_absent_from_create_events_of_version_12_alone() {
    let create = |version| {
        let mut event = valid_event(version);
        event.insert("type".into(), "m.room.create".into());
        event
    };
    assert!(Pdu::from_object(create(RoomVersion::V11), RoomVersion::V11).is_ok());
    let refused = Pdu::from_object(create(RoomVersion::V12), RoomVersion::V12);
    assert!(matches!(refused, Err(FormatError::Unexpected("room_id"))));
    let mut event = create(RoomVersion::V12);
    event.remove("room_id");
    let pdu = Pdu::from_object(event.clone(), RoomVersion::V12).unwrap();
    assert!(Pdu::from_object(event, RoomVersion::V11).is_err());
    // PDU-32
    assert_eq!(pdu.room_id().strip_sigil(), &pdu.event_id().as_str()[1..]);
    assert!(!pdu.json().contains("room_id"));
}

/// ID-5.
#[test]
fn pdu_2_room_ids_of_version_12_are_hashes() {
    for room in [
        "!room:a.example",
        "!AAAA",
        "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
    ] {
        assert!(
            with(RoomVersion::V12, "room_id", json!(room)).is_err(),
            "{room}"
        );
    }
    assert!(with(RoomVersion::V11, "room_id", json!("!room:a.example")).is_ok());
}

/// PDU-3, LIMIT-2
#[test]
fn pdu_3_at_most_20_previous_and_10_auth_events() {
    for version in EVERY_VERSION {
        let ids = |count: usize| Value::from(vec![named(HASH_B, version); count]);
        assert!(with(version, "prev_events", ids(20)).is_ok());
        assert!(with(version, "prev_events", ids(21)).is_err());
        assert!(with(version, "auth_events", ids(10)).is_ok());
        assert!(with(version, "auth_events", ids(11)).is_err());
        let count_of = |field| match with(version, field, ids(100)) {
            Err(FormatError::TooMany { count, .. }) => count,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (count_of("prev_events"), count_of("auth_events")),
            (100, 100)
        );
        for wrong in [
            "no id",
            "",
            "@alice:b.example",
            &format!("${}", "x".repeat(255)),
        ] {
            let refused = with(version, "prev_events", json!([named(wrong, version)]));
            assert!(refused.is_err(), "{version} {wrong}");
        }
    }
}

/// BACKFILL-2: what was accepted of old is read, also from disk, and keeps all its fields when it is
/// redacted.
#[test]
fn backfill_2_an_event_of_history_may_name_as_many_as_fit() {
    for version in EVERY_VERSION {
        let mut event = valid_event(version);
        for field in ["prev_events", "auth_events"] {
            event.insert(field.to_owned(), json!(vec![named(HASH_B, version); 100]));
        }
        let text = Value::Object(event.clone()).to_string();
        assert!(Pdu::parse(&text, version).is_err());
        let read = Pdu::parse_history(&text, version).unwrap();
        let stored = Pdu::from_stored(read.event_id().to_owned(), read.json(), version).unwrap();
        for event in [&read, &stored, &read.redacted()] {
            assert_eq!(event.prev_events().iter().count(), 100);
            assert_eq!(event.auth_events().iter().count(), 100);
            assert_eq!(event.event_id(), read.event_id());
        }
        let too_many = json!(vec![named(HASH_B, version); 2000]);
        event.insert("prev_events".to_owned(), too_many);
        let read = Pdu::parse_history(Value::Object(event).to_string(), version);
        assert!(matches!(read, Err(FormatError::TooLarge(_))), "{read:?}");
    }
}

#[test]
fn pdu_3_events_are_named_in_pairs_with_their_hashes_in_versions_1_and_2_alone() {
    for version in EVERY_VERSION {
        let other_forms = match chooses_event_ids(version) {
            true => vec![json!(HASH_B)],
            false => vec![
                json!([HASH_B, { "sha256": "x" }]),
                json!([HASH_B, {}, 1]),
                json!([HASH_B, "x"]),
                json!([HASH_B]),
            ],
        };
        for form in other_forms {
            assert!(
                with(version, "auth_events", json!([form])).is_err(),
                "{form}"
            );
        }
    }
    for version in [RoomVersion::V1, RoomVersion::V2] {
        for wrong in [
            json!([["$x:y"]]),
            json!([[]]),
            json!([["$x:y", {}, {}]]),
            json!([["$x:y", "hash"]]),
            json!([[{ "sha256": "x" }, "$x:y"]]),
            json!([{ "$x:y": {} }]),
        ] {
            assert!(
                with(version, "prev_events", wrong.clone()).is_err(),
                "{wrong}"
            );
        }
        let named = json!([["$x:y.example", { "sha256": "x" }], ["$z:y.example", {}]]);
        let event = with(version, "prev_events", named).unwrap();
        assert_eq!(event.prev_events(), ["$x:y.example", "$z:y.example"]);
    }
}

/// PDU-4, LIMIT-5
#[test]
fn pdu_4_depth_is_bounded_and_grows_by_one() {
    let lenient = [
        RoomVersion::V1,
        RoomVersion::V2,
        RoomVersion::V3,
        RoomVersion::V4,
        RoomVersion::V5,
    ];
    for version in EVERY_VERSION {
        assert_eq!(with(version, "depth", json!(0)).unwrap().depth(), 0);
        assert!(with(version, "depth", json!((1_i64 << 53) - 1)).is_ok());
        assert!(matches!(
            with(version, "depth", json!(-1)),
            Err(FormatError::Depth(-1))
        ));
        let deep = with(version, "depth", json!(i64::MAX));
        match lenient.contains(&version) {
            true => assert_eq!(deep.unwrap().depth(), i64::MAX.unsigned_abs()),
            false => assert!(matches!(deep, Err(FormatError::Json(_)))),
        }
        assert!(with(version, "depth", json!(1_u64 << 63)).is_err());
        assert!(with(version, "depth", json!(1.5)).is_err());
        assert!(with(version, "depth", json!("1")).is_err());
    }
    assert_eq!(depth_after([]), 1);
    assert_eq!(depth_after([4, 9, 2]), 10);
    // Not more in any version: many servers would not take it.
    assert_eq!(depth_after([(1 << 53) - 1]), (1 << 53) - 1);
    assert_eq!(depth_after([u64::MAX]), (1 << 53) - 1);
}

/// PDU-5, PDU-31
#[test]
fn pdu_5_an_event_names_itself_in_versions_1_and_2_alone() {
    for version in EVERY_VERSION {
        assert!(with(version, "origin", json!("elsewhere.example")).is_ok());
        let named = with(version, "event_id", json!("$x:y.example"));
        if !chooses_event_ids(version) {
            assert!(matches!(named, Err(FormatError::Unexpected("event_id"))));
            continue;
        }
        assert_eq!(named.unwrap().event_id(), "$x:y.example");
        let mut nameless = valid_event(version);
        nameless.remove("event_id");
        assert!(Pdu::from_object(nameless, version).is_err());
        for wrong in [json!(5), json!(""), json!("x:y.example"), json!("$x:y z")] {
            assert!(with(version, "event_id", wrong.clone()).is_err(), "{wrong}");
        }
        let long = format!("${}:y", "x".repeat(252));
        assert!(with(version, "event_id", json!(long)).is_ok());
        let long = format!("${}:y", "x".repeat(253));
        assert!(with(version, "event_id", json!(long)).is_err());
    }
}

/// An event with numbers that canonical JSON forbids, as servers sent them.
const UNUSUAL_NUMBERS: &str = r#"{
    "type": "m.room.power_levels", "state_key": "", "room_id": "!room:a.example",
    "sender": "@alice:b.example", "content": {
        "users": { "@alice:b.example": 1e2 }, "ban": 5.114698E4, "kick": 50.0, "small": 1e-5,
        "large": 1e16, "huge": 123456789012345678901234567890, "zero": -0.0, "none": -0
    },
    "origin": "b.example", "origin_server_ts": 1700000000000, "depth": 9007199254740993,
    "prev_events": ["$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"],
    "auth_events": ["$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"],
    "hashes": { "sha256": "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD" }, "signatures": {},
    "unsigned": { "age": 5 }
}"#;

/// CJ-5, PDU-21, PDU-22, PDU-31: the hashes were computed by Python, in which Synapse is written.
#[test]
fn cj_5_unusual_numbers_are_kept_and_hashed_in_versions_1_to_5() {
    for (version, event_id) in [
        (
            RoomVersion::V3,
            "$H/9VyUbdfyJzzEy3/6oTMQNYNlgFXBsoBfXwaYf6Guo",
        ),
        (
            RoomVersion::V4,
            "$H_9VyUbdfyJzzEy3_6oTMQNYNlgFXBsoBfXwaYf6Guo",
        ),
        (
            RoomVersion::V5,
            "$H_9VyUbdfyJzzEy3_6oTMQNYNlgFXBsoBfXwaYf6Guo",
        ),
    ] {
        let event = Pdu::parse(UNUSUAL_NUMBERS, version).unwrap();
        assert_eq!(event.event_id(), event_id);
        assert_eq!(
            unpadded_base64::encode(&hash::content_hash(event.text())),
            "mdCqG4p6bMS5Rqw5UguEOhXAZ6HZUPcLPJioFXOFLkw"
        );
        assert_eq!(
            event.content_text(),
            r#"{"ban":51146.98,"huge":123456789012345678901234567890,"kick":50.0,"large":1e+16,"#
                .to_owned()
                + r#""none":0,"small":1e-05,"users":{"@alice:b.example":100.0},"zero":-0.0}"#
        );
        assert_eq!(event.content()["small"], 1e-5);
        let signed = event.signed_by(&server("x.example"), &key()).unwrap();
        assert_eq!(signed.content_text(), event.content_text());
        let stored = Pdu::from_stored(event.event_id().to_owned(), event.json(), version);
        assert_eq!(stored.unwrap(), event);
    }
    let with_pairs = UNUSUAL_NUMBERS
        .replace(r#"["$B"#, r#"[["$B"#)
        .replace(r#"["$C"#, r#"[["$C"#)
        .replace(r#"BB"]"#, r#"BB", {}]]"#)
        .replace(r#"CC"]"#, r#"CC", {}]]"#)
        .replacen('{', r#"{ "event_id": "$x:b.example","#, 1);
    assert!(Pdu::parse(&with_pairs, RoomVersion::V1).is_ok());
    assert!(Pdu::parse(&with_pairs, RoomVersion::V2).is_ok());
}

/// CJ-4
#[test]
fn cj_4_unusual_numbers_are_refused_from_version_6_on() {
    let versions = [
        RoomVersion::V6,
        RoomVersion::V7,
        RoomVersion::V8,
        RoomVersion::V9,
        RoomVersion::V10,
        RoomVersion::V11,
        RoomVersion::V12,
    ];
    for version in versions {
        let refused = Pdu::parse(UNUSUAL_NUMBERS, version);
        assert!(
            matches!(refused, Err(FormatError::Json(_))),
            "{version} {refused:?}"
        );
    }
    for number in ["1e400", "-1e400", "NaN", "Infinity"] {
        let event = UNUSUAL_NUMBERS.replace("1e16", number);
        assert!(Pdu::parse(event, RoomVersion::V5).is_err(), "{number}");
    }
}

/// PDU-6, LIMIT-3, LIMIT-4
#[test]
fn pdu_6_sizes_are_bounded_in_bytes() {
    let version = RoomVersion::V11;
    for field in ["type", "state_key"] {
        assert!(with(version, field, json!("é".repeat(127))).is_ok());
        let refused = with(version, field, json!("é".repeat(128)));
        assert!(matches!(
            refused,
            Err(FormatError::TooLong { bytes: 256, .. })
        ));
    }
    assert!(
        with(
            version,
            "sender",
            json!(format!("@{}:b.example", "x".repeat(250)))
        )
        .is_err()
    );
    assert!(with(version, "room_id", json!(format!("!{}", "x".repeat(255)))).is_err());

    let mut event = valid_event(version);
    event.remove("unsigned");
    let size = object_to_canonical_string(&event, &[]).len();
    let filler = 65_536 - size - r#""filler":"","#.len();
    assert!(with(version, "filler", json!("x".repeat(filler))).is_ok());
    let refused = with(version, "filler", json!("x".repeat(filler + 1)));
    assert!(matches!(refused, Err(FormatError::TooLarge(65_537))));
    // What a peer writes into `unsigned` does not count.
    assert!(with(version, "unsigned", json!("x".repeat(70_000))).is_ok());
}

#[test]
fn pdu_9_hashes_must_hold_a_hash() {
    for wrong in [
        json!({}),
        json!({ "sha256": 5 }),
        json!({ "sha256": "not base64!" }),
    ] {
        assert!(
            with(RoomVersion::V12, "hashes", wrong.clone()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn an_event_of_our_own_is_held_to_the_same_rules() {
    for version in VERSIONS {
        for content in [json!({ "x": 1.5 }), json!({ "x": 1_u64 << 53 })] {
            assert!(matches!(
                with(version, "content", content),
                Err(FormatError::Json(_))
            ));
        }
        let deep = (0..126).fold(json!(null), |inner, _| json!([inner]));
        assert!(with(version, "content", json!({ "x": deep })).is_err());
    }
}
