//! What a server did can be done again from its log.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::json;

use crate::node::{Follower, Node, Place, comity, text};

/// Has the node record up to so many megabytes; where.
fn recorded(node: &Node, megabytes: u32) -> PathBuf {
    let config = fs::read_to_string(&node.config).unwrap();
    let section = format!("\n[recording]\nfile = \"log.jsonl\"\nmegabytes = {megabytes}\n");
    fs::write(&node.config, config + &section).unwrap();
    node.config.with_file_name("log.jsonl")
}

fn replay(log: &Path, node: &Node) -> (Option<i32>, String) {
    let Output { status, stdout, .. } =
        comity(&["replay", text(log), "--config", text(&node.config)]);
    (status.code(), String::from_utf8(stdout).unwrap())
}

fn a_recorded_server_does_the_same_again(runtime: &str) {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    let logs = [recorded(&here, 100), recorded(&there, 100)];
    here.start(runtime);
    there.start(runtime);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(
        &format!("join/{room_id}?server_name={}", here.server_name),
        &json!({}),
    );
    let mut follower = Follower::new(&bob, &room_id);
    for number in 0..5 {
        alice.say(&room_id, &format!("from-here-{number}"));
        bob.say(&room_id, &format!("from-there-{number}"));
    }
    assert_eq!(follower.hear(10).len(), 10);
    assert_eq!(here.stop(), Some(0));
    there.kill();

    for (node, log) in [&here, &there].into_iter().zip(&logs) {
        let (code, told) = replay(log, node);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.trim_end().ends_with(", 0 differences"), "{told}");
        let key = fs::read_to_string(node.config.with_file_name("signing.key")).unwrap();
        let secret = key.split_whitespace().last().unwrap();
        assert!(!fs::read_to_string(log).unwrap().contains(secret));
    }

    let altered = fs::read_to_string(&logs[1]).unwrap();
    let altered = altered.replacen("from-here-2", "from-here-x", 1);
    let log = logs[1].with_file_name("altered.jsonl");
    fs::write(&log, altered).unwrap();
    let (code, told) = replay(&log, &there);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("differs") && told.trim_end().ends_with(", 1 differences"),
        "{told}"
    );
    assert_eq!(replay(&logs[1], &here).0, Some(1), "that is another key");
}

#[test]
fn a_recorded_server_does_the_same_again_on_smol() {
    a_recorded_server_does_the_same_again("smol");
}

#[test]
fn a_recorded_server_does_the_same_again_on_threads() {
    a_recorded_server_does_the_same_again("sync");
}

#[test]
fn a_log_ends_at_its_limit_and_the_server_goes_on() {
    let place = Place::new();
    let mut node = place.node("here");
    let log = recorded(&node, 1);
    node.start("smol");
    let alice = node.user("alice");
    let room_id = alice.create_room(&json!({}));
    let long = "x".repeat(60_000);
    for number in 0..25 {
        let message = json!({ "msgtype": "m.text", "body": long });
        let path = format!("rooms/{room_id}/send/m.room.message/{number}");
        alice.request("PUT", &path, &message);
    }
    node.stop();
    let lines = fs::read_to_string(&log).unwrap();
    assert!(lines.len() < 1_000_000 + 200, "{}", lines.len());
    assert!(
        lines
            .lines()
            .last()
            .unwrap()
            .contains("the limit of the log's size")
    );
    assert_eq!(replay(&log, &node).0, Some(0));
}
