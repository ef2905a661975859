//! What an event builds on is missing: it is asked of several servers, once, and within bounds; and
//! every search ends in one of the ways that there are.

use std::cell::Cell;

use comity_core::{
    messaging::{notice::Notice, settings::Settings},
    pdu::{Pdu, RoomVersion},
    persistence::queries::{Answer, Read},
    transport::remote_request::Endpoint,
};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, infiltrate, lied_to, list, not_found, refused},
    stage::{Stage, noticed},
};

/// How often the liar was asked this.
fn asked(stage: &mut Stage, endpoint: &str) -> usize {
    let asked = &stage.network.liar("liar").asked;
    asked.get(endpoint).copied().unwrap_or_default()
}

/// How often one server asked another this.
fn asked_of(stage: &Stage, from: &str, to: &str, endpoint: &str) -> usize {
    let traffic = stage.network.traffic.iter();
    traffic
        .filter(|sent| sent.from == from && sent.to == to && sent.line.contains(endpoint))
        .count()
}

/// The event that a question names at the end of its target, or in its body as the latest.
pub fn named(target: &str, body: &Value) -> String {
    match body["latest_events"][0].as_str() {
        Some(latest) => latest.to_owned(),
        None => {
            let last = target.rsplit(['/', '=']).next().unwrap_or_default();
            last.replace("%24", "$")
        }
    }
}

/// Pushes these events in one transaction and lets them be judged; says why each was refused, if it
/// was.
fn push_all(stage: &mut Stage, forger: &mut Forger, events: &[Pdu]) -> Vec<Option<String>> {
    let texts: Vec<String> = events.iter().map(|event| event.json().to_owned()).collect();
    let (status, _) = forger.push(&mut stage.network, "one", &texts);
    assert_eq!(status, 200);
    while !stage.network.server("one").jobs().is_empty() && stage.network.step() {}
    let refused = |event: &Pdu| refused(&mut stage.network, "one", event.event_id());
    events.iter().map(refused).collect()
}

/// A transaction with this event alone.
pub fn pdus(event: &Pdu) -> (u16, Value) {
    let pdus = list(std::slice::from_ref(event));
    (
        200,
        json!({ "origin": "liar", "origin_server_ts": 1, "pdus": pdus }),
    )
}

#[test]
fn pdu_15_what_the_sender_does_not_have_is_had_from_another_member() {
    for version in [RoomVersion::V1, RoomVersion::V10, RoomVersion::V12] {
        let mut stage = Stage::of(&["one", "two"], version);
        let mut forger = infiltrate(&mut stage, version);
        stage.network.settle();
        let line = forger.line(3);
        for event in &line[..2] {
            let (status, _) = forger.push(&mut stage.network, "two", &[event.json().to_owned()]);
            assert_eq!(status, 200);
        }
        assert_eq!(forger.push_one(&mut stage.network, &line[2]), None);
        assert_eq!(
            noticed(&mut stage.network, "one"),
            ["line 0", "line 1", "line 2"]
        );
        assert_eq!(asked(&mut stage, "get_missing_events"), 1);
        assert_eq!(asked_of(&stage, "one", "two", "/backfill/"), 1);
        assert_eq!(asked(&mut stage, "event"), 0);
        stage.network.settle();
        stage.must_keep_promises("one");
    }
}

#[test]
fn pdu_15_at_most_three_servers_are_asked_and_not_those_who_are_down() {
    let servers = ["one", "two", "three", "four", "five"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    stage.network.crash("five");
    stage.say("one", "is anybody not there?");
    stage.pass_seconds(1);
    let line = forger.line(2);
    let error = forger.push_one(&mut stage.network, &line[1]);
    assert!(error.unwrap().contains("nowhere to be had"));
    let asked = servers.map(|server| asked_of(&stage, "one", server, "/backfill/"));
    assert_eq!(asked.iter().sum::<usize>(), 2, "{asked:?}, and the liar");
    assert_eq!(asked[4], 0, "{asked:?}");
}

#[test]
fn missing_3_two_events_that_lack_the_same_cause_one_request() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let missing = forger.message("missing");
    forger.last = missing.clone();
    let children = ["left", "right"].map(|text| forger.message(text));
    let answer = list(&[missing]);
    stage
        .network
        .liar("liar")
        .says(move |target, _| match target.contains("missing_events") {
            true => (200, json!({ "events": answer })),
            false => not_found(),
        });
    let fates = push_all(&mut stage, &mut forger, &children);
    assert_eq!(fates, [None, None]);
    let mut said = noticed(&mut stage.network, "one");
    said[1..].sort();
    assert_eq!(said, ["missing", "left", "right"]);
    assert_eq!(asked(&mut stage, "get_missing_events"), 1);
    assert_eq!(asked(&mut stage, "event"), 0);
}

#[test]
fn missing_3_what_nobody_has_is_sought_once_for_all_who_lack_it() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    forger.last = forger.message("missing");
    let children: Vec<Pdu> = (0..10)
        .map(|number| forger.message(&number.to_string()))
        .collect();
    for error in push_all(&mut stage, &mut forger, &children) {
        assert!(error.unwrap().contains("nowhere to be had"));
    }
    assert_eq!(asked(&mut stage, "get_missing_events"), 1);
    assert_eq!(asked(&mut stage, "event"), 1);
    stage.pass_seconds(120);
    let again = forger.push_one(&mut stage.network, &children[0]);
    assert!(again.is_some());
    assert_eq!(
        asked(&mut stage, "get_missing_events"),
        2,
        "it may be had later"
    );
}

#[test]
fn pdu_16_what_authorises_two_events_is_asked_for_once() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let rename = forger.event(
        "m.room.member",
        Some("@eve:liar"),
        json!({ "membership": "join" }),
    );
    forger.learn(rename.clone());
    let children = ["left", "right"].map(|text| forger.message(text));
    let chain = list(&[rename]);
    stage
        .network
        .liar("liar")
        .says(move |target, _| match target.contains("event_auth") {
            true => (200, json!({ "auth_chain": chain })),
            false => not_found(),
        });
    let fates = push_all(&mut stage, &mut forger, &children);
    assert_eq!(fates, [None, None]);
    assert_eq!(noticed(&mut stage.network, "one").len(), 2);
    assert_eq!(asked(&mut stage, "event_auth"), 1);
}

/// A line of events of which the first is nowhere to be had. The liar gives the others one by one,
/// and the state before the second, with an event in it that Eve was not allowed to make.
fn broken_line(stage: &mut Stage, forger: &Forger) -> (Vec<Pdu>, OwnedEventId) {
    let line = forger.line(4);
    let coup = json!({ "users": { "@eve:liar": 100 } });
    let coup = forger.event("m.room.power_levels", Some(""), coup);
    let coup_id = coup.event_id().to_owned();
    let topic = forger.event("m.room.topic", Some(""), json!({ "topic": "Eve's" }));
    let endpoint = Endpoint::StateIds(stage.room_id.clone(), forger.last.event_id().to_owned());
    let mut ids = body(&stage.network.ask("liar", "one", endpoint));
    let state = ids["pdu_ids"].as_array_mut().unwrap();
    state.retain(|id| {
        id != forger
            .state
            .get("m.room.power_levels", "")
            .unwrap()
            .as_str()
    });
    state.extend([&coup, &topic].map(|event| json!(event.event_id())));
    state.push(json!(forger.last.event_id()));
    let known = [&line[1..], &[coup, topic]].concat();
    let second = line[1].event_id().to_owned();
    stage.network.liar("liar").says(move |target, body| {
        let id = named(target, body);
        let found = known.iter().find(|event| event.event_id() == &*id);
        match found {
            Some(event) if target.contains("/event/") => pdus(event),
            Some(event) if target.contains("/state_ids/") && event.event_id() == second => {
                (200, ids.clone())
            }
            _ => not_found(),
        }
    });
    (line, coup_id)
}

#[test]
fn pdu_15_a_hole_is_stepped_over_with_what_is_genuine_of_the_state_before_it() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let (line, coup) = broken_line(&mut stage, &forger);
    assert_eq!(forger.push_one(&mut stage.network, &line[3]), None);
    assert_eq!(noticed(&mut stage.network, "one"), ["line 2", "line 3"]);
    let second = line[1].event_id().to_owned();
    let hole =
        |notice: &&Notice| matches!(notice, Notice::Hole { event_id, .. } if *event_id == second);
    let notices = &stage.network.server("one").notices;
    assert_eq!(notices.iter().filter(hole).count(), 1);
    assert!(stage.held("one", &coup).unwrap().verdict.is_rejected());
    assert_eq!(stage.state("one", "m.room.topic", ""), None);
    let last = stage.say("one", "on we go");
    let last = stage.held("one", &last).unwrap();
    let mut ends = [&line[3], &forger.last].map(|event| event.event_id().to_owned());
    ends.sort();
    let mut previous = last.pdu.prev_events().to_vec();
    previous.sort();
    assert_eq!(
        previous, ends,
        "nothing joins what lies before the hole to what lies after"
    );
    stage.network.settle();
    stage.must_keep_promises("one");
}

/// STATEREQ-3: the state after a missing event is what another server says it was before, as far as
/// that is state of the room, and the event itself.
#[test]
fn statereq_3_the_state_after_a_missing_event_has_the_event_in_it() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let elsewhere = Forger::with_a_room(forger.own.clone(), RoomVersion::V11);
    let nowhere = forger.message("nobody has this");
    let mut after = forger.clone();
    after.last = nowhere;
    let renamed = json!({ "membership": "join", "displayname": "Eve" });
    let rename = after.event("m.room.member", Some("@eve:liar"), renamed);
    let said = after.message("not state");
    after.learn(rename.clone());
    after.last = rename.clone();
    let line = after.line(2);
    let before = forger.state.iter().map(|(_, id)| id.to_owned());
    let not_of_it = [&elsewhere.last, &said].map(|event| event.event_id().to_owned());
    let ids: Vec<Value> = before.chain(not_of_it).map(|id| json!(id)).collect();
    let known = [
        rename.clone(),
        said,
        elsewhere.last.clone(),
        line[0].clone(),
    ];
    let missing = rename.event_id().to_owned();
    let whole = [&list(&forger.events)[..], &list(&known)].concat();
    stage.network.liar("liar").says(move |target, body| {
        let id = named(target, body);
        let found = known.iter().find(|event| event.event_id() == &*id);
        match found {
            Some(event) if target.contains("/event/") => pdus(event),
            Some(event) if target.contains("/state_ids/") && event.event_id() == missing => {
                (200, json!({ "pdu_ids": ids, "auth_chain_ids": [] }))
            }
            Some(event) if target.contains("/state/") && event.event_id() == missing => {
                (200, json!({ "pdus": whole, "auth_chain": [] }))
            }
            _ => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &line[1]), None);
    assert_eq!(noticed(&mut stage.network, "one"), ["line 0", "line 1"]);
    let held = stage.held("one", &line[0].event_id().to_owned()).unwrap();
    let read = Read::Snapshot(held.state.unwrap().before);
    let Answer::State(Some(entries)) = stage.network.server("one").read(read) else {
        panic!("no state");
    };
    let mut expected: Vec<_> = forger.state.iter().map(|(_, id)| id.to_owned()).collect();
    expected.retain(|id| *id != *forger.last.event_id());
    expected.push(rename.event_id().to_owned());
    let mut state: Vec<_> = entries.into_iter().map(|entry| entry.event_id).collect();
    expected.sort();
    state.sort();
    assert_eq!(state, expected);
    stage.must_keep_promises("one");
}

/// What the state before a hole was is asked of others before it is asked of who made the hole.
#[test]
fn pdu_15_the_state_before_a_hole_is_had_from_somebody_else_if_possible() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    let (line, coup) = broken_line(&mut stage, &forger);
    let last = [line[3].json().to_owned()];
    let _ = forger.push(&mut stage.network, "two", &last);
    stage.network.settle();
    assert_eq!(noticed(&mut stage.network, "two"), ["line 2", "line 3"]);
    assert_eq!(forger.push_one(&mut stage.network, &line[3]), None);
    assert_eq!(noticed(&mut stage.network, "one"), ["line 2", "line 3"]);
    let question = format!("event_id={}", line[1].event_id()).replace('$', "%24");
    let asked = ["two", "liar"].map(|server| asked_of(&stage, "one", server, &question));
    assert_eq!(asked, [1, 0]);
    assert_eq!(stage.held("one", &coup), None);
    stage.must_agree(&["one", "two"]);
}

/// What we lack of the state after a hole is asked for one by one if it is little, else as a whole.
#[test]
fn pdu_15_a_state_is_asked_for_as_a_whole_where_that_is_cheaper() {
    for (lacking, singles, wholes) in [(0, 0, 0), (15, 15, 0), (60, 0, 1)] {
        let (mut stage, mut forger) = lied_to(RoomVersion::V10);
        let levels = json!({ "users": { "@ann:one": 100 }, "state_default": 0 });
        stage.set("one", "m.room.power_levels", levels).unwrap();
        let levels = Pdu::clone(&stage.timeline("one").last().unwrap().pdu);
        forger.learn(levels.clone());
        forger.last = levels;
        let line = forger.line(4);
        for number in 0..lacking {
            let key = number.to_string();
            forger.learn(forger.event("org.example.side", Some(&key), json!({})));
        }
        let ids: Vec<Value> = forger.state.iter().map(|(_, id)| json!(id)).collect();
        let known = [&forger.events[..], &line[1..]].concat();
        let (state, second) = (list(&forger.events), line[1].event_id().to_owned());
        stage.network.liar("liar").says(move |target, body| {
            let id = named(target, body);
            let found = known.iter().find(|event| event.event_id() == &*id);
            match found.filter(|event| target.contains("/event/") || event.event_id() == second) {
                Some(_) if target.contains("/state_ids/") => {
                    (200, json!({ "pdu_ids": ids, "auth_chain_ids": ids }))
                }
                Some(_) if target.contains("/state/") => {
                    (200, json!({ "pdus": state, "auth_chain": [] }))
                }
                Some(event) if target.contains("/event/") => pdus(event),
                _ => not_found(),
            }
        });
        assert_eq!(forger.push_one(&mut stage.network, &line[3]), None);
        assert_eq!(noticed(&mut stage.network, "one"), ["line 2", "line 3"]);
        for number in 0..lacking {
            let side = stage.state("one", "org.example.side", &number.to_string());
            assert_eq!(side, Some(json!({})), "{number} of {lacking}");
        }
        let others = asked(&mut stage, "event") - singles;
        assert!(others <= 5, "{others} questions for the events of the line");
        assert_eq!(asked(&mut stage, "state"), wholes);
    }
}

/// Fifty events, each on twenty that there are not: others are asked for a few of them, no more.
#[test]
fn who_makes_up_what_is_missing_cannot_make_us_trouble_others() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.settle();
    let depth = forger.last.depth();
    let invented = |number: usize| -> Vec<(OwnedEventId, u64)> {
        let ids = (0..20).map(|index| format!("${:0>43}", number * 20 + index));
        ids.map(|id| (id.as_str().try_into().unwrap(), depth))
            .collect()
    };
    let message = |number| {
        forger.event_after(
            &invented(number),
            "m.room.message",
            None,
            json!({ "body": "?" }),
        )
    };
    let events: Vec<Pdu> = (0..50).map(message).collect();
    let fates = push_all(&mut stage, &mut forger, &events);
    assert!(fates.iter().all(Option::is_some));
    let asked = ["two", "three"].map(|server| asked_of(&stage, "one", server, "/backfill/"));
    assert_eq!(asked.iter().sum::<usize>(), 10, "{asked:?}");
    let asked = ["two", "three"].map(|server| asked_of(&stage, "one", server, "/event/"));
    assert_eq!(asked, [0, 0]);
}

#[test]
fn a_server_that_makes_us_fetch_too_much_is_put_off_for_a_while() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    stage.network.crash("one");
    stage.network.server("one").settings = Settings {
        pulled_max: 20,
        ..Settings::default()
    };
    stage.network.start("one");
    let line = forger.line(60);
    let known = line.clone();
    stage.network.liar("liar").says(move |target, body| {
        let id = named(target, body);
        let index = known.iter().position(|event| event.event_id() == &*id);
        match index.and_then(|index| index.checked_sub(1)) {
            Some(index) if target.contains("missing_events") => {
                (200, json!({ "events": list(&known[index..=index]) }))
            }
            _ => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &line[59]), None);
    stage.pass_seconds(300);
    assert_eq!(asked(&mut stage, "get_missing_events"), 20);
    assert_eq!(noticed(&mut stage.network, "one"), Vec::<String>::new());
    assert_eq!(forger.push_one(&mut stage.network, &line[0]), None);
    assert_eq!(
        noticed(&mut stage.network, "one"),
        ["line 0"],
        "it is still heard"
    );
    stage.pass_seconds(600);
    assert_ne!(
        asked(&mut stage, "get_missing_events"),
        20,
        "it is asked again"
    );
    stage.must_keep_promises("one");
}

#[test]
fn pdu_15_an_answer_that_is_lost_makes_no_hole() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let line = forger.line(3);
    let (missing, is_first) = (list(&line[..2]), Cell::new(true));
    stage.network.liar("liar").says(move |target, _| {
        match target.contains("/get_missing_events/") {
            true if is_first.replace(false) => (502, json!({})),
            true => (200, json!({ "events": missing })),
            false => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &line[2]), None);
    let noticed = noticed(&mut stage.network, "one");
    assert_eq!(noticed, ["line 0", "line 1", "line 2"]);
    assert_eq!(asked(&mut stage, "get_missing_events"), 2);
    assert_eq!(asked(&mut stage, "event"), 0);
}
