//! What those who run a server see of it, and do.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::node::{Node, PATIENCE, Place, User, comity, free_port, text};

/// Makes alice an operator and has metrics told; where is the answer.
fn observed(node: &Node) -> String {
    let port = free_port();
    let config = fs::read_to_string(&node.config).unwrap();
    let config = config.replace("operators = []", r#"operators = ["alice"]"#);
    let config = format!("{config}\n[observe]\nlisten = \"127.0.0.1:{port}\"\n");
    fs::write(&node.config, config).unwrap();
    format!("http://127.0.0.1:{port}")
}

fn page(url: &str) -> String {
    let mut response = ureq::get(url).call().unwrap();
    response.body_mut().read_to_string().unwrap()
}

/// The value of the metric that a line of the page begins with.
fn metric(observe: &str, name: &str) -> f64 {
    let page = page(&format!("{observe}/metrics"));
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    assert!(line.is_some(), "no {name} in {page}");
    line.unwrap().trim().parse().unwrap()
}

fn operate(node: &Node, arguments: &[&str]) -> String {
    let mut all = arguments.to_vec();
    all.extend(["--config", text(&node.config), "--as", "alice"]);
    let output = comity(&all);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The status of the only destination that there is to tell of, once that is so.
fn destination(node: &Node, is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status: Value = serde_json::from_str(&operate(node, &["status", "--json"])).unwrap();
        if is_right(&status["destinations"]) {
            return status["destinations"][0].clone();
        }
        assert!(Instant::now() < deadline, "{status:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn shared_room(alice: &User, bob: &User, via: &str) -> String {
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    let path = format!("join/{room_id}?server_name={via}");
    bob.post(&path, &json!({}));
    room_id
}

fn an_operator_sees_what_is_wrong(runtime: &str) {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    let observe = observed(&here);
    here.start(runtime);
    there.start(runtime);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = shared_room(&alice, &bob, &here.server_name);
    let joins = r#"comity_requests_total{endpoint="send_join",code="200"}"#;
    assert_eq!(metric(&observe, joins), 1.0);
    assert_eq!(page(&format!("{observe}/health")), r#"{"status":"ok"}"#);

    there.kill();
    alice.say(&room_id, "hello");
    let down = destination(&here, |all| all[0]["state"]["name"] == "backing_off");
    assert_eq!(down["server"], there.server_name.as_str());
    assert!(!down["last_error"]["reason"].as_str().unwrap().is_empty());
    let told = operate(&here, &["status"]);
    assert!(
        told.contains(&there.server_name) && told.contains("left alone for"),
        "{told}"
    );
    let down = r#"comity_destinations{state="backing_off"}"#;
    assert_eq!(metric(&observe, down), 1.0);

    there.start(runtime);
    operate(&here, &["destination", "retry", &there.server_name]);
    destination(&here, |all| all == &json!([]));
    assert_eq!(metric(&observe, down), 0.0);
}

#[test]
fn an_operator_sees_what_is_wrong_on_smol() {
    an_operator_sees_what_is_wrong("smol");
}

#[test]
fn an_operator_sees_what_is_wrong_on_threads() {
    an_operator_sees_what_is_wrong("sync");
}
