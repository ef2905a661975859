//! What survives a redaction, what a redaction names, and whether it takes effect.

use std::sync::Arc;

use comity_core::pdu::{Pdu, RoomVersion, authorisation::may_redact, canonical_json::Object};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    events::{redact, valid_event},
    judge::{levels_of, room_with},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
};

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
    let always = "auth_events content depth hashes origin_server_ts prev_events room_id sender \
                  signatures state_key type";
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

#[test]
fn pdu_27_redactions_need_the_level_or_the_same_server() {
    for version in VERSIONS {
        let mut room = room_with(version, &[(BOB, "join"), ("@carol:b.example", "join")]);
        let message = room.make(
            &room.state.clone(),
            ALICE,
            "m.room.message",
            None,
            json!({}),
        );
        let create = room.create.clone();
        let mut redact = |sender: &str, target: &Arc<Pdu>, of: &Arc<Pdu>| {
            let mut template = room.template(
                &room.state.clone(),
                sender,
                "m.room.redaction",
                None,
                json!({}),
            );
            template.redacts = Some(of.event_id().to_owned());
            let redaction = room.add(template);
            may_redact(&redaction, target, &levels_of(&room))
        };
        assert!(redact(ALICE, &message, &message));
        assert!(redact("@carol:b.example", &message, &message));
        assert!(redact(MODERATOR, &message, &message));
        assert!(!redact(BOB, &message, &message));
        assert!(
            !redact(MODERATOR, &message, &create),
            "another event is meant"
        );
        assert!(!redact(CREATOR, &create, &create));
        let elsewhere = Room::created(version, json!({ "x": 1 }));
        if version == RoomVersion::V12 {
            assert!(!redact(CREATOR, &elsewhere.create, &elsewhere.create));
        }
    }
}
