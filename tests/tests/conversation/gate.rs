//! What a server in a room may see of the room's past, and what one outside learns: nothing.

use comity_core::{
    messaging::command::Preset,
    pdu::{Pdu, RoomVersion},
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Liar;
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, body, infiltrate, lied_to},
    stage::{Stage, VERSIONS, room},
};

fn missing(stage: &Stage, latest: &OwnedEventId) -> Endpoint {
    Endpoint::MissingEvents {
        room_id: stage.room_id.clone(),
        earliest: Vec::new(),
        latest: vec![latest.clone()],
        limit: 50,
        min_depth: 0,
    }
}

fn backfill(stage: &Stage, from: &OwnedEventId) -> Endpoint {
    Endpoint::Backfill {
        room_id: stage.room_id.clone(),
        from: vec![from.clone()],
        limit: 100,
    }
}

/// Every question about the room's events and states.
fn questions(stage: &Stage, event_id: &OwnedEventId) -> [Endpoint; 6] {
    let room_id = &stage.room_id;
    [
        Endpoint::Event(event_id.clone()),
        Endpoint::State(room_id.clone(), event_id.clone()),
        Endpoint::StateIds(room_id.clone(), event_id.clone()),
        Endpoint::EventAuth(room_id.clone(), event_id.clone()),
        backfill(stage, event_id),
        missing(stage, event_id),
    ]
}

/// The content of an event as the liar gets it by this question.
fn content(stage: &mut Stage, question: Endpoint, hashes: &Value) -> Value {
    let answer = body(&stage.network.ask("liar", "one", question));
    let events = answer["pdus"].as_array().or(answer["events"].as_array());
    let mut events = events.unwrap().iter();
    let found = events.find(|event| event["hashes"] == *hashes);
    found.unwrap()["content"].clone()
}

/// What the liar sees of an event that has one built on it.
fn seen(stage: &mut Stage, event_id: &OwnedEventId, next: &OwnedEventId) -> Value {
    let held = stage.held("one", event_id).unwrap();
    let hashes = held.pdu.object()["hashes"].clone();
    let ways = [
        Endpoint::Event(event_id.clone()),
        backfill(stage, next),
        missing(stage, next),
    ];
    let seen = ways.map(|question| content(stage, question, &hashes));
    assert!(seen.iter().all(|content| *content == seen[0]), "{seen:?}");
    seen[0].clone()
}

fn set_visibility(stage: &mut Stage, visibility: &str) -> OwnedEventId {
    let content = json!({ "history_visibility": visibility });
    set(stage, "m.room.history_visibility", content)
}

fn set(stage: &mut Stage, event_type: &str, content: Value) -> OwnedEventId {
    stage.set("one", event_type, content).unwrap();
    let timeline = stage.timeline("one");
    timeline.last().unwrap().pdu.event_id().to_owned()
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// PDU-30.
#[test]
fn pdu_35_what_was_said_before_a_server_came_is_as_visible_as_the_room_says() {
    for version in VERSIONS {
        for (visibility, is_open) in [
            ("joined", false),
            ("invited", false),
            ("shared", true),
            ("world_readable", true),
            ("as you like", true),
        ] {
            let mut stage = Stage::with(&["one"], room(version, Preset::Public));
            set_visibility(&mut stage, visibility);
            let early = stage.say("one", "early");
            let join = infiltrate(&mut stage, version).last;
            let late = stage.say("one", "late");
            let last = stage.say("one", "last");
            let expected = if is_open { text("early") } else { json!({}) };
            assert_eq!(seen(&mut stage, &early, &last), expected, "{visibility}");
            assert_eq!(seen(&mut stage, &late, &last), text("late"));
            let join_seen = seen(&mut stage, &join.event_id().to_owned(), &last);
            assert_eq!(join_seen, Value::Object(join.content()));
        }
    }
}

#[test]
fn pdu_35_an_invited_server_may_see_what_is_said_before_it_joins_where_the_room_says_so() {
    for (visibility, is_open) in [("joined", false), ("invited", true)] {
        let mut stage = Stage::with(&["one"], room(RoomVersion::DEFAULT, Preset::Public));
        stage.network.add_liar(Liar::new("liar"));
        let own = stage.network.liar("liar").own.clone();
        stage.network.liar("liar").says(move |_, body| {
            let invite = Pdu::parse(body["event"].to_string(), RoomVersion::DEFAULT).unwrap();
            let invite = invite.signed_by(own.server_name(), own.signing_key());
            (200, json!({ "event": invite.unwrap().object() }))
        });
        set_visibility(&mut stage, visibility);
        stage.invite("one", "@eve:liar").unwrap();
        let early = stage.say("one", "early");
        infiltrate(&mut stage, RoomVersion::DEFAULT);
        let last = stage.say("one", "last");
        let expected = if is_open { text("early") } else { json!({}) };
        assert_eq!(seen(&mut stage, &early, &last), expected, "{visibility}");
    }
}

#[test]
fn pdu_35_the_event_that_opens_the_room_is_seen_and_those_before_it_are_not() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::DEFAULT, Preset::Public));
    set_visibility(&mut stage, "joined");
    let before = stage.say("one", "before");
    let opens = set_visibility(&mut stage, "shared");
    let after = stage.say("one", "after");
    infiltrate(&mut stage, RoomVersion::DEFAULT);
    let last = stage.say("one", "last");
    assert_eq!(seen(&mut stage, &before, &last), json!({}));
    let opening = json!({ "history_visibility": "shared" });
    assert_eq!(seen(&mut stage, &opens, &last), opening);
    assert_eq!(seen(&mut stage, &after, &last), text("after"));
}

/// One that took it redacted would hold another state than we, and heed a list of servers that is
/// empty.
#[test]
fn pdu_35_what_belongs_to_the_present_state_is_seen_whole() {
    for version in VERSIONS {
        let mut stage = Stage::with(&["one"], room(version, Preset::Public));
        set_visibility(&mut stage, "joined");
        let (list, old, new) = (
            json!({ "allow": ["*"], "deny": ["evil.example"] }),
            json!({ "topic": "old" }),
            json!({ "topic": "new" }),
        );
        let listed = set(&mut stage, "m.room.server_acl", list.clone());
        let superseded = set(&mut stage, "m.room.topic", old);
        let present = set(&mut stage, "m.room.topic", new.clone());
        infiltrate(&mut stage, version);
        let last = stage.say("one", "last");
        assert_eq!(seen(&mut stage, &listed, &last), list);
        assert_eq!(seen(&mut stage, &superseded, &last), json!({}));
        assert_eq!(seen(&mut stage, &present, &last), new);
    }
}

#[test]
fn statereq_2_who_left_learns_no_more_than_who_never_came() {
    for version in VERSIONS {
        let (mut stage, forger) = lied_to(version);
        let said = stage.say("one", "with Eve");
        stage.set_member("one", "@eve:liar", "leave").unwrap();
        must_learn_nothing(&mut stage, &said, &forger);
    }
}

/// What a server says on leaving may build on what nobody else gives.
#[test]
fn missing_1_a_server_that_has_left_still_gives_what_its_last_words_build_on() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    stage.network.add_server("two");
    stage.join("two").unwrap();
    stage.network.settle();
    let whispered = forger.message("to two alone");
    forger.push(&mut stage.network, "two", &[whispered.json().to_owned()]);
    stage.network.settle();
    stage.leave("two").unwrap();
    stage.network.settle();
    let heard = stage.held("one", &whispered.event_id().to_owned());
    assert!(heard.is_some_and(|heard| !heard.is_outlier()));
    stage.must_keep_promises("one");
}

#[test]
fn acl_6_a_denied_server_learns_nothing_though_it_is_in_the_room() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let said = stage.say("one", "not for liars");
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    must_learn_nothing(&mut stage, &said, &forger);
}

/// What is refused looks like what is not there.
fn must_learn_nothing(stage: &mut Stage, said: &OwnedEventId, forger: &Forger) {
    let unknown = forger.message("never sent").event_id().to_owned();
    for (of_event, of_none) in questions(stage, said)
        .into_iter()
        .zip(questions(stage, &unknown))
    {
        let refused = stage.network.ask("liar", "one", of_event.clone());
        let absent = stage.network.ask("liar", "one", of_none);
        assert_eq!(refused.status().as_u16(), 403, "{of_event:?}");
        assert_eq!(refused.status(), absent.status());
        assert_eq!(refused.body(), absent.body());
    }
}
