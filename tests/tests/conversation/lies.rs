//! A peer that lies in what it pushes: what it forges is dropped, what it may not do is not shown.

use comity_core::{
    messaging::{
        command::{Command, Preset, Reply},
        notice::Notice,
    },
    pdu::RoomVersion,
    persistence::tables::Verdict,
    transport::remote_request::Endpoint,
};
use serde_json::{Value, json};

use crate::{
    forger::{altered, lied_to},
    stage::{VERSIONS, noticed, room},
};

#[test]
fn txn_5_a_forged_event_is_dropped_alone_with_an_error() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let (good, bad) = (forger.message("good"), forger.message("bad"));
        let forged = altered(&bad, |event| {
            event["signatures"]["liar"]["ed25519:liar"] = json!("A".repeat(86));
        });
        let (status, answer) =
            forger.push(&mut stage.network, "one", &[forged, good.json().to_owned()]);
        assert_eq!(status, 200);
        assert_eq!(answer["pdus"][good.event_id().as_str()], json!({}));
        assert!(answer["pdus"][bad.event_id().as_str()]["error"].is_string());
        assert_eq!(noticed(&mut stage.network, "one"), ["good"]);
        assert_eq!(stage.held("one", &bad.event_id().to_owned()), None);
    }
}

#[test]
fn an_event_in_anothers_name_is_dropped() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let mut event = forger.message("I am Ann").object();
    event.insert("sender".to_owned(), json!("@ann:one"));
    let forged = comity_core::pdu::build::complete_template(
        event,
        1,
        forger.version,
        forger.own.server_name(),
        forger.own.signing_key(),
    )
    .unwrap();
    assert!(forger.push_one(&mut stage.network, &forged).is_some());
    assert!(noticed(&mut stage.network, "one").is_empty());
}

#[test]
fn pdu_9_an_altered_event_is_kept_without_what_was_altered() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let event = forger.message("true");
    let lie = altered(&event, |event| event["content"]["body"] = json!("false"));
    let (_, answer) = forger.push(&mut stage.network, "one", &[lie]);
    assert_eq!(answer["pdus"][event.event_id().as_str()], json!({}));
    let held = stage.held("one", &event.event_id().to_owned()).unwrap();
    assert_eq!(Value::Object(held.pdu.content()), json!({}));
}

#[test]
fn an_event_that_its_auth_events_deny_is_rejected_and_not_shown() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
        assert_eq!(forger.push_one(&mut stage.network, &topic), None);
        let held = stage.held("one", &topic.event_id().to_owned()).unwrap();
        assert!(held.verdict.is_rejected(), "{held:?}");
        assert_eq!(stage.state("one", "m.room.topic", ""), None);
        let rejected = |notice: &Notice| match notice {
            Notice::NotAccepted { event, .. } => event.pdu.event_id() == topic.event_id(),
            Notice::Event(event) => panic!("{event:?}"),
            _ => false,
        };
        let last = stage.network.server("one").notices.last().unwrap();
        assert!(rejected(last));
        let next = stage.say("one", "on");
        let next = stage.held("one", &next).unwrap();
        assert_ne!(next.pdu.prev_events(), [topic.event_id().to_owned()]);
    }
}

/// Otherwise the state before it would be that of the other room.
#[test]
fn an_event_that_builds_on_one_of_another_room_is_dropped() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let elsewhere = room(version, Preset::Public);
        let elsewhere = match stage
            .network
            .run("one", Command::CreateRoom(elsewhere.into()))
        {
            Ok(Reply::Room(room_id)) => room_id,
            other => panic!("{other:?}"),
        };
        let state = stage.network.server("one").current_state(&elsewhere);
        let foreign = state.iter().max_by_key(|event| event.pdu.depth()).unwrap();
        let foreign = (foreign.pdu.event_id().to_owned(), foreign.pdu.depth());
        let own = (forger.last.event_id().to_owned(), forger.last.depth());
        for previous in [vec![foreign.clone()], vec![own, foreign]] {
            let content = json!({ "body": "from elsewhere" });
            let event = forger.event_after(&previous, "m.room.message", None, content);
            assert!(forger.push_one(&mut stage.network, &event).is_some());
            assert_eq!(stage.held("one", &event.event_id().to_owned()), None);
        }
    }
}

/// PDU-13.
#[test]
fn what_the_banned_says_on_an_old_fork_is_soft_failed_and_not_built_upon() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        stage.set_member("one", "@eve:liar", "ban").unwrap();
        let late = forger.message("from the past");
        assert_eq!(forger.push_one(&mut stage.network, &late), None);
        let held = stage.held("one", &late.event_id().to_owned()).unwrap();
        assert!(matches!(held.verdict, Verdict::SoftFailed(_)), "{held:?}");
        assert!(noticed(&mut stage.network, "one").is_empty());
        let next = stage.say("one", "quiet now");
        let next = stage.held("one", &next).unwrap();
        assert!(!next.pdu.prev_events().contains(late.event_id()));
        forger.last = late;
        let more = forger.message("and more");
        forger.push_one(&mut stage.network, &more);
        assert_eq!(noticed(&mut stage.network, "one"), ["quiet now"]);
        assert_eq!(
            stage.summary("one").extremities,
            [next.pdu.event_id().to_owned()]
        );
    }
}

#[test]
fn txn_9_what_cannot_be_attributed_is_skipped_and_the_rest_stands() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let good = forger.message("good");
    let large = altered(&good, |event| {
        event["content"]["body"] = json!("x".repeat(70_000))
    });
    let other_room = altered(&good, |event| event["room_id"] = json!("!elsewhere:liar"));
    let events = [
        large,
        other_room,
        "{}".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        altered(&good, |event| {
            drop(event.as_object_mut().unwrap().remove("depth"))
        }),
        altered(&good, |event| event["depth"] = json!(-1)),
        altered(&good, |event| event["prev_events"] = json!("none")),
        good.json().to_owned(),
    ];
    let (status, answer) = forger.push(&mut stage.network, "one", &events);
    assert_eq!(status, 200);
    assert_eq!(answer, json!({ "pdus": { good.event_id().as_str(): {} } }));
    assert_eq!(noticed(&mut stage.network, "one"), ["good"]);
}

/// LIMIT-1.
#[test]
fn txn_6_a_transaction_of_51_events_is_refused_whole() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let events: Vec<String> = forger
        .line(51)
        .iter()
        .map(|e| e.json().to_owned())
        .collect();
    let (status, _) = forger.push(&mut stage.network, "one", &events);
    assert_eq!(status, 400);
    assert!(noticed(&mut stage.network, "one").is_empty());
    let (status, _) = forger.push(&mut stage.network, "one", &events[..50]);
    assert_eq!(status, 200);
    assert_eq!(noticed(&mut stage.network, "one").len(), 50);
}

#[test]
fn txn_7_a_repeated_transaction_gets_the_same_bytes_and_shows_nothing_again() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let event = forger.message("once");
    let endpoint = Endpoint::SendTransaction {
        transaction_id: "same".into(),
        body: format!(
            r#"{{"origin":"liar","origin_server_ts":1,"pdus":[{}]}}"#,
            event.json()
        )
        .into(),
    };
    let first = stage.network.ask("liar", "one", endpoint.clone());
    let again = stage.network.ask("liar", "one", endpoint.clone());
    stage.network.crash("one");
    stage.network.start("one");
    let later = stage.network.ask("liar", "one", endpoint);
    assert_eq!(first.body(), again.body());
    assert_eq!(first.body(), later.body());
    assert_eq!(noticed(&mut stage.network, "one"), ["once"]);
}
