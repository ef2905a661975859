//! What is told of an event: every check on receipt with its verdict, and the facts.

mod graph;
mod rooms;
mod shelf;

use std::sync::Arc;

use comity_core::{
    pdu::{
        Pdu, RoomVersion,
        authorisation::PowerLevel,
        event_type::{JOIN_RULES, MEMBER, POLICY},
        explain::{
            EventReport, ExplainError, Standing,
            event::{BrokenRule, Check, CheckFacts, CheckResult, Consequence},
            explain_event,
            state_facts::{Level, StateFacts},
        },
        signing::POLICY_SERVER_KEY_ID,
        unpadded_base64,
    },
    persistence::tables::{StoredEvent, Verdict},
};
use ruma_common::OwnedServerName;
use serde_json::{Value, json};

use self::shelf::Shelf;
use crate::{
    EVERY_VERSION,
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, key, user},
};

fn explained(shelf: &Shelf, event: &Pdu) -> EventReport {
    explain_event(event.event_id(), &shelf.archive()).unwrap()
}

fn check<'r>(report: &'r EventReport, name: &str) -> &'r Check {
    report
        .checks
        .iter()
        .find(|check| check.name == name)
        .unwrap()
}

fn state_facts(check: &Check) -> &StateFacts {
    match &check.facts {
        CheckFacts::AuthEvents { state, .. }
        | CheckFacts::State { state, .. }
        | CheckFacts::CurrentState { state, .. } => state,
        other => panic!("{other:?} are of no state"),
    }
}

/// Each check's verdict, as JSON tells it.
fn verdicts(report: &EventReport) -> Vec<Value> {
    let report = serde_json::to_value(report).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|check| check["verdict"].clone()).collect()
}

/// An event on the room's present state, stored with this verdict.
fn stored(room: &mut Room, sender: &str, kind: &str, verdict: Verdict) -> (Shelf, Arc<Pdu>) {
    let state = room.state.clone();
    let event = room.make(&state, sender, kind, Some(""), json!({}));
    let mut shelf = Shelf::of(room);
    shelf.put(&event, verdict, &state, &state);
    (shelf, event)
}

/// PDU-1
#[test]
fn every_check_of_an_accepted_event_passes_with_its_facts() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let (shelf, event) = stored(&mut room, MODERATOR, "m.room.name", Verdict::Accepted);
        let report = explained(&shelf, &event);
        assert_eq!(verdicts(&report), ["passed"; 6], "{version}: {report:?}");
        let numbers: Vec<u8> = report.checks.iter().map(|check| check.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert!(report.agrees);
        assert_eq!(report.event.standing, Standing::Accepted);
        let facts = state_facts(check(&report, "state_before"));
        assert_eq!(facts.sender.membership, "join");
        assert_eq!(facts.sender.level, Some(Level(PowerLevel::Level(50))));
        let needed = facts.level_needed.as_ref().unwrap();
        assert_eq!((needed.level, &*needed.to), (50, "send m.room.name"));
        let CheckFacts::AuthEvents { auth_events, state } = &check(&report, "auth_events").facts
        else {
            panic!("no auth events")
        };
        assert_eq!(auth_events.len(), event.auth_events().len());
        assert_eq!(state, facts);
    }
}

#[test]
fn what_the_state_before_refuses_is_told_with_rule_and_values() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let rejected = Verdict::Rejected("as noted".to_owned());
        let (shelf, event) = stored(&mut room, ALICE, "m.room.name", rejected);
        let report = explained(&shelf, &event);
        let refused = &check(&report, "state_before").result;
        let CheckResult::Failed {
            reason,
            rule,
            consequence,
        } = refused
        else {
            panic!("{refused:?}")
        };
        assert!(
            reason.contains("level 0 is below the 50 needed to send m.room.name"),
            "{reason}"
        );
        let rule = rule.as_ref().map(|rule| rule.name);
        assert_eq!((rule, *consequence), (Some("level"), Consequence::Rejected));
        // The auth events say the same, and the last check comes too late.
        let expected = ["passed", "passed", "passed", "failed", "failed", "not_made"];
        assert_eq!(verdicts(&report), expected);
        assert_eq!(report.stored_reason.as_deref(), Some("as noted"));
        assert!(report.agrees);
    }
}

/// PDU-11
#[test]
fn a_rejected_auth_event_is_told() {
    let mut room = Room::new(RoomVersion::V11);
    let rejected = Verdict::Rejected("elsewhere".to_owned());
    let (mut shelf, event) = stored(&mut room, MODERATOR, "m.room.name", rejected.clone());
    let member = room.state.get(MEMBER, MODERATOR).unwrap();
    let member = room.events[member].clone();
    shelf.replace(StoredEvent::outlier(member, rejected));
    let report = explained(&shelf, &event);
    let auth_check = check(&report, "auth_events");
    let broken = BrokenRule {
        name: "auth_events.rejected",
        number: Some("2.3".to_owned()),
    };
    assert!(
        matches!(&auth_check.result, CheckResult::Failed { rule, .. } if *rule == Some(broken)),
        "{auth_check:?}"
    );
    let CheckFacts::AuthEvents { auth_events, .. } = &auth_check.facts else {
        panic!("no auth events")
    };
    let standings = auth_events.iter().flat_map(|named| &named.event);
    let rejected = standings.filter(|event| event.standing == Standing::Rejected);
    assert_eq!(rejected.count(), 1);
}

#[test]
fn an_auth_event_that_is_not_held_is_told() {
    let mut room = Room::new(RoomVersion::V11);
    let (mut shelf, event) = stored(&mut room, MODERATOR, "m.room.name", Verdict::Accepted);
    shelf
        .events
        .remove(room.state.get(MEMBER, MODERATOR).unwrap());
    let report = explained(&shelf, &event);
    let CheckFacts::AuthEvents { auth_events, .. } = &check(&report, "auth_events").facts else {
        panic!("no auth events")
    };
    assert_eq!(
        auth_events
            .iter()
            .filter(|named| named.event.is_none())
            .count(),
        1
    );
}

/// PDU-12
#[test]
fn a_soft_failure_is_told_as_it_was_noted_and_with_the_state_of_today() {
    let mut room = Room::new(RoomVersion::V12);
    let soft_failed = Verdict::SoftFailed("no longer in the room".to_owned());
    let (mut shelf, event) = stored(&mut room, MODERATOR, "m.room.name", soft_failed);
    let kick = json!({ "membership": "leave" });
    let kick = room.put(CREATOR, MEMBER, MODERATOR, kick);
    shelf.replace(StoredEvent::outlier(kick, Verdict::Accepted));
    shelf.state = room.state.clone();
    let report = explained(&shelf, &event);
    assert!(report.agrees);
    let Check { result, facts, .. } = check(&report, "current_state");
    assert_eq!(
        *result,
        CheckResult::Failed {
            reason: "no longer in the room".to_owned(),
            rule: None,
            consequence: Consequence::SoftFailed,
        }
    );
    let CheckFacts::CurrentState {
        refused_today,
        state,
    } = facts
    else {
        panic!("{facts:?}")
    };
    assert!(
        refused_today
            .as_ref()
            .unwrap()
            .contains("membership is leave")
    );
    assert_eq!(state.sender.membership, "leave");
}

#[test]
fn of_an_outlier_the_checks_by_states_are_not_made() {
    let room = Room::new(RoomVersion::V12);
    let levels = room.state.get("m.room.power_levels", "").unwrap();
    let report = explained(&Shelf::of(&room), &room.events[levels]);
    assert_eq!(report.event.standing, Standing::Outlier);
    let expected = [
        "passed", "passed", "passed", "passed", "not_made", "not_made",
    ];
    assert_eq!(verdicts(&report), expected);
    assert!(report.agrees);
}

/// PDU-9
#[test]
fn an_altered_event_is_told_apart_from_one_that_was_redacted_since() {
    let mut room = Room::new(RoomVersion::V11);
    let state = room.state.clone();
    let event = room.make(
        &state,
        ALICE,
        "m.room.message",
        None,
        json!({ "body": "x" }),
    );
    let mut shelf = Shelf::of(&room);
    let redacted = StoredEvent::outlier(Arc::new(event.redacted()), Verdict::Accepted);
    shelf.replace(redacted.clone());
    let hash_check = |shelf: &Shelf| check(&explained(shelf, &event), "content_hash").clone();
    let Check { result, facts, .. } = hash_check(&shelf);
    let altered = Consequence::Redacted;
    assert!(matches!(result, CheckResult::Failed { consequence, .. } if consequence == altered));
    let CheckFacts::ContentHash { claimed, computed } = facts else {
        panic!("{facts:?}")
    };
    assert_ne!(claimed, Some(computed));
    shelf.replace(StoredEvent {
        redacted_because: Some(room.create.event_id().to_owned()),
        ..redacted
    });
    assert!(matches!(
        hash_check(&shelf).result,
        CheckResult::NotMade { .. }
    ));
}

/// PDU-7, PDU-8
#[test]
fn signatures_are_told_with_the_keys_that_are_held() {
    let mut room = Room::new(RoomVersion::V11);
    let (mut shelf, event) = stored(&mut room, MODERATOR, "m.room.name", Verdict::Accepted);
    let signatures = |shelf: &Shelf| check(&explained(shelf, &event), "signatures").clone();
    let CheckFacts::Signatures { signers } = signatures(&shelf).facts else {
        panic!("no signatures")
    };
    let [signer] = signers.as_slice() else {
        panic!("{signers:?}")
    };
    assert_eq!(signer.server, "a.example");
    assert_eq!(signer.signatures[0].key_id, "ed25519:1");
    assert_eq!(signer.signatures[0].key.unwrap().valid_until, 1_000_000);
    shelf.keys_valid_until = Some(1);
    let expired = signatures(&shelf).result;
    assert!(matches!(
        expired,
        CheckResult::Failed {
            consequence: Consequence::Dropped,
            ..
        }
    ));
    shelf.keys_valid_until = None;
    assert!(matches!(
        signatures(&shelf).result,
        CheckResult::NotMade { .. }
    ));
}

/// POLICY-4
#[test]
fn what_the_policy_server_says_is_told_in_rooms_that_have_one() {
    let mut room = Room::new(RoomVersion::V12);
    let policy = json!({
        "via": "c.example",
        "public_keys": { "ed25519": unpadded_base64::encode(&key().public_key()) },
    });
    room.put(CREATOR, POLICY, "", policy);
    let unsigned = "the policy server c.example did not sign: it is down";
    let soft_failed = Verdict::SoftFailed(unsigned.to_owned());
    let (mut shelf, event) = stored(&mut room, MODERATOR, "m.room.name", soft_failed);
    let passed = json!("passed");
    assert_eq!(
        explained(&shelf, &event).checks.len(),
        6,
        "it is not in the room"
    );
    shelf.joined.push(user(BOB));
    let report = explained(&shelf, &event);
    assert_eq!(
        verdicts(&report)[4..],
        [passed.clone(), passed.clone(), json!("failed")]
    );
    let CheckResult::Failed { reason, .. } = &check(&report, "policy_server").result else {
        panic!("{report:?}")
    };
    assert_eq!(reason, unsigned);
    let signature = key().sign(event.signed_text().as_bytes());
    let via: OwnedServerName = "c.example".try_into().unwrap();
    let signed = event
        .with_signature(&via, POLICY_SERVER_KEY_ID, signature)
        .unwrap();
    let state = room.state.clone();
    shelf.put(&Arc::new(signed), Verdict::Accepted, &state, &state);
    assert_eq!(
        verdicts(&explained(&shelf, &event)),
        [(); 7].map(|()| passed.clone())
    );
}

#[test]
fn a_verdict_that_the_rules_do_not_come_to_is_noticed() {
    let mut room = Room::new(RoomVersion::V12);
    let (shelf, event) = stored(&mut room, ALICE, "m.room.name", Verdict::Accepted);
    assert!(!explained(&shelf, &event).agrees);
    let rejected = Verdict::Rejected("a whim".to_owned());
    let (shelf, event) = stored(&mut room, MODERATOR, "m.room.name", rejected);
    assert!(!explained(&shelf, &event).agrees);
}

#[test]
fn what_is_not_stored_cannot_be_explained() {
    let mut room = Room::new(RoomVersion::V12);
    let (mut shelf, event) = stored(&mut room, ALICE, "m.room.topic", Verdict::Accepted);
    shelf.events.remove(event.event_id());
    let unknown = ExplainError::UnknownEvent(event.event_id().to_owned());
    assert_eq!(
        explain_event(event.event_id(), &shelf.archive()),
        Err(unknown)
    );
}

/// The facts by which a membership event of the moderator about somebody is judged.
fn facts_of_member(room: &mut Room, target: &str, membership: &str) -> StateFacts {
    let state = room.state.clone();
    let content = json!({ "membership": membership });
    let event = room.make(&state, MODERATOR, MEMBER, Some(target), content);
    let mut shelf = Shelf::of(room);
    shelf.put(&event, Verdict::Accepted, &state, &state);
    state_facts(check(&explained(&shelf, &event), "state_before")).clone()
}

#[test]
fn facts_of_memberships_name_target_level_and_join_rule() {
    let mut room = Room::new(RoomVersion::V11);
    room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": "knock" }));
    room.put(CREATOR, MEMBER, BOB, json!({ "membership": "ban" }));
    let cases = [
        (ALICE, "ban", Some((50, "ban"))),
        (ALICE, "leave", Some((50, "kick"))),
        (BOB, "leave", Some((50, "unban"))),
        (BOB, "invite", Some((0, "invite"))),
        (MODERATOR, "leave", None),
        (MODERATOR, "join", None),
    ];
    for (target, membership, needed) in cases {
        let facts = facts_of_member(&mut room, target, membership);
        let found = facts
            .level_needed
            .as_ref()
            .map(|needed| (needed.level, &*needed.to));
        assert_eq!(found, needed, "{membership} of {target}");
        let about_other = (target != MODERATOR).then_some(target);
        let found = facts.target.as_ref().map(|target| target.user_id.as_str());
        assert_eq!(found, about_other);
        assert!(facts.join_rule.is_some());
    }
    let banned = facts_of_member(&mut room, BOB, "leave").target.unwrap();
    assert_eq!(banned.membership, "ban");
}

#[test]
fn levels_are_numbers_in_json_and_creators_stand_above() {
    let level = |level| serde_json::to_value(Level(level)).unwrap();
    assert_eq!(level(PowerLevel::Level(50)), json!(50));
    assert_eq!(level(PowerLevel::Creator), json!("creator"));
}
