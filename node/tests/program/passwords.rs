//! Users who log in with a password that was set on the command line.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::node::{Node, Place, text};

fn set_password(node: &Node, name: &str, typed: &str) -> Output {
    let mut setting = Command::new(env!("CARGO_BIN_EXE_comity"))
        .args(["user", "password", name, "--config", text(&node.config)])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = setting.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    setting.wait_with_output().unwrap()
}

#[test]
fn a_password_is_set_while_the_server_runs_and_lets_its_user_in() {
    let place = Place::new();
    let mut node = place.node("one");
    node.start("sync");
    let alice = node.user("alice");
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "open sesame ",
    });
    assert_eq!(alice.try_request("POST", "login", &login).0, 403);
    let set = set_password(&node, "alice", "open sesame \r\nsecond line");
    assert!(set.status.success(), "{set:?}");
    let answer = alice.request("POST", "login", &login);
    assert_eq!(answer["user_id"], alice.id);
}

#[test]
fn a_password_needs_a_user_and_letters() {
    let place = Place::new();
    let node = place.node("one");
    node.user("alice");
    for (name, typed, complaint) in [
        ("nobody", "sesame\n", "there is no user \"nobody\""),
        ("alice", "\n", "no password"),
        ("alice", "", "no password"),
    ] {
        let set = set_password(&node, name, typed);
        assert_eq!(set.status.code(), Some(1));
        let said = String::from_utf8(set.stderr).unwrap();
        assert!(said.contains(complaint), "{said}");
    }
}
