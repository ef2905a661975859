//! What was said at some time.

use std::time::Duration;

use comity_core::{
    messaging::command::{Command, CommandError, Preset, Reply},
    pdu::{Pdu, RoomVersion},
    persistence::queries::Direction,
    time::WallTime,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Finished;
use http::Method;
use ruma_common::OwnedEventId;
use serde_json::json;

use crate::{
    forger::{body, infiltrate, lied_to},
    stage::{Stage, room},
};

use Direction::{Backward, Forward};

fn find(stage: &mut Stage, server: &str, time: WallTime, direction: Direction) -> Finished {
    let room_id = stage.room_id.clone();
    stage.network.run(
        server,
        Command::EventByTime {
            room_id,
            time,
            direction,
        },
    )
}

fn endpoint(stage: &Stage, time: WallTime, direction: Direction) -> Endpoint {
    Endpoint::EventByTime {
        room_id: stage.room_id.clone(),
        time,
        direction,
    }
}

/// Messages of server `one`, a second apart, each with when it was said.
fn say(stage: &mut Stage, texts: &[&str]) -> Vec<(WallTime, OwnedEventId)> {
    let said = texts.iter().map(|text| {
        stage.pass_seconds(1);
        let event_id = stage.say("one", text);
        let event = stage.held("one", &event_id).unwrap();
        (WallTime::of_event(&event.pdu), event_id)
    });
    said.collect()
}

fn later(time: WallTime) -> WallTime {
    time.plus(Duration::from_millis(1))
}

#[test]
fn timestamp_1_the_nearest_event_in_a_direction_is_found() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let said = say(&mut stage, &["first", "second"]);
    let [(first_time, first), (second_time, second)] = &said[..] else {
        panic!("{said:?}");
    };
    for (time, direction, expected) in [
        (*first_time, Forward, first),
        (*first_time, Backward, first),
        (later(*first_time), Forward, second),
        (later(*first_time), Backward, first),
        (WallTime(u64::MAX), Backward, second),
    ] {
        let endpoint = endpoint(&stage, time, direction);
        let found = body(&stage.network.ask("liar", "one", endpoint));
        assert_eq!(found["event_id"], expected.as_str(), "{time} {direction:?}");
        let sent = if expected == first {
            first_time
        } else {
            second_time
        };
        assert_eq!(found["origin_server_ts"], sent.0);
    }
    for (time, direction) in [(later(*second_time), Forward), (WallTime(0), Backward)] {
        let endpoint = endpoint(&stage, time, direction);
        let answer = stage.network.ask("liar", "one", endpoint);
        assert_eq!(answer.status(), 404);
        assert_eq!(body(&answer)["errcode"], "M_NOT_FOUND");
    }
}

/// TIMESTAMP-1, XMTX-11: only a server that is in the room and not denied by it may ask, and it
/// must say what.
#[test]
fn timestamp_1_the_question_passes_the_gate() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let path = |query: &str| {
        let room_id = stage.room_id.as_str().replace('!', "%21");
        format!("/_matrix/federation/v1/timestamp_to_event/{room_id}{query}")
    };
    let targets = ["", "?ts=1", "?dir=f", "?ts=1&dir=up", "?ts=soon&dir=f"].map(path);
    for target in targets {
        let request = http::Request::builder()
            .method(Method::GET)
            .uri(&target)
            .body(bytes::Bytes::new())
            .unwrap();
        let answer = stage.network.ask_with("liar", "one", request);
        assert_eq!(answer.status(), 400, "{target}");
    }
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    let endpoint = endpoint(&stage, WallTime(0), Forward);
    let answer = stage.network.ask("liar", "one", endpoint);
    assert_eq!(answer.status(), 403);
    drop(forger);
}

/// TIMESTAMP-1, PDU-35: what the asker may not see is not near.
#[test]
fn timestamp_1_nobody_learns_of_what_was_said_before_they_may_see() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::DEFAULT, Preset::Public));
    let content = json!({ "history_visibility": "joined" });
    stage
        .set("one", "m.room.history_visibility", content)
        .unwrap();
    let early = say(&mut stage, &["early"]);
    let forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    let time = early[0].0;
    let forward = endpoint(&stage, time, Forward);
    let found = body(&stage.network.ask("liar", "one", forward));
    assert_eq!(found["event_id"], forger.last.event_id().as_str());
}

/// TIMESTAMP-2: a server whose history begins later asks the others and takes in what they found.
#[test]
fn timestamp_2_others_are_asked_for_times_before_our_history() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    let said = say(&mut stage, &["first", "second"]);
    stage.pass_seconds(1);
    stage.join("two").unwrap();
    stage.network.settle();
    for (direction, time, expected) in [
        (Forward, later(said[0].0), &said[1].1),
        (Backward, later(said[0].0), &said[0].1),
    ] {
        let found = find(&mut stage, "two", time, direction);
        assert_eq!(found, Ok(Reply::Event(expected.clone())));
        let held = stage.held("two", expected).unwrap();
        assert!(held.is_outlier() && held.position.is_none());
    }
    let nobody = find(&mut stage, "two", WallTime(0), Backward);
    assert!(
        matches!(nobody, Err(CommandError::NotFound(_))),
        "{nobody:?}"
    );
}

/// TIMESTAMP-2: what is in our history is not asked of anybody.
#[test]
fn timestamp_2_our_own_history_is_enough_where_it_goes_back_far_enough() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let said = say(&mut stage, &["first"]);
    stage.network.settle();
    stage.network.set_cut("one", "two", true);
    let found = find(&mut stage, "two", said[0].0, Forward);
    assert_eq!(found, Ok(Reply::Event(said[0].1.clone())));
}

/// TIMESTAMP-2: an answer that is no nearer, on the wrong side, or of an event of another time than
/// it claims, is of no use.
/// EVENT-2.
#[test]
fn timestamp_2_a_liar_cannot_give_a_worse_event_than_ours() {
    let mut stage = Stage::with(&["one", "two"], room(RoomVersion::DEFAULT, Preset::Public));
    let mut forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.pass_seconds(1);
    stage.join("two").unwrap();
    stage.network.settle();
    let ours = stage.timeline("two")[0].clone();
    let time = WallTime::of_event(&ours.pdu).minus(Duration::from_millis(500));
    stage.network.set_cut("one", "two", true);
    let late = forger.message("much later");
    let lies = [
        (late.event_id().to_string(), late.origin_server_ts()),
        (late.event_id().to_string(), time.to_i64()),
        (late.event_id().to_string(), 0),
        ("$nothing".to_owned(), time.to_i64()),
    ];
    forger.last = late.clone();
    for (event_id, sent) in lies {
        let event: Pdu = late.clone();
        stage.network.liar("liar").says(move |target, _| {
            let found = json!({ "event_id": event_id, "origin_server_ts": sent });
            match target.contains("timestamp_to_event") {
                true => (200, found),
                false => (200, json!({ "pdus": [event.object()] })),
            }
        });
        let found = find(&mut stage, "two", time, Forward);
        assert_eq!(found, Ok(Reply::Event(ours.pdu.event_id().to_owned())));
    }
}
