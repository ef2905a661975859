//! Hashes and signatures, by the vectors of the specification and by altering what was signed.

use std::collections::BTreeMap;

use comity_core::pdu::{
    Pdu, RoomVersion,
    build::complete_template,
    hash,
    signing::{
        SignatureError, SigningKey, SigningKeyError, VerifyKey, check_content_hash,
        required_signers, sign_json, verify_event, verify_json,
    },
    unpadded_base64,
};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    events::server,
    room::{ALICE, CREATOR, Room, key, keys_of, object},
};

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

#[test]
fn minus_zero_is_zero_before_anything_is_hashed() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let content = serde_json::from_str(r#"{ "zero": -0 }"#).unwrap();
        let event = room.make(&room.state.clone(), ALICE, "m.room.message", None, content);
        assert!(event.json().contains(r#""zero":0"#));
        assert!(check_content_hash(&event));
        assert_eq!(
            verify_event(&event, &keys_of(&["b.example"], i64::MAX)),
            Ok(())
        );
    }
}
