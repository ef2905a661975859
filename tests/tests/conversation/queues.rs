//! What waits for a server that is not there, for minutes or for weeks.

use std::{collections::BTreeSet, time::Duration};

use comity_core::{
    messaging::{
        command::{Command, EduAudience, Reply},
        notice::Notice,
        settings::{QueueLimits, Settings},
    },
    pdu::RoomVersion,
};
use serde_json::{Value, json};

use crate::stage::{Stage, noticed, object, texts};

const DAY: u64 = 24 * 60 * 60;

fn edu(stage: &mut Stage, from: &str, to: EduAudience, edu_type: &str, content: Value) {
    let command = Command::SendEdu {
        to,
        edu_type: edu_type.to_owned(),
        content: object(content),
    };
    assert_eq!(stage.network.run(from, command), Ok(Reply::Queued));
}

/// A message from a device of Ann's to all of Bob's.
fn to_device(stage: &mut Stage, message_id: &str) {
    let content = json!({
        "sender": "@ann:one",
        "type": "m.room_key",
        "message_id": message_id,
        "messages": { "@bob:two": { "*": {} } },
    });
    let servers = BTreeSet::from(["two".try_into().unwrap()]);
    edu(
        stage,
        "one",
        EduAudience::Servers(servers),
        "m.direct_to_device",
        content,
    );
}

fn typing(stage: &mut Stage, typing: bool) {
    let room = stage.room_id.clone();
    let content = json!({ "room_id": room, "user_id": "@ann:one", "typing": typing });
    edu(stage, "one", EduAudience::Room(room), "m.typing", content);
}

/// The ephemeral messages of a type that a server's application was shown.
fn shown(stage: &mut Stage, server: &str, wanted: &str) -> Vec<Value> {
    let notices = stage.network.server(server).notices.iter();
    let content = |notice: &Notice| match notice {
        Notice::Edu {
            edu_type, content, ..
        } if edu_type == wanted => Some(Value::Object(content.clone())),
        _ => None,
    };
    notices.filter_map(content).collect()
}

/// The bodies of the transactions from server `one`.
fn bodies(stage: &Stage, to: &str) -> Vec<Value> {
    let sent = stage.network.traffic.iter();
    sent.filter(|sent| sent.from == "one" && sent.to == to && sent.line.contains("/send/"))
        .map(|sent| serde_json::from_slice(&sent.body).unwrap())
        .collect()
}

fn events_of(body: &Value) -> &Vec<Value> {
    body["pdus"].as_array().unwrap()
}

/// EDU-4, TXN-18: through crashes of both sides and two days of silence.
#[test]
fn edu_4_messages_between_devices_arrive_once_and_in_order_whatever_happens() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    for number in 0..3 {
        to_device(&mut stage, &format!("m{number}"));
        stage.pass_seconds(DAY / 2);
        stage.network.crash("one");
        stage.network.start("one");
    }
    stage.network.start("two");
    stage.network.lose_response("two", "/v1/send/");
    stage.pass_seconds(2 * DAY);
    stage.must_agree(&["one", "two"]);
    let ids: Vec<_> = shown(&mut stage, "two", "m.direct_to_device")
        .iter()
        .map(|content| content["message_id"].clone())
        .collect();
    assert_eq!(ids, ["m0", "m1", "m2"]);
}

#[test]
fn a_message_between_devices_is_on_disk_when_the_command_is_answered() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.set_cut("one", "two", true);
    to_device(&mut stage, "m0");
    stage.network.crash("one");
    stage.network.set_cut("one", "two", false);
    stage.network.start("one");
    stage.pass_seconds(DAY);
    assert_eq!(shown(&mut stage, "two", "m.direct_to_device").len(), 1);
}

/// TXN-3: a transaction that is sent again holds the same ephemeral messages, and no newer ones.
#[test]
fn txn_3_a_repeated_transaction_says_the_same_of_the_moment() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let before = bodies(&stage, "two").len();
    stage.network.lose_response("two", "/v1/send/");
    typing(&mut stage, true);
    stage.say("one", "hello");
    stage.pass_seconds(1);
    typing(&mut stage, false);
    stage.must_agree(&["one", "two"]);
    let sent = bodies(&stage, "two").split_off(before);
    assert_eq!(sent[0], sent[1]);
    let shown = shown(&mut stage, "two", "m.typing");
    let shown: Vec<_> = shown.iter().map(|content| &content["typing"]).collect();
    assert_eq!(shown, [true, false]);
}

/// EDU-1, TXN-18
#[test]
fn only_the_last_word_of_a_short_silence_is_heard_and_none_of_a_long_one() {
    for (silence, heard) in [(20, vec![json!(false)]), (DAY, vec![])] {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        stage.network.crash("two");
        stage.say("one", "are you there?");
        stage.pass_seconds(10);
        for is_typing in [true, false, true, false] {
            typing(&mut stage, is_typing);
        }
        stage.pass_seconds(silence);
        stage.network.start("two");
        stage.pass_seconds(DAY);
        stage.must_agree(&["one", "two"]);
        assert_eq!(stage.said("two"), ["are you there?"]);
        let shown = shown(&mut stage, "two", "m.typing");
        let shown: Vec<_> = shown.iter().map(|it| it["typing"].clone()).collect();
        assert_eq!(shown, heard, "after {silence} seconds");
    }
}

/// TXN-18: not only the newest event of each room, as others do, but all, the oldest first.
#[test]
fn txn_18_after_two_weeks_every_event_arrives_in_order_and_nothing_has_to_be_asked_for() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    for number in 0..700 {
        stage.say("one", &number.to_string());
        stage.pass_seconds(14 * DAY / 700);
        if number % 100 == 50 {
            stage.network.crash("one");
            stage.network.start("one");
        }
    }
    let before = bodies(&stage, "two").len();
    stage.network.start("two");
    stage.pass_seconds(DAY);
    stage.must_agree(&["one", "two"]);
    assert_eq!(noticed(&mut stage.network, "two"), texts(0..700));
    let transactions = bodies(&stage, "two").len() - before;
    assert_eq!(
        transactions,
        1 + 699_usize.div_ceil(50),
        "the first was begun"
    );
    let asked = |sent: &&comity_tests::simulation::Sent| sent.line.contains("missing_events");
    assert_eq!(stage.network.traffic.iter().filter(asked).count(), 0);
}

#[test]
fn txn_18_what_exceeds_the_depth_is_given_up_told_and_can_still_be_had() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let queues = QueueLimits {
        depth: 60,
        ..QueueLimits::default()
    };
    stage.network.crash("one");
    stage.network.server("one").settings = Settings {
        queues,
        ..Settings::default()
    };
    stage.network.start("one");
    stage.network.crash("two");
    for number in 0..100 {
        stage.say("one", &number.to_string());
        stage.pass_seconds(300);
    }
    stage.network.start("two");
    stage.pass_seconds(DAY);
    stage.must_agree(&["one", "two"]);
    let given_up = |notice: &Notice| match notice {
        Notice::GivenUp { events, .. } => Some(*events),
        _ => None,
    };
    let notices = stage.network.server("one").notices.iter();
    let given_up: u64 = notices.filter_map(given_up).sum();
    assert_eq!(given_up, 100 - 60 - 1, "the first was begun");
    assert_eq!(noticed(&mut stage.network, "two"), texts(0..100));
}

/// TXN-15: what a server that left is still sent is what it saw; nothing later wakes it.
#[test]
fn txn_15_a_server_that_left_while_it_was_down_gets_what_it_was_there_for_and_nothing_else() {
    let mut stage = Stage::of(&["one", "two", "three"], RoomVersion::DEFAULT);
    stage.network.crash("three");
    stage.say("one", "before");
    stage.set_member("one", "@cyd:three", "leave").unwrap();
    for number in 0..5 {
        stage.say("one", &number.to_string());
        stage.pass_seconds(60 * 60);
    }
    stage.network.start("three");
    stage.pass_seconds(DAY);
    let delivered = bodies(&stage, "three");
    let last = events_of(delivered.last().unwrap());
    assert_eq!(last.len(), 1);
    assert_eq!(last[0]["content"]["membership"], "leave");
    assert_eq!(stage.said("three"), ["before"]);
    stage.say("one", "after");
    stage.pass_seconds(DAY);
    assert_eq!(bodies(&stage, "three").len(), delivered.len());
    stage.must_agree(&["one", "two"]);
}

/// XMTX-12, and an operator who knows better.
#[test]
fn a_pause_of_hours_ends_when_the_server_speaks_or_the_operator_says_so() {
    for is_told in [false, true] {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        stage.network.crash("two");
        stage.say("one", "hello");
        stage.pass_seconds(DAY);
        stage.network.start("two");
        stage.network.pass(Duration::from_secs(10));
        assert_eq!(stage.said("two"), [""; 0]);
        if is_told {
            let two = "two".try_into().unwrap();
            let retry = Command::Retry(Some(two));
            assert_eq!(
                stage.network.run("one", retry.clone()),
                Ok(Reply::Retrying(1))
            );
            assert_eq!(stage.network.run("one", retry), Ok(Reply::Retrying(0)));
        } else {
            stage.say("two", "I am back");
        }
        stage.network.pass(Duration::from_secs(2));
        assert!(stage.said("two").contains(&"hello".to_owned()));
    }
}

/// The operator may also mean everybody.
#[test]
fn all_pauses_end_at_once() {
    let mut stage = Stage::of(&["one", "two", "three"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    stage.network.crash("three");
    stage.say("one", "hello");
    stage.pass_seconds(DAY);
    stage.network.start("two");
    stage.network.start("three");
    let reply = stage.network.run("one", Command::Retry(None));
    assert_eq!(reply, Ok(Reply::Retrying(2)));
    stage.network.pass(Duration::from_secs(2));
    assert_eq!(stage.said("two"), ["hello"]);
    assert_eq!(stage.said("three"), ["hello"]);
}
