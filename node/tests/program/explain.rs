//! `comity explain`.

use std::{
    fs,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::node::{Follower, Node, PATIENCE, Place, User, comity, text};

fn explain(node: &Node, arguments: &[&str]) -> Output {
    let mut all = vec!["explain", "--config", text(&node.config)];
    all.extend(arguments);
    comity(&all)
}

/// What the program prints for people.
fn told(node: &Node, arguments: &[&str]) -> String {
    let output = explain(node, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it prints for programs.
fn report(node: &Node, subject: &str) -> Value {
    serde_json::from_str(&told(node, &[subject, "--json"])).unwrap()
}

fn verdicts(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| check["verdict"].as_str().unwrap())
        .collect()
}

/// Fits on a terminal, and says all of this.
fn assert_reads_well(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part}: {page}");
    }
    let fits = |line: &str| line.chars().count() <= 100;
    assert!(page.lines().all(fits), "{page}");
}

fn said_to(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A public room in which all may set the state, and Bob's server with it.
fn shared_room(alice: &User, bob: &User, here: &Node) -> String {
    let room_id = alice.create_room(&json!({
        "preset": "public_chat",
        "room_alias_name": "tea",
        "power_level_content_override": { "state_default": 0 },
    }));
    bob.post(
        &format!("join/{room_id}?via={}", here.server_name),
        &json!({}),
    );
    room_id
}

#[test]
fn events_are_explained_while_the_server_runs_and_when_it_does_not() {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = shared_room(&alice, &bob, &here);
    let mut with_alice = Follower::new(&alice, &room_id);
    let (own, others) = (alice.say(&room_id, "own"), bob.say(&room_id, "other"));
    with_alice.hear(2);
    let running = [&own, &others].map(|event_id| report(&here, event_id));
    for report in &running {
        assert_eq!(verdicts(report), ["passed"; 6], "{report}");
        assert_eq!(
            (&report["kind"], &report["agrees"]),
            (&json!("event"), &json!(true))
        );
    }
    let signer = &running[1]["checks"][1]["facts"]["signers"][0];
    assert_eq!(signer["server"], there.server_name);
    assert!(
        signer["signatures"][0]["key"]["valid_until"].is_i64(),
        "{signer}"
    );
    let page = told(&here, &[&others]);
    assert_reads_well(
        &page,
        &[
            &*bob.id,
            "4 passed",
            "5 passed",
            "allowed by the state before it",
        ],
    );
    here.stop();
    assert_eq!(report(&here, &own), running[0]);
}

#[test]
fn an_event_is_found_without_its_sigil_and_by_its_beginning() {
    let place = Place::new();
    let mut node = place.node("one");
    node.start("smol");
    let alice = node.user("alice");
    let room_id = alice.create_room(&json!({}));
    let event_id = alice.say(&room_id, "hello");
    for subject in [&event_id[1..], &event_id[..12], &event_id[1..12]] {
        assert_eq!(report(&node, subject)["event"]["event_id"], event_id);
    }
}

#[test]
fn what_is_not_there_is_said_so() {
    let place = Place::new();
    let mut node = place.node("one");
    node.start("smol");
    let alice = node.user("alice");
    let room_id = alice.create_room(&json!({}));
    let event_id = alice.say(&room_id, "hello");
    let refusals: [(&[&str], &str); 6] = [
        (&["$nothing"], "event $nothing is not stored here"),
        (&["!nothing:here"], "taken no part in room !nothing:here"),
        (
            &["#nothing:here"],
            "#nothing:here is no alias of this server",
        ),
        (&[""], "single quotes"),
        (&["$"], "single quotes"),
        (&[&event_id, "--at", &event_id], "--at is for rooms"),
    ];
    for (arguments, reason) in refusals {
        let said = said_to(explain(&node, arguments));
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    let nowhere = said_to(comity(&[
        "explain",
        &event_id,
        "--database",
        "/nowhere/federation.db",
    ]));
    assert!(nowhere.contains("/nowhere/federation.db"), "{nowhere}");
}

/// Two servers that set the topic while the other is down.
#[test]
fn a_room_tells_how_its_fork_was_merged_and_can_be_drawn() {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = shared_room(&alice, &bob, &here);
    let topic = format!("rooms/{room_id}/state/m.room.topic");
    there.stop();
    alice.request("PUT", &topic, &json!({ "topic": "here" }));
    here.stop();
    there.start("sync");
    bob.request("PUT", &topic, &json!({ "topic": "there" }));
    here.start("smol");
    let fork = await_resolution(&here, &room_id);
    let conflicts = fork["conflicts"].as_array().unwrap();
    let kinds: Vec<&Value> = conflicts.iter().map(|conflict| &conflict["type"]).collect();
    assert_eq!(kinds, ["m.room.topic"]);
    assert_eq!(conflicts[0]["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&fork["agrees"], &fork["algorithm"]),
        (&json!(true), &json!("2.1"))
    );
    let alias = format!("#tea:{}", here.server_name);
    let page = told(&here, &[&alias]);
    assert_reads_well(
        &page,
        &[
            "2 forks",
            "1 conflicted key",
            "m.room.topic",
            "the same as what is stored",
        ],
    );
    let file = here.config.with_file_name("room.svg");
    told(&here, &[&room_id, "--graph", text(&file), "--auth-edges"]);
    let picture = fs::read_to_string(&file).unwrap();
    for part in [
        "<svg",
        &*here.server_name,
        &*there.server_name,
        "class=\"auth\"",
        "</svg>",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert_eq!(picture.matches(">topic<").count(), 2, "{picture}");
}

/// Waits until both branches are there, which may take as long as a server takes to try again.
fn await_resolution(node: &Node, room_id: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = report(node, room_id);
        if report["resolution"].is_object() {
            return report["resolution"].clone();
        }
        assert!(Instant::now() < deadline, "no fork: {report}");
        thread::sleep(Duration::from_millis(100));
    }
}
