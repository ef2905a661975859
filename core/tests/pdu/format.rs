//! Check 1 on receipt of a PDU: the format of events.

use comity_core::pdu::{
    Pdu, RoomVersion, build::depth_after, canonical_json::object_to_canonical_string,
    format::FormatError,
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    events::valid_event,
    room::{ALICE, Room},
};

fn with(version: RoomVersion, field: &str, value: Value) -> Result<Pdu, FormatError> {
    let mut event = valid_event(version);
    event.insert(field.to_owned(), value);
    Pdu::from_object(event, version)
}

#[test]
fn a_valid_event_says_what_its_fields_say() {
    for version in VERSIONS {
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
        assert_eq!(
            pdu.prev_events(),
            ["$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"]
        );
        assert_eq!(
            pdu.auth_events(),
            ["$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"]
        );
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
    for version in VERSIONS {
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
    let ids =
        |count: usize| Value::from(vec!["$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"; count]);
    for version in VERSIONS {
        assert!(with(version, "prev_events", ids(20)).is_ok());
        assert!(with(version, "prev_events", ids(21)).is_err());
        assert!(with(version, "auth_events", ids(10)).is_ok());
        assert!(with(version, "auth_events", ids(11)).is_err());
        assert!(with(version, "auth_events", json!([["$x:y", { "sha256": "x" }]])).is_err());
        assert!(with(version, "prev_events", json!(["no id"])).is_err());
        assert!(
            with(
                version,
                "prev_events",
                json!([format!("${}", "x".repeat(255))])
            )
            .is_err()
        );
    }
}

/// PDU-4, LIMIT-5
#[test]
fn pdu_4_depth_is_bounded_and_grows_by_one() {
    for version in VERSIONS {
        assert!(with(version, "depth", json!(0)).is_ok());
        assert!(with(version, "depth", json!((1_i64 << 53) - 1)).is_ok());
        assert!(matches!(
            with(version, "depth", json!(-1)),
            Err(FormatError::Depth(-1))
        ));
    }
    assert_eq!(depth_after([]), 1);
    assert_eq!(depth_after([4, 9, 2]), 10);
    assert_eq!(depth_after([(1 << 53) - 1]), (1 << 53) - 1);
}

#[test]
fn pdu_5_an_event_id_on_the_wire_is_refused() {
    for version in VERSIONS {
        let refused = with(version, "event_id", json!("$x:y"));
        assert!(matches!(refused, Err(FormatError::Unexpected("event_id"))));
        assert!(with(version, "origin", json!("elsewhere.example")).is_ok());
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
