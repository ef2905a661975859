//! Random events and values: canonical JSON, hashes, redaction and signatures as in ruma.

use crate::room::{key, keys_of, object, same_cases_each_time};
use crate::{VERSIONS, ruma};
use comity_core::pdu::build::complete_template;
use comity_core::pdu::canonical_json::{Object, object_to_canonical_string, parse_object};
use comity_core::pdu::signing::verify_event;
use comity_core::pdu::{RoomVersion, hash, unpadded_base64};
use proptest::prelude::*;
use ruma_common::canonical_json::redact as ruma_redact;
use ruma_common::serde::Base64;
use ruma_common::{CanonicalJsonObject, ServerName};
use ruma_signatures::{PublicKeyMap, PublicKeySet, Verified};
use serde_json::{Value, json};

use crate::events::{redact, text, valid_event};

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
    #![proptest_config(same_cases_each_time(400))]

    #[test]
    fn cj_1_canonical_json_agrees_with_ruma(value in any_json()) {
        let text = serde_json::to_string_pretty(&json!({ "value": value })).unwrap();
        let ours = object_to_canonical_string(&parse_object(text.as_bytes()).unwrap(), &[]);
        let theirs: CanonicalJsonObject = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&ours, &serde_json::to_string(&theirs).unwrap());
        let again = parse_object(ours.as_bytes()).unwrap();
        prop_assert_eq!(&ours, &object_to_canonical_string(&again, &[]));
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
                unpadded_base64::encode(&hash::content_hash(&text(&event, version))),
                ruma_signatures::content_hash(&ruma_event).unwrap().encode()
            );
            prop_assert_eq!(
                hash::event_id(&text(&event, version), version).unwrap().as_str()[1..].to_owned(),
                ruma_signatures::reference_hash(&ruma_event, &rules).unwrap()
            );
        }
    }

    #[test]
    fn sign_1_ruma_accepts_what_we_sign(
        event in any_event(),
        version in prop::sample::select(VERSIONS.to_vec()),
    ) {
        let mut template = object(event);
        if version == RoomVersion::V12 && template["type"] == "m.room.create" {
            template.remove("room_id");
        } else if version == RoomVersion::V12 {
            let room_id = "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
            template.insert("room_id".into(), room_id.into());
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
        let (signed, rules) = (as_ruma(&event.object()), ruma::rules(version));
        let verified = ruma_signatures::verify_event(&keys, &signed, &rules);
        prop_assert!(matches!(verified, Ok(Verified::All)), "{verified:?}");
        prop_assert_eq!(verify_event(&event, &keys_of(&["b.example"], 5)), Ok(()));
    }
}
