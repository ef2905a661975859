//! Hashes and signatures, by the vectors of the specification and by altering what was signed.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion,
    build::complete_template,
    hash,
    redaction::signed_text,
    room_version::EventIds,
    signing::{
        PublicKey, SignatureError, SigningKey, SigningKeyError, VerifyKey, required_signers,
        sign_json, verify_event, verify_json,
    },
    unpadded_base64,
};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    events::{server, text},
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
            unpadded_base64::encode(&hash::content_hash(&text(&event, RoomVersion::V1))),
            content_hash
        );
        event.insert("hashes".into(), json!({ "sha256": content_hash }));
        let signed = signed_text(&text(&event, RoomVersion::V1), RoomVersion::V1);
        assert_eq!(vector_key().sign(signed.as_bytes()), signature);
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
        public_key: PublicKey::new(vector_key().public_key()),
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
        public_key: PublicKey::new(key().public_key()),
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

/// Makes a test of each of these functions in each of the room versions.
macro_rules! in_every_version {
    ($($rule:ident),+ $(,)?) => {
        in_every_version!(@v1 V1 $($rule)+);
        in_every_version!(@v2 V2 $($rule)+);
        in_every_version!(@v3 V3 $($rule)+);
        in_every_version!(@v4 V4 $($rule)+);
        in_every_version!(@v5 V5 $($rule)+);
        in_every_version!(@v6 V6 $($rule)+);
        in_every_version!(@v7 V7 $($rule)+);
        in_every_version!(@v8 V8 $($rule)+);
        in_every_version!(@v9 V9 $($rule)+);
        in_every_version!(@v10 V10 $($rule)+);
        in_every_version!(@v11 V11 $($rule)+);
        in_every_version!(@v12 V12 $($rule)+);
    };
    (@$module:ident $version:ident $($rule:ident)+) => {
        mod $module {
            $(#[test]
            fn $rule() {
                super::$rule(super::RoomVersion::$version);
            })+
        }
    };
}

in_every_version!(
    pdu_7_the_senders_server_signs,
    pdu_7_an_invite_for_a_third_party_needs_no_signature_of_the_senders_server,
    pdu_7_the_server_in_a_chosen_event_id_signs_if_it_is_another,
    pdu_7_an_altered_invite_for_a_third_party_needs_it_if_it_turns_into_a_plain_one,
    auth_9_who_vouches_for_a_membership_signs_it,
    auth_9_somebody_who_cannot_sign_vouches_for_nobody,
    pdu_8_signatures_cover_the_redacted_event_and_the_hash_covers_all,
    sign_3_every_known_key_that_signed_an_event_signed_it_rightly,
    key_7_the_key_was_valid_when_the_event_was_made,
);

fn message(version: RoomVersion) -> Arc<Pdu> {
    let mut room = Room::new(version);
    let state = room.state.clone();
    let content = json!({ "body": "hello" });
    room.make(&state, ALICE, "m.room.message", None, content)
}

/// A membership that Alice gives somebody.
fn member(version: RoomVersion, content: Value) -> Arc<Pdu> {
    let mut room = Room::new(version);
    let state = room.state.clone();
    let target = Some("@new:d.example");
    room.make(&state, ALICE, "m.room.member", target, content)
}

fn signers(event: &Pdu) -> Vec<&str> {
    let signers = required_signers(event).unwrap();
    signers.map(|server| server.as_str()).collect()
}

fn pdu_7_the_senders_server_signs(version: RoomVersion) {
    for membership in ["invite", "join", "knock", "leave", "ban"] {
        let event = member(version, json!({ "membership": membership }));
        assert_eq!(signers(&event), ["b.example"]);
    }
    let event = message(version);
    assert_eq!(signers(&event), ["b.example"]);
    let of_another_server = keys_of(&["a.example"], i64::MAX);
    assert_eq!(
        verify_event(&event, &of_another_server),
        Err(SignatureError::NoValidKey(server("b.example")))
    );
    let mut unsigned = event.object();
    unsigned["signatures"] = json!({ "a.example": unsigned["signatures"]["b.example"] });
    let unsigned = Pdu::from_object(unsigned, version).unwrap();
    assert_eq!(
        verify_event(&unsigned, &of_another_server),
        Err(SignatureError::Missing(server("b.example")))
    );
}

fn pdu_7_an_invite_for_a_third_party_needs_no_signature_of_the_senders_server(
    version: RoomVersion,
) {
    let with_third_party = |membership| {
        let content = json!({ "membership": membership, "third_party_invite": {} });
        member(version, content)
    };
    let invite = with_third_party("invite");
    assert!(signers(&invite).is_empty());
    assert_eq!(verify_event(&invite, &BTreeMap::new()), Ok(()));
    assert_eq!(signers(&with_third_party("knock")), ["b.example"]);
}

/// The same event with another id, where servers choose ids.
fn renamed(event: &Pdu, event_id: &str) -> Arc<Pdu> {
    let version = event.room_version();
    if version.rules().event_ids != EventIds::Chosen {
        return Arc::new(event.clone());
    }
    let mut object = event.object();
    object["event_id"] = event_id.into();
    object["signatures"] = json!({});
    let renamed = Pdu::from_object(object.clone(), version).unwrap();
    let hash = unpadded_base64::encode(&hash::content_hash(renamed.text()));
    object["hashes"] = json!({ "sha256": hash });
    let renamed = Pdu::from_object(object, version).unwrap();
    Arc::new(renamed.signed_by(event.origin(), &key()).unwrap())
}

fn pdu_7_the_server_in_a_chosen_event_id_signs_if_it_is_another(version: RoomVersion) {
    let is_chosen = version.rules().event_ids == EventIds::Chosen;
    let keys = keys_of(&["b.example", "c.example"], i64::MAX);
    let event = renamed(&message(version), "$name:c.example");
    let unsigned = Err(SignatureError::Missing(server("c.example")));
    let expected = if is_chosen { unsigned } else { Ok(()) };
    assert_eq!(verify_event(&event, &keys), expected);
    let signed = event.signed_by(&server("c.example"), &key()).unwrap();
    assert_eq!(verify_event(&signed, &keys), Ok(()));

    let own = renamed(&message(version), "$name:b.example");
    assert_eq!(signers(&own), ["b.example"]);

    if is_chosen {
        let of_nobody = renamed(&message(version), "$name");
        let refused = SignatureError::EventId("$name".try_into().unwrap());
        assert_eq!(verify_event(&of_nobody, &keys), Err(refused));
    }

    let content = json!({ "membership": "invite", "third_party_invite": {} });
    let invite = member(version, content);
    assert!(signers(&renamed(&invite, "$name:b.example")).is_empty());
    let of_another: &[_] = if is_chosen { &["c.example"] } else { &[] };
    assert_eq!(signers(&renamed(&invite, "$name:c.example")), of_another);
}

/// Else anybody could make plain invites in anybody's name, where redaction takes away the content
/// that spares the signature.
fn pdu_7_an_altered_invite_for_a_third_party_needs_it_if_it_turns_into_a_plain_one(
    version: RoomVersion,
) {
    let content = json!({ "membership": "invite", "third_party_invite": {} });
    let mut altered = member(version, content).object();
    altered["content"]["x"] = 1.into();
    altered["signatures"] = json!({});
    let altered = Pdu::from_object(altered, version).unwrap();
    let stays = altered
        .redacted()
        .content()
        .contains_key("third_party_invite");
    let expected = match stays {
        true => Ok(()),
        false => Err(SignatureError::Missing(server("b.example"))),
    };
    assert_eq!(
        verify_event(&altered, &keys_of(&["b.example"], 5)),
        expected
    );
}

fn auth_9_who_vouches_for_a_membership_signs_it(version: RoomVersion) {
    let wanted: &[_] = match version.rules().restricted {
        true => &["b.example", "a.example"],
        false => &["b.example"],
    };
    for membership in ["join", "leave"] {
        let content =
            json!({ "membership": membership, "join_authorised_via_users_server": CREATOR });
        let event = member(version, content);
        assert_eq!(signers(&event), wanted);
        let keys = keys_of(&["a.example", "b.example"], i64::MAX);
        let missing = Err(SignatureError::Missing(server("a.example")));
        let expected = match version.rules().restricted {
            true => missing,
            false => Ok(()),
        };
        assert_eq!(verify_event(&event, &keys), expected);
        let signed = event.signed_by(&server("a.example"), &key()).unwrap();
        assert_eq!(verify_event(&signed, &keys), Ok(()));
        assert_eq!(signed.event_id(), event.event_id());
    }
    let own = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
    assert_eq!(signers(&member(version, own)), ["b.example"]);
    let mut room = Room::new(version);
    let content = json!({ "join_authorised_via_users_server": CREATOR });
    let message = room.make(&room.state.clone(), ALICE, "m.room.message", None, content);
    assert_eq!(signers(&message), ["b.example"]);
}

fn auth_9_somebody_who_cannot_sign_vouches_for_nobody(version: RoomVersion) {
    for nobody in [json!(5), json!(null), json!("a.example"), json!("@a:")] {
        let content = json!({ "membership": "join", "join_authorised_via_users_server": nobody });
        let event = member(version, content);
        let refused = required_signers(&event).is_err();
        assert_eq!(refused, version.rules().restricted, "{nobody}");
        let verified = verify_event(&event, &keys_of(&["b.example"], i64::MAX));
        assert_eq!(verified.is_err(), version.rules().restricted, "{nobody}");
    }
}

/// PDU-8, PDU-9, PDU-21
fn pdu_8_signatures_cover_the_redacted_event_and_the_hash_covers_all(version: RoomVersion) {
    let event = message(version);
    let keys = keys_of(&["b.example"], i64::MAX);
    assert_eq!(verify_event(&event, &keys), Ok(()));
    assert!(event.has_claimed_content());

    let mut altered = event.object();
    altered["content"]["body"] = "goodbye".into();
    let altered = Pdu::from_object(altered, version).unwrap();
    assert_eq!(altered.event_id(), event.event_id());
    assert_eq!(verify_event(&altered, &keys), Ok(()));
    assert!(!altered.has_claimed_content());

    let redacted = altered.redacted();
    assert_eq!(redacted.event_id(), event.event_id());
    assert!(redacted.content().is_empty());
    assert_eq!(verify_event(&redacted, &keys), Ok(()));
    assert!(!redacted.has_claimed_content());

    let mut forged = event.object();
    forged.insert("depth".into(), 1.into());
    let forged = Pdu::from_object(forged, version).unwrap();
    assert!(matches!(
        verify_event(&forged, &keys),
        Err(SignatureError::Wrong { .. })
    ));
}

/// SIGN-3, PDU-8
fn sign_3_every_known_key_that_signed_an_event_signed_it_rightly(version: RoomVersion) {
    let event = message(version);
    let alice_server = server("b.example");
    let second_key = SigningKey::from_seed("ed25519:2", &[8; 32]).unwrap();
    let twice = event.signed_by(&alice_server, &second_key).unwrap();
    let mut altered = twice.object();
    let of_alice = &mut altered["signatures"]["b.example"];
    of_alice["ed25519:2"] = of_alice["ed25519:1"].clone();
    let one_is_wrong = Pdu::from_object(altered, version).unwrap();

    let first_only = keys_of(&["b.example"], i64::MAX);
    assert_eq!(verify_event(&twice, &first_only), Ok(()));
    assert_eq!(verify_event(&one_is_wrong, &first_only), Ok(()));

    let mut both = first_only;
    let second = VerifyKey {
        public_key: PublicKey::new(second_key.public_key()),
        ..verify_key("ed25519:2")
    };
    both.insert(
        alice_server.clone(),
        Arc::new([verify_key("ed25519:1"), second]),
    );
    assert_eq!(verify_event(&twice, &both), Ok(()));
    let key_id = "ed25519:2".to_owned();
    let wrong = SignatureError::Wrong {
        server: alice_server.clone(),
        key_id,
    };
    assert_eq!(verify_event(&one_is_wrong, &both), Err(wrong));

    let neither = BTreeMap::from([(
        alice_server.clone(),
        Arc::new([verify_key("ed25519:3")]) as _,
    )]);
    assert_eq!(
        verify_event(&twice, &neither),
        Err(SignatureError::NoValidKey(alice_server))
    );
}

fn key_7_the_key_was_valid_when_the_event_was_made(version: RoomVersion) {
    let event = message(version);
    let at = event.origin_server_ts();
    let verify = |valid_until, retired| {
        let key = VerifyKey {
            valid_until,
            retired,
            ..verify_key("ed25519:1")
        };
        let keys = BTreeMap::from([(server("b.example"), Arc::new([key]) as _)]);
        verify_event(&event, &keys)
    };
    let too_old = match version.rules().key_validity {
        true => Err(SignatureError::NoValidKey(server("b.example"))),
        false => Ok(()),
    };
    for retired in [false, true] {
        assert_eq!(verify(at, retired), Ok(()));
        assert_eq!(verify(at - 1, retired), too_old);
    }
    assert!(verify_event(&event, &BTreeMap::new()).is_err());
}

/// JOIN-4.
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
        assert!(event.has_claimed_content());
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
        assert!(event.has_claimed_content());
        assert_eq!(
            verify_event(&event, &keys_of(&["b.example"], i64::MAX)),
            Ok(())
        );
    }
}
