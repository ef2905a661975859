//! What another server gets of our stream: everything that it may see after a position, in order,
//! and nothing else.

use comity_core::{
    messaging::command::Preset,
    pdu::{Pdu, RoomVersion},
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Liar;
use serde_json::{Value, json};

use crate::{
    forger::{body, infiltrate, lied_to},
    stage::{Stage, room, texts},
};

const VERSION: RoomVersion = RoomVersion::DEFAULT;

/// A page of the stream of server `one`, as the liar gets it: the status and the body.
fn ask(stage: &mut Stage, from: Option<&str>, limit: u32) -> (u16, Value) {
    let from = from.map(ToOwned::to_owned);
    let answer = stage
        .network
        .ask("liar", "one", Endpoint::After { from, limit });
    (answer.status().as_u16(), body(&answer))
}

fn page(stage: &mut Stage, from: Option<&str>, limit: u32) -> Page {
    let (status, page) = ask(stage, from, limit);
    assert_eq!(status, 200, "{page}");
    let events = page["pdus"].as_array().unwrap().iter();
    Page {
        events: events
            .map(|event| Pdu::parse(event.to_string(), VERSION).unwrap())
            .collect(),
        position: page["position"].as_str().unwrap().to_owned(),
        more: page["more"].as_bool().unwrap(),
    }
}

struct Page {
    events: Vec<Pdu>,
    position: String,
    more: bool,
}

impl Page {
    fn said(&self) -> Vec<String> {
        self.events.iter().filter_map(crate::stage::text).collect()
    }
}

/// Where the stream ends.
fn end(stage: &mut Stage) -> String {
    let page = page(stage, None, 10);
    assert_eq!((page.events.len(), page.more), (0, false));
    page.position
}

fn error(stage: &mut Stage, from: &str) -> (u16, Value) {
    let (status, answer) = ask(stage, Some(from), 10);
    (status, answer["errcode"].clone())
}

#[test]
fn everything_after_a_position_comes_page_by_page_in_order() {
    let (mut stage, _) = lied_to(VERSION);
    let start = end(&mut stage);
    for number in 0..25 {
        stage.say("one", &number.to_string());
    }
    let first = page(&mut stage, Some(&start), 10);
    assert_eq!((first.said(), first.more), (texts(0..10), true));
    let second = page(&mut stage, Some(&first.position), 10);
    assert_eq!((second.said(), second.more), (texts(10..20), true));
    let third = page(&mut stage, Some(&second.position), 10);
    assert_eq!((third.said(), third.more), (texts(20..25), false));
    let last = page(&mut stage, Some(&third.position), 10);
    assert_eq!((last.events.len(), last.more), (0, false));
    assert_eq!(last.position, third.position);
    assert_eq!(last.position, end(&mut stage));
}

#[test]
fn a_position_stays_good_when_we_start_again_and_a_page_is_the_same_each_time() {
    let (mut stage, _) = lied_to(VERSION);
    let start = end(&mut stage);
    stage.say("one", "hello");
    let before = ask(&mut stage, Some(&start), 10);
    stage.network.crash("one");
    stage.network.start("one");
    assert_eq!(ask(&mut stage, Some(&start), 10), before);
}

#[test]
fn err_8_what_is_no_position_of_ours_is_refused() {
    let (mut stage, _) = lied_to(VERSION);
    let good = end(&mut stage);
    let invalid = (400, json!("M_INVALID_PARAM"));
    let changed = good.replace(&good[..1], if &good[..1] == "a" { "b" } else { "a" });
    for from in [
        "",
        "0",
        "now",
        "s12_34",
        "../../event",
        &"f".repeat(9_999),
        &changed,
    ] {
        assert_eq!(error(&mut stage, from), invalid, "{from}");
    }
    assert_eq!(error(&mut stage, &good).0, 200);
}

/// The database was lost since and an older one put in its place.
#[test]
fn err_8_a_position_from_a_future_that_never_came_is_refused() {
    let (mut stage, _) = lied_to(VERSION);
    stage.say("one", "lost later");
    let future = end(&mut stage);
    let (mut again, _) = lied_to(VERSION);
    assert_eq!(error(&mut again, &future), (400, json!("M_INVALID_PARAM")));
    again.say("one", "something else");
    assert_eq!(error(&mut again, &future).0, 200);
}

#[test]
fn only_rooms_that_the_asker_is_in_are_in_its_stream() {
    let mut stage = Stage::with(&["one"], room(VERSION, Preset::Public));
    stage.network.add_liar(Liar::new("liar"));
    let start = end(&mut stage);
    stage.say("one", "nobody else is here");
    let empty = page(&mut stage, Some(&start), 10);
    assert_eq!((empty.events.len(), empty.more), (0, false));
    assert_eq!(empty.position, end(&mut stage));
    let forger = infiltrate(&mut stage, VERSION);
    stage.say("one", "hello Eve");
    let shared = page(&mut stage, Some(&start), 10);
    assert_eq!(shared.said(), ["nobody else is here", "hello Eve"]);
    assert!(shared.events.contains(&forger.last));
    stage.set_member("one", "@eve:liar", "leave").unwrap();
    stage.say("one", "is she gone?");
    assert_eq!(page(&mut stage, Some(&start), 10).events, []);
}

#[test]
fn acl_6_a_denied_server_gets_nothing() {
    let (mut stage, _) = lied_to(VERSION);
    let start = end(&mut stage);
    stage.say("one", "not for liars");
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    let page = page(&mut stage, Some(&start), 10);
    assert_eq!((page.events.len(), page.more), (0, false));
}

#[test]
fn pdu_35_what_the_asker_may_not_see_comes_without_its_words() {
    let mut stage = Stage::with(&["one"], room(VERSION, Preset::Public));
    let joined = json!({ "history_visibility": "joined" });
    stage
        .set("one", "m.room.history_visibility", joined)
        .unwrap();
    stage.network.add_liar(Liar::new("liar"));
    let start = end(&mut stage);
    stage.say("one", "a secret");
    infiltrate(&mut stage, VERSION);
    stage.say("one", "hello Eve");
    assert_eq!(page(&mut stage, Some(&start), 10).said(), ["hello Eve"]);
}

#[test]
fn events_that_were_not_accepted_are_not_passed_on() {
    let (mut stage, mut forger) = lied_to(VERSION);
    let start = end(&mut stage);
    let denied = forger.event("m.room.name", Some(""), json!({ "name": "Mine" }));
    forger.push_one(&mut stage.network, &denied);
    let before_the_kick = forger.message("I was never kicked");
    stage.set_member("one", "@eve:liar", "leave").unwrap();
    forger.push_one(&mut stage.network, &before_the_kick);
    let state = |event: &Pdu| event.event_id().to_owned();
    for event in [&denied, &before_the_kick] {
        let held = stage.held("one", &state(event)).unwrap();
        assert!(held.position.is_none());
    }
    infiltrate_again(&mut stage);
    let events = page(&mut stage, Some(&start), 10).events;
    assert!(!events.contains(&denied) && !events.contains(&before_the_kick));
    assert!(!events.is_empty());
}

fn infiltrate_again(stage: &mut Stage) {
    infiltrate(stage, VERSION);
}

#[test]
fn a_page_has_bounds_whatever_is_asked_for() {
    let (mut stage, _) = lied_to(VERSION);
    let start = end(&mut stage);
    for number in 0..120 {
        stage.say("one", &number.to_string());
    }
    assert_eq!(page(&mut stage, Some(&start), u32::MAX).events.len(), 100);
    assert_eq!(page(&mut stage, Some(&start), 0).events.len(), 1);
    let start = end(&mut stage);
    let long = "x".repeat(50_000);
    for _ in 0..30 {
        stage.say("one", &long);
    }
    let first = page(&mut stage, Some(&start), 100);
    let bytes: usize = first.events.iter().map(|event| event.json().len()).sum();
    assert!(
        first.more && bytes <= 1024 * 1024 && bytes > 900_000,
        "{bytes}"
    );
    let second = page(&mut stage, Some(&first.position), 100);
    assert_eq!(first.events.len() + second.events.len(), 30);
    assert!(!second.more);
}

#[test]
fn xmtx_11_gen_5_the_stream_is_for_authenticated_servers_and_for_get_only() {
    let (mut stage, _) = lied_to(VERSION);
    let target = "/_matrix/federation/unstable/org.comity/after";
    for (method, expected) in [("GET", 401), ("POST", 405), ("PUT", 405)] {
        let request = http::Request::builder().method(method).uri(target);
        let request = request.body(bytes::Bytes::new()).unwrap();
        let answer = stage.network.ask_with("liar", "one", request);
        assert_eq!(answer.status().as_u16(), expected, "{method}");
    }
}

#[test]
fn version_says_that_the_stream_is_offered_and_nothing_does_when_it_is_not() {
    let (mut stage, _) = lied_to(VERSION);
    let version = |stage: &mut Stage| body(&stage.network.ask("liar", "one", Endpoint::Version));
    let offer = version(&mut stage);
    assert_eq!(offer["server"]["org.comity.after"], "1");
    assert_eq!(offer["server"]["name"], "Comity");
    stage.network.crash("one");
    stage.network.server("one").settings.serve_stream = false;
    stage.network.start("one");
    let keys = version(&mut stage)["server"].as_object().unwrap().len();
    assert_eq!(keys, 2);
    let (status, answer) = ask(&mut stage, None, 10);
    assert_eq!(
        (status, &answer["errcode"]),
        (404, &json!("M_UNRECOGNIZED"))
    );
}
