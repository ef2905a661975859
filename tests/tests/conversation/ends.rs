//! How wide a room's graph may become, and what never is an end of it.

use comity_core::{
    messaging::settings::Settings,
    pdu::{Pdu, RoomVersion, event_type::DUMMY},
    persistence::{
        queries::{Answer, Read},
        tables::Verdict,
    },
};
use ruma_common::OwnedEventId;
use serde_json::json;

use crate::{
    forger::{Forger, infiltrate, lied_to},
    stage::{Stage, VERSIONS, noticed},
};

/// Events by Eve that all build on the same one.
fn fan(forger: &Forger, count: usize) -> Vec<Pdu> {
    (0..count)
        .map(|number| forger.message(&format!("side {number}")))
        .collect()
}

fn push_all(stage: &mut Stage, forger: &mut Forger, to: &str, events: &[Pdu]) {
    let texts: Vec<String> = events.iter().map(|event| event.json().to_owned()).collect();
    for texts in texts.chunks(50) {
        let (status, answer) = forger.push(&mut stage.network, to, texts);
        assert_eq!(status, 200, "{answer}");
        let fates = answer["pdus"].as_object().unwrap();
        assert!(fates.values().all(|fate| *fate == json!({})), "{answer}");
    }
    stage.network.settle();
}

/// The server chooses so from now on.
fn choose(stage: &mut Stage, server: &str, extremities_max: usize) {
    stage.network.crash(server);
    stage.network.server(server).settings = Settings {
        extremities_max,
        ..Settings::default()
    };
    stage.network.start(server);
}

#[test]
fn many_ends_are_joined_by_events_that_nobody_sees() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let fan = fan(&forger, 45);
        push_all(&mut stage, &mut forger, "one", &fan);
        assert!(stage.summary("one").extremities.len() <= 10);
        assert_eq!(noticed(&mut stage.network, "one").len(), 45);
        let timeline = stage.timeline("one");
        assert!(timeline.iter().all(|event| event.pdu.event_type() != DUMMY));
        stage.must_keep_promises("one");
    }
}

/// Who hears what builds on them hears of them first, and has nothing to ask for.
#[test]
fn events_that_join_ends_go_along_with_the_first_that_builds_on_them() {
    let servers = ["one", "two"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    choose(&mut stage, "two", 1000);
    let fan = fan(&forger, 30);
    push_all(&mut stage, &mut forger, "two", &fan);
    push_all(&mut stage, &mut forger, "one", &fan);
    let dummies = |stage: &Stage| {
        let to_two = stage.network.traffic.iter();
        let to_two = to_two.filter(|sent| sent.from == "one" && sent.to == "two");
        to_two
            .filter(|sent| String::from_utf8_lossy(&sent.body).contains(DUMMY))
            .count()
    };
    assert_eq!(dummies(&stage), 0);
    stage.say("one", "together again");
    stage.network.settle();
    assert_eq!(dummies(&stage), 1);
    let asked = |sent: &&comity_tests::simulation::Sent| {
        sent.from == "two" && sent.line.contains("/get_missing_events/")
    };
    assert_eq!(stage.network.traffic.iter().filter(asked).count(), 0);
    assert!(stage.said("two").contains(&"together again".to_owned()));
    stage.must_agree(&servers);
    stage.say("one", "and on");
    stage.network.settle();
    assert_eq!(dummies(&stage), 1);
}

#[test]
fn who_may_not_speak_joins_no_ends() {
    let (mut stage, mut forger) = lied_to(RoomVersion::V10);
    let levels = json!({ "users": { "@eve:liar": 100 }, "events_default": 50 });
    stage.set("one", "m.room.power_levels", levels).unwrap();
    let levels = stage.timeline("one").last().unwrap().pdu.clone();
    forger.learn(Pdu::clone(&levels));
    forger.last = Pdu::clone(&levels);
    let fan = fan(&forger, 30);
    push_all(&mut stage, &mut forger, "one", &fan);
    assert_eq!(stage.summary("one").extremities.len(), 30);
    assert_eq!(noticed(&mut stage.network, "one").len(), 30);
}

/// The state before the event is that after the ends it names, not the room's.
#[test]
fn pdu_20_an_event_names_at_most_20_ends_and_has_the_state_after_those() {
    let servers = ["one", "two"];
    let mut stage = Stage::of(&servers, RoomVersion::V10);
    for server in servers {
        choose(&mut stage, server, 1000);
    }
    let mut forger = infiltrate(&mut stage, RoomVersion::V10);
    let levels = json!({ "users": { "@ann:one": 100, "@eve:liar": 50 } });
    stage.set("one", "m.room.power_levels", levels).unwrap();
    let levels = stage.timeline("one").last().unwrap().pdu.clone();
    forger.learn(Pdu::clone(&levels));
    forger.last = Pdu::clone(&levels);
    let fan: Vec<Pdu> = (0..30)
        .map(|number| forger.event("org.example.side", Some(&number.to_string()), json!({})))
        .collect();
    for server in servers {
        push_all(&mut stage, &mut forger, server, &fan);
    }
    let said = stage.say("one", "after twenty of them");
    stage.network.settle();
    let [here, there] = servers.map(|server| stage.held(server, &said).unwrap());
    assert_eq!(here.pdu.prev_events().len(), 20);
    let mut sides = |server: &str, state: comity_core::persistence::tables::SnapshotId| {
        let read = Read::SnapshotEvents(state);
        let Answer::Events(events) = stage.network.server(server).read(read) else {
            panic!("no events");
        };
        let ids = events.iter().map(|event| event.pdu.event_id().to_owned());
        ids.collect::<Vec<OwnedEventId>>()
    };
    let before = sides("one", here.state.unwrap().before);
    assert_eq!(before, sides("two", there.state.unwrap().before));
    let named = fan
        .iter()
        .filter(|side| before.iter().any(|id| id == side.event_id()));
    assert_eq!(named.count(), 20);
    assert_eq!(stage.summary("one").extremities.len(), 11);
    stage.must_agree(&servers);
}

#[test]
fn pdu_10_pdu_12_what_is_rejected_or_soft_failed_is_no_end_of_the_graph() {
    for version in VERSIONS {
        let (mut stage, mut forger) = lied_to(version);
        let coup = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
        let late = forger.message("from before the ban");
        let ban = stage.set_member("one", "@eve:liar", "ban").unwrap();
        let ends = stage.summary("one").extremities;
        push_all(
            &mut stage,
            &mut forger,
            "one",
            &[coup.clone(), late.clone()],
        );
        let verdict = |stage: &mut Stage, event: &Pdu| {
            let held = stage.held("one", &event.event_id().to_owned());
            held.unwrap().verdict.clone()
        };
        assert!(verdict(&mut stage, &coup).is_rejected(), "{ban:?}");
        assert!(matches!(verdict(&mut stage, &late), Verdict::SoftFailed(_)));
        assert_eq!(stage.summary("one").extremities, ends);
        stage.network.crash("one");
        stage.network.start("one");
        assert_eq!(stage.summary("one").extremities, ends);
    }
}
