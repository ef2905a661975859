//! What a server pulls out of another's stream after an outage, and what it makes of streams that
//! lie.

use std::time::Duration;

use comity_core::{
    pdu::RoomVersion,
    persistence::{
        queries::{Answer, Read},
        tables::PeerStream,
    },
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::{Liar, Sent};
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, infiltrate, list, not_found},
    gaps::{named, pdus},
    stage::{Stage, noticed, texts},
};

const VERSION: RoomVersion = RoomVersion::DEFAULT;
const DAY: u64 = 24 * 60 * 60;

/// How often a server asked for something since the traffic was last cleared.
fn asked(stage: &Stage, from: &str, part: &str) -> usize {
    let is_it = |sent: &&Sent| sent.from == from && sent.line.contains(part);
    stage.network.traffic.iter().filter(is_it).count()
}

fn asked_of(stage: &Stage, from: &str, to: &str, part: &str) -> usize {
    let is_it = |sent: &&Sent| sent.from == from && sent.to == to && sent.line.contains(part);
    stage.network.traffic.iter().filter(is_it).count()
}

fn stream(stage: &mut Stage, server: &str, of: &str) -> Option<PeerStream> {
    let read = Read::PeerStream(of.try_into().unwrap());
    match stage.network.server(server).read(read) {
        Answer::PeerStream(stream) => stream,
        other => panic!("{other:?}"),
    }
}

fn pull_after(stage: &mut Stage, server: &str, of: &str) -> String {
    stream(stage, server, of)
        .unwrap()
        .cursor
        .unwrap()
        .pull_after
}

/// Servers in a room that have talked with each other.
fn acquainted(servers: &[&str]) -> Stage {
    let mut stage = Stage::of(servers, VERSION);
    for server in servers {
        stage.say(server, "hello");
        stage.network.settle();
    }
    stage
}

/// "hello" of each server, and these numbers.
fn hello_and(servers: &[&str], numbers: std::ops::Range<usize>) -> Vec<String> {
    let hello = servers.iter().map(|_| "hello".to_owned());
    hello.chain(texts(numbers)).collect()
}

/// Servers one, two and three in a room, three being away for a week of talk between the others.
/// Returns how often three asked for missing events when it came back.
fn week_away(pulls: bool) -> (Stage, usize) {
    let servers = ["one", "two", "three"];
    let mut stage = acquainted(&servers);
    stage.network.crash("three");
    stage.network.server("three").settings.pull_streams = pulls;
    for number in 0..300 {
        let server = ["one", "two"][number % 2];
        stage.say(server, &number.to_string());
        stage.pass_seconds(7 * DAY / 300);
    }
    stage.network.traffic.clear();
    stage.network.start("three");
    if !pulls {
        stage.pass_seconds(2 * DAY);
    }
    stage.must_agree(&servers);
    assert_eq!(stage.said("three"), hello_and(&servers, 0..300));
    let gaps = ["get_missing_events", "/event/", "/state"];
    let requests = gaps.map(|part| asked(&stage, "three", part)).iter().sum();
    (stage, requests)
}

#[test]
fn after_a_week_away_a_server_pulls_what_it_missed_and_shows_it_in_order() {
    let (mut stage, by_gaps) = week_away(true);
    let all = hello_and(&["one", "two", "three"], 0..300);
    assert_eq!(noticed(&mut stage.network, "three"), all);
    let pages = asked(&stage, "three", "/after");
    let (_, by_gaps_alone) = week_away(false);
    assert!(
        pages <= 12 && by_gaps + pages < by_gaps_alone,
        "{pages} pages and {by_gaps} questions, against {by_gaps_alone} questions"
    );
}

/// What a liar's stream answers: the status and the body, from the position it is asked for.
type Stream = fn(Option<&str>, &Forger) -> (u16, Value);

fn page(events: Vec<Value>, position: &str, more: bool) -> (u16, Value) {
    let page = json!({ "pdus": events, "position": position, "more": more });
    (200, page)
}

/// Lets the liar offer this stream from now on.
fn offer(stage: &mut Stage, forger: &Forger, stream: Stream) {
    let forger = forger.clone();
    stage.network.liar("liar").says(move |target, _| {
        if target.ends_with("/v1/version") {
            return (200, json!({ "server": { "org.comity.after": "1" } }));
        }
        let Some((_, query)) = target.split_once("/after?") else {
            return not_found();
        };
        let from = query.split('&').find_map(|pair| pair.strip_prefix("from="));
        stream(from, &forger)
    });
}

/// Server one and the liar in a room, and one knows where the liar's stream ends.
fn lied_to_by(stream: Stream) -> (Stage, Forger) {
    let mut stage = Stage::of(&["one"], VERSION);
    let mut forger = infiltrate(&mut stage, VERSION);
    offer(&mut stage, &forger, stream);
    let hello = forger.message("hello");
    forger.push_one(&mut stage.network, &hello);
    forger.last = hello;
    offer(&mut stage, &forger, stream);
    stage.network.settle();
    (stage, forger)
}

/// Server one starts again, and so pulls.
fn start_again(stage: &mut Stage) {
    stage.network.crash("one");
    stage.network.traffic.clear();
    stage.network.start("one");
    stage.pass_seconds(60);
}

#[test]
fn a_server_without_a_stream_sees_standard_matrix_and_is_asked_for_its_version_once_a_month() {
    let mut stage = Stage::of(&["one"], VERSION);
    let mut forger = infiltrate(&mut stage, VERSION);
    for _ in 0..29 {
        let message = forger.message("hello");
        forger.push_one(&mut stage.network, &message);
        forger.last = message;
        stage.pass_seconds(DAY);
        stage.network.crash("one");
        stage.network.start("one");
    }
    assert_eq!(asked_of(&stage, "one", "liar", "/version"), 1);
    stage.pass_seconds(3 * DAY);
    let message = forger.message("hello");
    forger.push_one(&mut stage.network, &message);
    assert_eq!(asked_of(&stage, "one", "liar", "/version"), 2);
    assert_eq!(asked_of(&stage, "one", "liar", "/org.comity/"), 0);
}

#[test]
fn a_stranger_is_asked_nothing() {
    let mut stage = Stage::of(&["one"], VERSION);
    stage.network.add_liar(Liar::new("liar"));
    let room_id = stage.room_id.clone();
    let question =
        comity_core::transport::remote_request::Endpoint::MakeJoin(room_id, crate::forger::eve());
    stage.network.ask("liar", "one", question);
    stage.network.settle();
    assert_eq!(asked_of(&stage, "one", "liar", "/federation/"), 0);
}

#[test]
fn a_stream_is_followed_from_its_present_end_on() {
    let (mut stage, _) = lied_to_by(|from, _| match from {
        None => page(vec![], "the-end", false),
        Some(_) => page(vec![], "later", false),
    });
    assert_eq!(asked(&stage, "one", "/after"), 1);
    assert_eq!(pull_after(&mut stage, "one", "liar"), "the-end");
    start_again(&mut stage);
    assert_eq!(asked(&stage, "one", "/after?from=the-end&"), 1);
    assert_eq!(asked(&stage, "one", "/after"), 1);
    assert_eq!(pull_after(&mut stage, "one", "liar"), "later");
}

#[test]
fn pdu_8_a_stream_is_no_reason_to_believe_its_events() {
    let (mut stage, _) = lied_to_by(|from, forger| {
        if from != Some("start") {
            return page(vec![], "start", false);
        }
        let good = forger.message("good");
        let forged = crate::forger::altered(&forger.message("forged"), |event| {
            event["signatures"] = json!({});
        });
        let denied = forger.event("m.room.name", Some(""), json!({ "name": "Mine" }));
        let elsewhere = Forger::with_a_room(forger.own.clone(), VERSION).message("elsewhere");
        let forged: Value = serde_json::from_str(&forged).unwrap();
        let mut events = list(&[good.clone(), denied, elsewhere, good]);
        events.extend([forged, json!(5), json!({}), json!({ "room_id": "!x:y" })]);
        page(events, "end", false)
    });
    start_again(&mut stage);
    assert_eq!(stage.said("one"), ["hello", "good"]);
    assert_eq!(noticed(&mut stage.network, "one"), ["hello", "good"]);
    assert_eq!(
        stage.state("one", "m.room.name", "").unwrap()["name"],
        "Garden"
    );
    assert_eq!(pull_after(&mut stage, "one", "liar"), "end");
    stage.must_keep_promises("one");
}

#[test]
fn what_lies_behind_a_hole_that_was_stepped_over_is_pulled() {
    let (mut stage, mut forger) = lied_to_by(|_, _| page(vec![], "start", false));
    let line = forger.line(4);
    let before = Endpoint::StateIds(stage.room_id.clone(), forger.last.event_id().to_owned());
    let state = body(&stage.network.ask("liar", "one", before));
    let (known, events) = (line[1..].to_vec(), list(&line));
    stage.network.liar("liar").says(move |target, body| {
        let id = named(target, body);
        let found = known.iter().find(|event| event.event_id() == &*id);
        match found {
            Some(event) if target.contains("/event/") => pdus(event),
            Some(_) if target.contains("/state_ids/") => (200, state.clone()),
            _ if target.contains("/after?") => page(events.clone(), "end", false),
            _ => not_found(),
        }
    });
    assert_eq!(forger.push_one(&mut stage.network, &line[3]), None);
    let noticed_first = noticed(&mut stage.network, "one");
    assert_eq!(noticed_first, ["hello", "line 2", "line 3"]);
    start_again(&mut stage);
    assert_eq!(pull_after(&mut stage, "one", "liar"), "end");
    assert!(stage.said("one").contains(&"line 0".to_owned()));
    stage.must_keep_promises("one");
}

/// The pages lead ever on and bring nothing.
#[test]
fn an_endless_stream_is_read_ever_more_rarely() {
    let (mut stage, _) = lied_to_by(|from, forger| match from {
        None => page(vec![], "0", false),
        Some(position) => {
            let next = position.parse::<u64>().unwrap() + 1;
            page(
                list(std::slice::from_ref(&forger.last)),
                &next.to_string(),
                true,
            )
        }
    });
    start_again(&mut stage);
    stage.network.settle();
    let pages = asked(&stage, "one", "/after");
    assert_eq!(pages, 500);
    assert_eq!(stage.said("one"), ["hello"]);
    stage.must_keep_promises("one");
}

/// Pages that stand still, go back, are too large, or are none.
#[test]
fn a_stream_that_makes_no_sense_is_given_up_soon() {
    let streams: [Stream; 5] = [
        |_, _| page(vec![], "here", true),
        |from, forger| match from {
            None => page(vec![], "here", false),
            Some(_) => page(list(&[forger.message("still")]), "here", false),
        },
        |from, forger| match from {
            None => page(vec![], "here", false),
            Some(_) => page(list(&vec![forger.message("much"); 101]), "there", false),
        },
        |from, _| match from {
            None => page(vec![], "here", false),
            Some(_) => page(vec![], &"p".repeat(300), false),
        },
        |from, _| match from {
            None => page(vec![], "here", false),
            Some(_) => (200, json!("<html>")),
        },
    ];
    for stream in streams {
        let (mut stage, _) = lied_to_by(stream);
        start_again(&mut stage);
        stage.network.settle();
        let pages = asked(&stage, "one", "/after");
        assert_eq!(pages, 5);
        assert_eq!(stage.said("one"), ["hello"]);
        assert_eq!(pull_after(&mut stage, "one", "liar"), "here");
        stage.must_keep_promises("one");
    }
}

#[test]
fn positions_that_go_in_a_circle_lead_nowhere() {
    let (mut stage, _) = lied_to_by(|from, _| match from {
        None | Some("b") => page(vec![], "a", from.is_some()),
        Some(_) => page(vec![], "b", true),
    });
    start_again(&mut stage);
    stage.network.settle();
    assert_eq!(asked(&stage, "one", "/after"), 500);
    stage.must_keep_promises("one");
}

#[test]
fn a_position_that_is_not_known_any_more_makes_us_begin_anew() {
    let (mut stage, _) = lied_to_by(|from, _| match from {
        None => page(vec![], "end", false),
        Some("end") => (400, json!({ "errcode": "M_INVALID_PARAM" })),
        Some(_) => panic!("nobody said so"),
    });
    start_again(&mut stage);
    assert_eq!(asked(&stage, "one", "/after?from=end&"), 1);
    assert_eq!(asked(&stage, "one", "/after?limit="), 1);
    assert_eq!(pull_after(&mut stage, "one", "liar"), "end");
}

#[test]
fn gen_6_a_stream_that_is_offered_no_more_is_left_alone() {
    let (mut stage, _) = lied_to_by(|from, _| match from {
        None => page(vec![], "end", false),
        Some(_) => (404, json!({ "errcode": "M_UNRECOGNIZED" })),
    });
    for asks in [1, 0] {
        start_again(&mut stage);
        stage.network.settle();
        assert_eq!(asked(&stage, "one", "/after"), asks);
    }
    assert_eq!(stream(&mut stage, "one", "liar").unwrap().cursor, None);
}

#[test]
fn a_server_that_is_told_not_to_pulls_nothing_and_asks_nobody() {
    let mut stage = Stage::of(&["one"], VERSION);
    stage.network.crash("one");
    stage.network.server("one").settings.pull_streams = false;
    stage.network.start("one");
    let mut forger = infiltrate(&mut stage, VERSION);
    let hello = forger.message("hello");
    forger.push_one(&mut stage.network, &hello);
    start_again(&mut stage);
    assert_eq!(
        asked(&stage, "one", "/version") + asked(&stage, "one", "/after"),
        0
    );
}

/// Nobody tells server one what it missed but the stream, once; it crashes after so many commits.
#[test]
fn a_crash_in_a_pull_skips_nothing_and_shows_nothing_twice() {
    let stream: Stream = |from, forger| {
        let line = list(&forger.line(20));
        match from {
            None => page(vec![], "start", false),
            Some("start") => page(line[..10].to_vec(), "middle", true),
            Some("middle") => page(line[10..].to_vec(), "end", false),
            Some(_) => page(vec![], "end", false),
        }
    };
    for commits in 1..30 {
        let (mut stage, _) = lied_to_by(stream);
        stage.network.crash("one");
        stage.network.server("one").crash_after(commits);
        stage.network.start("one");
        stage.pass_seconds(60);
        start_again(&mut stage);
        let lines = (0..20).map(|number| format!("line {number}"));
        let all: Vec<String> = std::iter::once("hello".to_owned()).chain(lines).collect();
        assert_eq!(stage.said("one"), all, "after {commits} commits");
        stage.must_keep_promises("one");
    }
}

/// The wires are cut and nobody crashes: the first sign of life makes both sides pull.
#[test]
fn after_a_partition_both_sides_pull_what_they_missed() {
    let servers = ["one", "two", "three"];
    let mut stage = acquainted(&servers);
    for other in ["one", "two"] {
        stage.network.set_cut(other, "three", true);
    }
    for number in 0..60 {
        stage.say(["one", "two"][number % 2], &number.to_string());
        stage.pass_seconds(DAY / 30);
    }
    for other in ["one", "two"] {
        stage.network.set_cut(other, "three", false);
    }
    stage.network.traffic.clear();
    stage.network.settle();
    stage.network.pass(Duration::from_secs(DAY));
    assert!(asked(&stage, "three", "/after?from=") > 0);
    stage.must_agree(&servers);
    assert_eq!(
        noticed(&mut stage.network, "three"),
        hello_and(&servers, 0..60)
    );
}
