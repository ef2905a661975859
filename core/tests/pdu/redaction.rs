//! What survives a redaction, what a redaction names, and whether it takes effect.

use std::sync::Arc;

use comity_core::pdu::{Pdu, RoomVersion, authorisation::may_redact, canonical_json::Object};
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION, VERSIONS,
    events::{redact, valid_event},
    judge::{levels_of, room_with},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
};

#[test]
fn pdu_28_the_target_of_a_redaction_has_its_place() {
    let target = json!("$BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB");
    let other = json!("$CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC");
    for version in EVERY_VERSION {
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

/// PDU-26: whether the key survives a redaction of an event of the type, for every version from 1
/// to 12. An empty type stands for the top level of any event.
macro_rules! pdu_26 {
    ($($name:ident: $event_type:literal $key:literal $kept:literal;)+) => {
        $(#[test]
        fn $name() {
            assert_survives($event_type, $key, $kept);
        })+

        const TABLE: &[(&str, &str, &str)] = &[$(($event_type, $key, $kept)),+];
    };
}

#[rustfmt::skip]
pdu_26! {
    //                                                                                         1 2 3 4 5 6 7 8 9 10 11 12
    pdu_26_event_id: "" "event_id"                                                            "x x x x x x x x x x x x";
    pdu_26_type: "" "type"                                                                    "x x x x x x x x x x x x";
    pdu_26_room_id: "" "room_id"                                                              "x x x x x x x x x x x x";
    pdu_26_sender: "" "sender"                                                                "x x x x x x x x x x x x";
    pdu_26_state_key: "" "state_key"                                                          "x x x x x x x x x x x x";
    pdu_26_content: "" "content"                                                              "x x x x x x x x x x x x";
    pdu_26_hashes: "" "hashes"                                                                "x x x x x x x x x x x x";
    pdu_26_signatures: "" "signatures"                                                        "x x x x x x x x x x x x";
    pdu_26_depth: "" "depth"                                                                  "x x x x x x x x x x x x";
    pdu_26_prev_events: "" "prev_events"                                                      "x x x x x x x x x x x x";
    pdu_26_auth_events: "" "auth_events"                                                      "x x x x x x x x x x x x";
    pdu_26_origin_server_ts: "" "origin_server_ts"                                            "x x x x x x x x x x x x";
    pdu_26_prev_state: "" "prev_state"                                                        "x x x x x x x x x x - -";
    pdu_26_origin: "" "origin"                                                                "x x x x x x x x x x - -";
    pdu_26_membership: "" "membership"                                                        "x x x x x x x x x x - -";
    pdu_26_redacts: "" "redacts"                                                              "- - - - - - - - - - - -";
    pdu_26_unsigned: "" "unsigned"                                                            "- - - - - - - - - - - -";
    pdu_26_unknown: "" "unknown"                                                              "- - - - - - - - - - - -";

    pdu_26_member_membership: "m.room.member" "membership"                                    "x x x x x x x x x x x x";
    pdu_26_member_authorised: "m.room.member" "join_authorised_via_users_server"              "- - - - - - - - x x x x";
    pdu_26_member_third_party_invite: "m.room.member" "third_party_invite"                    "- - - - - - - - - - x x";
    pdu_26_member_displayname: "m.room.member" "displayname"                                  "- - - - - - - - - - - -";
    pdu_26_create_creator: "m.room.create" "creator"                                          "x x x x x x x x x x x x";
    pdu_26_create_room_version: "m.room.create" "room_version"                                "- - - - - - - - - - x x";
    pdu_26_create_anything: "m.room.create" "unknown"                                         "- - - - - - - - - - x x";
    pdu_26_join_rules_join_rule: "m.room.join_rules" "join_rule"                              "x x x x x x x x x x x x";
    pdu_26_join_rules_allow: "m.room.join_rules" "allow"                                      "- - - - - - - x x x x x";
    pdu_26_power_levels_ban: "m.room.power_levels" "ban"                                      "x x x x x x x x x x x x";
    pdu_26_power_levels_events: "m.room.power_levels" "events"                                "x x x x x x x x x x x x";
    pdu_26_power_levels_events_default: "m.room.power_levels" "events_default"                "x x x x x x x x x x x x";
    pdu_26_power_levels_kick: "m.room.power_levels" "kick"                                    "x x x x x x x x x x x x";
    pdu_26_power_levels_redact: "m.room.power_levels" "redact"                                "x x x x x x x x x x x x";
    pdu_26_power_levels_state_default: "m.room.power_levels" "state_default"                  "x x x x x x x x x x x x";
    pdu_26_power_levels_users: "m.room.power_levels" "users"                                  "x x x x x x x x x x x x";
    pdu_26_power_levels_users_default: "m.room.power_levels" "users_default"                  "x x x x x x x x x x x x";
    pdu_26_power_levels_invite: "m.room.power_levels" "invite"                                "- - - - - - - - - - x x";
    pdu_26_power_levels_notifications: "m.room.power_levels" "notifications"                  "- - - - - - - - - - - -";
    pdu_26_aliases: "m.room.aliases" "aliases"                                                "x x x x x - - - - - - -";
    pdu_26_history_visibility: "m.room.history_visibility" "history_visibility"               "x x x x x x x x x x x x";
    pdu_26_redaction_redacts: "m.room.redaction" "redacts"                                    "- - - - - - - - - - x x";
    pdu_26_redaction_reason: "m.room.redaction" "reason"                                      "- - - - - - - - - - - -";
    pdu_26_message_body: "m.room.message" "body"                                              "- - - - - - - - - - - -";
    pdu_26_third_party_invite_public_key: "m.room.third_party_invite" "public_key"            "- - - - - - - - - - - -";
    pdu_26_server_acl_deny: "m.room.server_acl" "deny"                                        "- - - - - - - - - - - -";
    pdu_26_name: "m.room.name" "name"                                                         "- - - - - - - - - - - -";
}

fn assert_survives(event_type: &str, key: &str, kept: &str) {
    let kept: Vec<bool> = kept.split(' ').map(|mark| mark == "x").collect();
    assert_eq!(kept.len(), EVERY_VERSION.len());
    for (version, kept) in EVERY_VERSION.into_iter().zip(kept) {
        let event = with_every_key(event_type, version);
        let redacted = redact(&event, version);
        let (before, after) = match event_type {
            "" => (event.get(key), redacted.get(key)),
            _ => (event["content"].get(key), redacted["content"].get(key)),
        };
        assert!(before.is_some(), "{event_type} {key}");
        assert_eq!(after.is_some(), kept, "{version} {event_type} {key}");
        if kept && !["content", "third_party_invite"].contains(&key) {
            assert_eq!(after, before, "{version} {event_type} {key}");
        }
    }
}

/// An event of this type with all keys of the table, whichever type they belong to.
fn with_every_key(event_type: &str, version: RoomVersion) -> Object {
    let mut event = valid_event(version);
    let mut content = Object::new();
    for (key_of, key, _) in TABLE {
        match *key_of {
            "" => event.entry(*key).or_insert_with(|| json!({ "x": 1 })),
            _ => content
                .entry(*key)
                .or_insert_with(|| json!({ "signed": 1, "other": 2 })),
        };
    }
    if !event_type.is_empty() {
        event.insert("type".into(), event_type.into());
    }
    event.insert("content".into(), Value::Object(content));
    event
}

/// PDU-26: what the table does not name for a type goes, whatever other types keep.
#[test]
fn pdu_26_nothing_else_survives() {
    for (index, version) in EVERY_VERSION.into_iter().enumerate() {
        for (event_type, _, _) in TABLE
            .iter()
            .filter(|(event_type, _, _)| !event_type.is_empty())
        {
            let redacted = redact(&with_every_key(event_type, version), version);
            let survivors: Vec<_> = redacted["content"].as_object().unwrap().keys().collect();
            let is_kept = |kept: &str| kept.split(' ').nth(index) == Some("x");
            let rows = TABLE
                .iter()
                .filter(|(of, _, kept)| of == event_type && is_kept(kept));
            let mut expected: Vec<_> = rows.map(|(_, key, _)| *key).collect();
            expected.sort_unstable();
            if !expected.contains(&"unknown") {
                assert_eq!(survivors, expected, "{version} {event_type}");
            }
        }
    }
}

#[test]
fn pdu_26_of_a_third_party_invite_only_what_was_signed_survives() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let redacted = redact(&with_every_key("m.room.member", version), version);
        let invite = &redacted["content"]["third_party_invite"];
        assert_eq!(*invite, json!({ "signed": 1 }));
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
