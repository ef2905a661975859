//! Events that cannot be judged before another server has answered: their sender is answered at
//! once, and no crash and no outage loses them.

use std::time::Duration;

use comity_core::{
    messaging::command::{Command, Reply},
    pdu::{Pdu, RoomVersion, build},
    transaction::staging::ROOM_MAX,
};
use comity_tests::simulation::Network;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, infiltrate, lied_to, list, not_found, refused},
    stage::{Stage, noticed},
};

/// How many events of a server's wait.
fn waiting(network: &mut Network, server: &str) -> u64 {
    match network.run(server, Command::Statistics) {
        Ok(Reply::Statistics(statistics)) => statistics.staged,
        other => panic!("{other:?}"),
    }
}

/// Answers `get_missing_events` with all of a line of events.
fn gives(line: Vec<Pdu>) -> impl FnMut(&str, &Value) -> (u16, Value) {
    move |target, _| match target.contains("missing_events") {
        true => (200, json!({ "events": list(&line) })),
        false => not_found(),
    }
}

/// TXN-4, TXN-13: the sender of an event that has to wait does not.
#[test]
fn txn_13_a_transaction_is_answered_before_what_is_missing_has_come() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let line = forger.line(5);
    let apart = forger.message("apart");
    stage.network.liar("liar").says(gives(line.clone()));
    let events = [&apart, &line[4]].map(|event| event.json().to_owned());
    let (_, answer) = forger.push(&mut stage.network, "one", &events);
    let ids = [&apart, &line[4]].map(|event| event.event_id().to_string());
    assert_eq!(answer["pdus"], json!({ &ids[0]: {}, &ids[1]: {} }));
    assert_eq!(noticed(&mut stage.network, "one"), ["apart"]);
    assert_eq!(waiting(&mut stage.network, "one"), 1);
    stage.network.settle();
    assert_eq!(noticed(&mut stage.network, "one").len(), 6);
    assert_eq!(waiting(&mut stage.network, "one"), 0);
    stage.must_keep_promises("one");
}

/// An event of a gap that was answered for is judged in the end, whenever the server crashes.
#[test]
fn a_crash_while_events_wait_loses_none_of_them() {
    for steps in 0..10 {
        let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
        let line = forger.line(4);
        stage.network.liar("liar").says(gives(line.clone()));
        let last_two = [&line[2], &line[3]].map(|event| event.json().to_owned());
        forger.push(&mut stage.network, "one", &last_two);
        for _ in 0..steps {
            stage.network.step();
        }
        stage.network.crash("one");
        stage.network.start("one");
        stage.network.settle();
        let said = noticed(&mut stage.network, "one");
        assert_eq!(
            said,
            ["line 0", "line 1", "line 2", "line 3"],
            "after {steps} steps"
        );
        assert_eq!(waiting(&mut stage.network, "one"), 0);
        stage.must_keep_promises("one");
    }
}

/// A room of two honest servers and a liar, with an event that only server `two` can check: the
/// liar's key has run out on server `one`, which cannot reach it and pulls no streams.
fn with_a_key_out_of_reach() -> (Stage, Forger) {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("one");
    stage.network.server("one").settings.pull_streams = false;
    stage.network.start("one");
    let forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    stage.pass_seconds(60 * 60 * 24 * 8);
    stage.network.set_cut("one", "liar", true);
    let mut late = forger.message("late").object();
    late.remove("signatures");
    let now = stage.network.now().wall.to_i64();
    let own = &forger.own;
    let late = build::complete_template(
        late,
        now,
        forger.version,
        own.server_name(),
        own.signing_key(),
    )
    .unwrap();
    let mut forger = forger;
    forger.push(&mut stage.network, "two", &[late.json().to_owned()]);
    assert_eq!(stage.said("two"), ["late"]);
    stage.say("two", "I heard it");
    (stage, forger)
}

#[test]
fn what_lacks_the_key_of_a_server_that_is_down_is_judged_when_it_is_back() {
    for crash in [false, true] {
        let (mut stage, _) = with_a_key_out_of_reach();
        stage.pass_seconds(60 * 60 * 12);
        assert!(stage.said("one").is_empty());
        assert_eq!(waiting(&mut stage.network, "one"), 1);
        if crash {
            stage.network.crash("one");
            stage.network.start("one");
        }
        stage.network.set_cut("one", "liar", false);
        stage.must_agree(&["one", "two"]);
        assert_eq!(stage.said("one"), ["late", "I heard it"]);
        assert_eq!(waiting(&mut stage.network, "one"), 0);
    }
}

#[test]
fn what_cannot_be_judged_for_a_week_is_given_up_with_a_notice() {
    let (mut stage, _) = with_a_key_out_of_reach();
    let heard = stage.timeline("two").pop().unwrap();
    stage.network.pass(Duration::from_secs(60 * 60 * 24 * 6));
    assert_eq!(waiting(&mut stage.network, "one"), 1);
    stage.network.pass(Duration::from_secs(60 * 60 * 24 * 2));
    assert_eq!(waiting(&mut stage.network, "one"), 0);
    assert!(refused(&mut stage.network, "one", heard.pdu.event_id()).is_some());
    stage.network.crash("one");
    stage.network.start("one");
    assert_eq!(waiting(&mut stage.network, "one"), 0);
}

/// What would exceed a bound is refused with an error, and what waits already stays.
#[test]
fn events_of_a_room_wait_only_up_to_a_bound() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let line = forger.line(ROOM_MAX + 60);
    stage.network.liar("liar").says(|_, _| (500, json!({})));
    let texts: Vec<String> = line.iter().map(|event| event.json().to_owned()).collect();
    let mut errors = Vec::new();
    for batch in texts[1..].chunks(50) {
        let (_, answer) = forger.push(&mut stage.network, "one", batch);
        let fates = answer["pdus"].as_object().unwrap().values();
        errors.extend(fates.filter_map(|fate| fate["error"].as_str().map(ToOwned::to_owned)));
    }
    assert_eq!(errors.len(), 59);
    assert!(
        errors[0].contains("too many events of the room"),
        "{errors:?}"
    );
    assert_eq!(waiting(&mut stage.network, "one"), ROOM_MAX as u64);
    stage.network.liar("liar").says(gives(line[..1].to_vec()));
    stage.network.settle();
    assert_eq!(noticed(&mut stage.network, "one").len(), ROOM_MAX + 1);
    assert_eq!(waiting(&mut stage.network, "one"), 0);
}

/// Who does not know our new key yet has not said that it lacks what we ask for.
#[test]
fn what_is_missing_is_asked_for_again_where_our_key_was_not_known() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let line = forger.line(3);
    let liar = stage.network.liar("liar");
    liar.says(|_, _| (401, json!({ "errcode": "M_UNAUTHORIZED", "error": "who?" })));
    forger.push(&mut stage.network, "one", &[line[2].json().to_owned()]);
    stage.network.pass(Duration::from_secs(5));
    assert_eq!(waiting(&mut stage.network, "one"), 1);
    stage.network.liar("liar").says(gives(line.clone()));
    stage.network.settle();
    assert_eq!(
        noticed(&mut stage.network, "one"),
        ["line 0", "line 1", "line 2"]
    );
    let last = line[2].event_id();
    assert_eq!(refused(&mut stage.network, "one", last), None);
}

/// What builds on an event that nobody can verify for a while waits as long as that. That the event
/// was asked for just now, and failed, is no reason to give up what is the second to build on it.
#[test]
fn what_builds_on_an_event_of_a_server_out_of_reach_waits_for_its_keys() {
    let mut stage = Stage::of(&["one", "two", "three", "five"], RoomVersion::DEFAULT);
    stage.network.add_server("four");
    for server in ["one", "four"] {
        stage.network.set_cut(server, "two", true);
    }
    stage.join("four").unwrap();
    stage.network.pass(Duration::from_secs(5));
    stage.network.set_cut("one", "two", false);
    stage.network.set_cut("three", "five", true);
    let mut said = Vec::new();
    for server in ["three", "five"] {
        said.push(stage.say(server, "welcome, four"));
        stage.network.pass(Duration::from_secs(5));
    }
    stage.network.pass(Duration::from_secs(100));
    stage.network.set_cut("four", "two", false);
    stage.network.settle();
    for event_id in said {
        let held = stage.held("two", &event_id);
        assert!(held.is_some_and(|held| !held.is_outlier()));
        assert_eq!(refused(&mut stage.network, "two", &event_id), None);
    }
}
