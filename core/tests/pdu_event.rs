//! Events on the wire: their format, hashes, ids, signatures and redaction, by the specification's
//! vectors and by comparison with ruma.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod pdu_room;

use std::collections::BTreeMap;

use comity_core::pdu::{
    Pdu, RoomVersion,
    build::{complete_template, depth_after},
    canonical_json::{Object, object_to_canonical_string, parse_object},
    format::FormatError,
    hash,
    redaction::redact,
    signing::{
        SignatureError, SigningKey, SigningKeyError, VerifyKey, check_content_hash,
        required_signers, sign_json, verify_event, verify_json,
    },
    unpadded_base64,
};
use pdu_room::{ALICE, CREATOR, Room, key, keys_of, object, ruma};
use proptest::prelude::*;
use ruma_common::{
    CanonicalJsonObject, OwnedEventId, OwnedServerName, ServerName,
    canonical_json::redact as ruma_redact, serde::Base64,
};
use ruma_signatures::{PublicKeyMap, PublicKeySet, Verified};
use serde_json::{Value, json};

const VERSIONS: [RoomVersion; 3] = [RoomVersion::V10, RoomVersion::V11, RoomVersion::V12];

fn server(name: &str) -> OwnedServerName {
    OwnedServerName::try_from(name).unwrap()
}

/// A valid event with every key that any rule speaks of.
fn valid_event(version: RoomVersion) -> Object {
    let room = if version == RoomVersion::V12 {
        "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    } else {
        "!room:a.example"
    };
    object(json!({
        "type": "m.room.message",
        "room_id": room,
        "sender": ALICE,
        "content": { "body": "hello", "count": 3 },
        "origin": "b.example",
        "origin_server_ts": 1_700_000_000_000_i64,
        "depth": 12,
        "prev_events": ["$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"],
        "auth_events": ["$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"],
        "hashes": { "sha256": "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD" },
        "signatures": {},
        "unsigned": { "age": 5 },
        "org.example.unknown": [1, "two"],
    }))
}

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
fn pdu_28_the_target_of_a_redaction_has_its_place() {
    let target = json!("$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB");
    let other = json!("$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC");
    for version in VERSIONS {
        let mut event = valid_event(version);
        event.insert("type".into(), "m.room.redaction".into());
        let (top, inside) = match version.rules().redacts_in_content {
            true => (&other, &target),
            false => (&target, &other),
        };
        event.insert("redacts".into(), top.clone());
        event["content"]["redacts"] = inside.clone();
        let pdu = Pdu::from_object(event.clone(), version).unwrap();
        assert_eq!(pdu.redacts().unwrap(), target.as_str().unwrap());
        event.insert("type".into(), "m.room.message".into());
        assert_eq!(Pdu::from_object(event, version).unwrap().redacts(), None);
    }
}

fn vector_key() -> SigningKey {
    SigningKey::from_base64("ed25519:1", "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap()
}

#[test]
fn sign_4_json_vectors() {
    for (json, signature) in [
        (
            json!({}),
            "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
        ),
        (
            json!({ "one": 1, "two": "Two" }),
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut signed = object(json);
        sign_json(&mut signed, &server("domain"), &vector_key());
        assert_eq!(
            signed["signatures"],
            json!({ "domain": { "ed25519:1": signature } })
        );
    }
}

#[test]
fn sign_4_event_vectors() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "signatures": {}, "hashes": {}, "type": "X", "content": {},
        "prev_events": [], "auth_events": [], "depth": 3, "unsigned": { "age_ts": 1_000_000 },
    });
    let redactable = json!({
        "content": { "body": "Here is the message content" }, "event_id": "$0:domain",
        "origin": "domain", "origin_server_ts": 1_000_000, "type": "m.room.message",
        "room_id": "!r:domain", "sender": "@u:domain", "signatures": {},
        "unsigned": { "age_ts": 1_000_000 },
    });
    for (event, content_hash, signature) in [
        (
            minimal,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            redactable,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        let mut event = object(event);
        assert_eq!(
            unpadded_base64::encode(&hash::content_hash(&event)),
            content_hash
        );
        event.insert("hashes".into(), json!({ "sha256": content_hash }));
        // The vectors are of version 1, which agrees with version 10 on the keys that they have.
        let text = hash::signed_text(&event, RoomVersion::V10);
        assert_eq!(vector_key().sign(text.as_bytes()), signature);
    }
}

#[test]
fn sign_1_keeps_unsigned_and_other_signatures() {
    let mut signed = object(
        json!({ "a": 1, "unsigned": { "b": 2 }, "signatures": { "x": { "ed25519:x": "y" } } }),
    );
    sign_json(&mut signed, &server("domain"), &vector_key());
    assert_eq!(signed["unsigned"], json!({ "b": 2 }));
    assert_eq!(signed["signatures"]["x"], json!({ "ed25519:x": "y" }));
    signed["unsigned"] = json!("anything");
    let keys = [VerifyKey {
        public_key: vector_key().public_key(),
        ..verify_key("ed25519:1")
    }];
    assert_eq!(verify_json(&signed, &server("domain"), &keys), Ok(()));
    signed["a"] = json!(2);
    assert!(matches!(
        verify_json(&signed, &server("domain"), &keys),
        Err(SignatureError::Wrong { .. })
    ));
}

#[test]
fn sign_1_key_ids_are_checked_and_secrets_not_shown() {
    for id in ["", "1", "ed25519:", "ed25519:a-b", "rsa:1"] {
        assert_eq!(
            SigningKey::from_seed(id, &[1; 32]).unwrap_err(),
            SigningKeyError::KeyId(id.into())
        );
    }
    assert_eq!(
        SigningKey::from_base64("ed25519:1", "AAAA").unwrap_err(),
        SigningKeyError::Seed
    );
    assert_eq!(format!("{:?}", key()), "SigningKey(ed25519:1)");
}

fn verify_key(key_id: &str) -> VerifyKey {
    VerifyKey {
        key_id: key_id.to_owned(),
        public_key: key().public_key(),
        valid_until: i64::MAX,
        retired: false,
    }
}

/// SIGN-2, SIGN-3
#[test]
fn sign_3_unknown_keys_are_skipped_and_all_known_ones_must_verify() {
    let domain = server("domain");
    let mut signed = object(json!({ "a": 1 }));
    sign_json(&mut signed, &domain, &key());
    let known = verify_key("ed25519:1");
    assert_eq!(
        verify_json(&signed, &domain, std::slice::from_ref(&known)),
        Ok(())
    );
    assert_eq!(
        verify_json(&signed, &server("other"), std::slice::from_ref(&known)),
        Err(SignatureError::Missing(server("other")))
    );
    assert_eq!(
        verify_json(&signed, &domain, &[verify_key("ed25519:2")]),
        Err(SignatureError::NoValidKey(domain.clone()))
    );
    signed["signatures"]["domain"]["ed25519:2"] = "AAAA".into();
    assert_eq!(
        verify_json(&signed, &domain, std::slice::from_ref(&known)),
        Ok(())
    );
    let both = [known, verify_key("ed25519:2")];
    assert!(matches!(
        verify_json(&signed, &domain, &both),
        Err(SignatureError::Wrong { .. })
    ));
    let other_algorithm = VerifyKey {
        key_id: "rsa:1".into(),
        ..verify_key("")
    };
    signed["signatures"]["domain"] = json!({ "rsa:1": "AAAA" });
    assert_eq!(
        verify_json(&signed, &domain, &[other_algorithm]),
        Err(SignatureError::NoValidKey(domain))
    );
}

fn member(version: RoomVersion, sender: &str, content: Value) -> std::sync::Arc<Pdu> {
    let mut room = Room::new(version);
    let state = room.state.clone();
    room.make(
        &state,
        sender,
        "m.room.member",
        Some("@new:d.example"),
        content,
    )
}

/// PDU-7
#[test]
fn pdu_7_who_has_to_sign() {
    for version in VERSIONS {
        let signers = |content: Value| {
            let signers = required_signers(&member(version, ALICE, content)).unwrap();
            signers
                .into_iter()
                .map(|s| s.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(signers(json!({ "membership": "invite" })), ["b.example"]);
        let third_party = json!({ "membership": "invite", "third_party_invite": {} });
        assert!(signers(third_party).is_empty());
        let knock = json!({ "membership": "knock", "third_party_invite": {} });
        assert_eq!(signers(knock), ["b.example"]);
        for membership in ["join", "leave"] {
            let via =
                json!({ "membership": membership, "join_authorised_via_users_server": CREATOR });
            assert_eq!(signers(via), ["a.example", "b.example"]);
        }
        let nobody = json!({ "membership": "join", "join_authorised_via_users_server": 5 });
        assert!(required_signers(&member(version, ALICE, nobody)).is_err());
    }
}

#[test]
fn pdu_7_a_join_needs_the_signature_of_who_vouches_for_it() {
    for version in VERSIONS {
        let via = json!({ "membership": "join", "join_authorised_via_users_server": CREATOR });
        let event = member(version, ALICE, via);
        let keys = keys_of(&["a.example", "b.example"], i64::MAX);
        assert_eq!(
            verify_event(&event, &keys),
            Err(SignatureError::Missing(server("a.example")))
        );
        let signed = event.signed_by(&server("a.example"), &key()).unwrap();
        assert_eq!(verify_event(&signed, &keys), Ok(()));
        assert_eq!(signed.event_id(), event.event_id());
    }
}

/// PDU-8, PDU-9, PDU-21
#[test]
fn pdu_8_signatures_cover_the_redacted_event_and_the_hash_covers_all() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let state = room.state.clone();
        let event = room.make(
            &state,
            ALICE,
            "m.room.message",
            None,
            json!({ "body": "hello" }),
        );
        let keys = keys_of(&["b.example"], i64::MAX);
        assert_eq!(verify_event(&event, &keys), Ok(()));
        assert!(check_content_hash(&event));

        let mut altered = event.object();
        altered["content"]["body"] = "goodbye".into();
        let altered = Pdu::from_object(altered, version).unwrap();
        assert_eq!(altered.event_id(), event.event_id());
        assert_eq!(verify_event(&altered, &keys), Ok(()));
        assert!(!check_content_hash(&altered));

        let redacted = altered.redacted();
        assert_eq!(redacted.event_id(), event.event_id());
        assert!(redacted.content().is_empty());
        assert_eq!(verify_event(&redacted, &keys), Ok(()));
        assert!(!check_content_hash(&redacted));

        let mut forged = event.object();
        forged.insert("depth".into(), 1.into());
        let forged = Pdu::from_object(forged, version).unwrap();
        assert!(matches!(
            verify_event(&forged, &keys),
            Err(SignatureError::Wrong { .. })
        ));
    }
}

#[test]
fn key_7_the_key_must_be_valid_when_the_event_was_made() {
    for version in VERSIONS {
        let event = member(version, ALICE, json!({ "membership": "invite" }));
        let at = event.origin_server_ts();
        assert_eq!(verify_event(&event, &keys_of(&["b.example"], at)), Ok(()));
        assert_eq!(
            verify_event(&event, &keys_of(&["b.example"], at - 1)),
            Err(SignatureError::NoValidKey(server("b.example")))
        );
        let mut old_keys = keys_of(&["b.example"], at);
        old_keys
            .values_mut()
            .flatten()
            .for_each(|key| key.retired = true);
        assert_eq!(verify_event(&event, &old_keys), Ok(()));
        assert!(verify_event(&event, &BTreeMap::new()).is_err());
    }
}

#[test]
fn a_template_of_another_server_is_completed_and_signed() {
    for version in VERSIONS {
        let room = Room::new(version);
        let template = object(json!({
            "type": "m.room.member", "state_key": "@new:d.example", "sender": "@new:d.example",
            "room_id": room.create.room_id(), "content": { "membership": "join" }, "depth": 7,
            "prev_events": [], "auth_events": [], "origin": "d.example",
            "event_id": "$bogus", "hashes": { "sha256": "bogus" }, "signatures": { "x": {} },
            "origin_server_ts": 3, "unsigned": {},
        }));
        let event = complete_template(template, 99, version, &server("d.example"), &key()).unwrap();
        assert_eq!(event.origin_server_ts(), 99);
        assert_eq!(verify_event(&event, &keys_of(&["d.example"], 99)), Ok(()));
        assert!(check_content_hash(&event));
        assert_eq!(event.object()["signatures"].as_object().unwrap().len(), 1);
    }
}

/// PDU-26: the keys of the specification's table, written out again.
#[test]
fn pdu_26_exactly_the_listed_keys_survive() {
    let levels = "ban events events_default kick redact state_default users users_default";
    for version in VERSIONS {
        let updated = version != RoomVersion::V10;
        let content_keys = [
            (
                "m.room.member",
                "membership join_authorised_via_users_server",
                "third_party_invite",
            ),
            ("m.room.create", "creator", "*"),
            ("m.room.join_rules", "join_rule allow", ""),
            ("m.room.power_levels", levels, "invite"),
            ("m.room.history_visibility", "history_visibility", ""),
            ("m.room.redaction", "", "redacts"),
            ("m.room.aliases", "", ""),
            ("m.room.message", "", ""),
        ];
        let all_keys: Vec<&str> = content_keys
            .iter()
            .flat_map(|(_, kept, updated)| kept.split(' ').chain([*updated]))
            .chain(["notifications", "body", "aliases"])
            .filter(|key| !["", "*"].contains(key))
            .collect();
        for (event_type, kept, kept_since_11) in content_keys {
            let mut event = valid_event(version);
            let content: Object = all_keys
                .iter()
                .map(|key| ((*key).to_owned(), json!({ "signed": 1, "other": 2 })))
                .collect();
            event.insert("type".into(), event_type.into());
            event.insert("content".into(), Value::Object(content.clone()));
            let redacted = redact(&event, version);
            let survivors: Vec<_> = redacted["content"].as_object().unwrap().keys().collect();
            let mut expected: Vec<_> = match (updated, kept_since_11) {
                (true, "*") => content.keys().map(String::as_str).collect(),
                (true, _) => kept.split(' ').chain([kept_since_11]).collect(),
                (false, _) => kept.split(' ').collect(),
            };
            expected.retain(|key| !key.is_empty());
            expected.sort_unstable();
            assert_eq!(survivors, expected, "{version} {event_type}");
            if updated && event_type == "m.room.member" {
                assert_eq!(
                    redacted["content"]["third_party_invite"],
                    json!({ "signed": 1 })
                );
            }
        }
    }
}

#[test]
fn pdu_26_exactly_the_listed_top_level_keys_survive() {
    let always = "auth_events content depth hashes origin_server_ts prev_events room_id sender signatures state_key type";
    for version in VERSIONS {
        let mut event = valid_event(version);
        for key in [
            "state_key",
            "membership",
            "prev_state",
            "redacts",
            "unsigned",
        ] {
            event.insert(key.to_owned(), json!("x"));
        }
        let mut expected: Vec<_> = always.split(' ').collect();
        if version == RoomVersion::V10 {
            expected.extend(["membership", "origin", "prev_state"]);
        }
        expected.sort_unstable();
        assert_eq!(
            redact(&event, version).keys().collect::<Vec<_>>(),
            expected,
            "{version}"
        );
    }
}

/// The one key on which readers of the specification differ: see `KeptKey::Inside`.
#[test]
fn pdu_26_a_third_party_invite_that_is_no_object_goes() {
    let mut event = valid_event(RoomVersion::V11);
    event.insert("type".into(), "m.room.member".into());
    for (invite, expected) in [
        (json!("text"), json!({})),
        (json!([1]), json!({})),
        (
            json!({ "display_name": "x" }),
            json!({ "third_party_invite": {} }),
        ),
    ] {
        event.insert("content".into(), json!({ "third_party_invite": invite }));
        assert_eq!(redact(&event, RoomVersion::V11)["content"], expected);
    }
}

/// Any JSON value that canonical JSON can hold, with keys that sort in surprising ways.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        "\\PC{0,4}",
        Just("\u{ff21}".to_owned()),
        Just("😀".to_owned()),
        Just("\"\\\u{1}\n".to_owned()),
    ];
    let integer = -((1_i64 << 53) - 1)..(1_i64 << 53);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        integer.prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// An event of an interesting type with interesting keys in its content.
fn any_event() -> impl Strategy<Value = Value> {
    let event_type = prop::sample::select(vec![
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.redaction",
        "m.room.aliases",
        "m.room.message",
    ]);
    let key = prop::sample::select(vec![
        "creator",
        "membership",
        "join_authorised_via_users_server",
        "join_rule",
        "allow",
        "ban",
        "events",
        "invite",
        "users",
        "notifications",
        "redacts",
        "aliases",
        "history_visibility",
        "body",
        "unknown",
    ]);
    let content = prop::collection::btree_map(key, any_json(), 0..6);
    let extra = prop::collection::btree_map(
        prop::sample::select(vec![
            "origin",
            "prev_state",
            "membership",
            "redacts",
            "unsigned",
            "age_ts",
            "outlier",
            "x",
        ]),
        any_json(),
        0..4,
    );
    let invite = prop::option::of(prop::collection::btree_map(
        "signed|display_name",
        any_json(),
        0..3,
    ));
    (event_type, content, extra, invite).prop_map(|(event_type, content, extra, invite)| {
        let mut event = valid_event(RoomVersion::V11);
        event.extend(
            extra
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        );
        event.insert("type".into(), event_type.into());
        let mut content = object(json!(content));
        if let Some(invite) = invite {
            content.insert("third_party_invite".into(), json!(invite));
        }
        event.insert("content".into(), Value::Object(content));
        Value::Object(event)
    })
}

fn as_ruma(event: &Object) -> CanonicalJsonObject {
    serde_json::from_value(Value::Object(event.clone())).unwrap()
}

proptest! {
    #![proptest_config(pdu_room::same_cases_each_time(400))]

    #[test]
    fn cj_1_canonical_json_agrees_with_ruma(value in any_json()) {
        let text = serde_json::to_string_pretty(&json!({ "value": value })).unwrap();
        let ours = object_to_canonical_string(&parse_object(text.as_bytes()).unwrap(), &[]);
        let theirs: CanonicalJsonObject = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&ours, &serde_json::to_string(&theirs).unwrap());
        prop_assert_eq!(&ours, &object_to_canonical_string(&parse_object(ours.as_bytes()).unwrap(), &[]));
    }

    #[test]
    fn pdu_22_redaction_and_hashes_agree_with_ruma(event in any_event()) {
        let event = object(event);
        for version in VERSIONS {
            let rules = ruma::rules(version);
            let ruma_event = as_ruma(&event);
            let mut ours = redact(&event, version);
            let mut theirs = ruma_redact(ruma_event.clone(), &rules.redaction, None).unwrap();
            // `unsigned` goes away in any case, when the event is parsed.
            ours.remove("unsigned");
            theirs.remove("unsigned");
            prop_assert_eq!(as_ruma(&ours), theirs);
            prop_assert_eq!(
                unpadded_base64::encode(&hash::content_hash(&event)),
                ruma_signatures::content_hash(&ruma_event).unwrap().encode()
            );
            prop_assert_eq!(
                hash::event_id(&event, version).unwrap().as_str()[1..].to_owned(),
                ruma_signatures::reference_hash(&ruma_event, &rules).unwrap()
            );
        }
    }

    #[test]
    fn sign_1_ruma_accepts_what_we_sign(event in any_event(), version in prop::sample::select(VERSIONS.to_vec())) {
        let mut template = object(event);
        if version == RoomVersion::V12 && template["type"] == "m.room.create" {
            template.remove("room_id");
        } else if version == RoomVersion::V12 {
            template.insert("room_id".into(), "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
        }
        // Ruma wants another server's signature for the first key on events of any type, and text
        // under the second.
        let content = template["content"].as_object_mut().unwrap();
        content.remove("join_authorised_via_users_server");
        content.insert("membership".into(), "join".into());
        let origin: &ServerName = "b.example".try_into().unwrap();
        let event = complete_template(template, 5, version, origin, &key()).unwrap();
        let mut keys = PublicKeyMap::new();
        let public = Base64::new(key().public_key().to_vec());
        keys.insert(origin.to_string(), PublicKeySet::from([("ed25519:1".to_owned(), public)]));
        let verified = ruma_signatures::verify_event(&keys, &as_ruma(&event.object()), &ruma::rules(version));
        prop_assert!(matches!(verified, Ok(Verified::All)), "{verified:?}");
        prop_assert_eq!(verify_event(&event, &keys_of(&["b.example"], 5)), Ok(()));
    }
}
