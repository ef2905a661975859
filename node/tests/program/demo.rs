//! `comity demo`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::node::comity;

#[test]
fn the_demo_ends_in_agreement_within_twenty_seconds() {
    let start = Instant::now();
    let output = comity(&["demo", "--json"]);
    assert!(output.status.success(), "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.last().unwrap()["agreed"], true);
    let servers = lines.iter().filter(|line| line["kind"] == "server");
    let digests: Vec<_> = servers.map(|server| &server["state_digest"]).collect();
    assert_eq!(digests.len(), 3);
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
}

#[test]
fn the_demo_can_be_followed_by_people() {
    let output = comity(&["demo"]);
    assert!(output.status.success(), "{output:?}");
    let story = String::from_utf8(output.stdout).unwrap();
    for part in [
        "alice  “The kettle is on",
        "seen by oak, elm, fir",
        "All three servers agree.",
    ] {
        assert!(story.contains(part), "{story}");
    }
}
