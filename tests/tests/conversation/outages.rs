//! Servers that crash, wires that are cut, answers that are lost.

use std::time::Duration;

use comity_core::{
    messaging::{
        command::{Command, EduAudience},
        notice::Notice,
    },
    pdu::RoomVersion,
};
use serde_json::json;

use crate::stage::{Stage, noticed, object, texts};

/// TXN-10.
#[test]
fn a_server_that_was_down_catches_up_in_order() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::of(&servers, RoomVersion::DEFAULT);
    stage.network.crash("three");
    for number in 0..120 {
        let server = ["one", "two"][number % 2];
        stage.say(server, &number.to_string());
        stage.network.pass(Duration::from_millis(70));
    }
    stage.network.start("three");
    stage.must_agree(&servers);
    assert_eq!(noticed(&mut stage.network, "three"), texts(0..120));
}

#[test]
fn both_sides_of_a_partition_merge_afterwards() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.set_cut("one", "two", true);
    for number in 0..10 {
        stage.say("one", &format!("ann {number}"));
        stage.say("two", &format!("bob {number}"));
        stage.pass_seconds(5);
    }
    stage.network.set_cut("one", "two", false);
    stage.network.settle();
    stage.say("one", "together");
    stage.must_agree(&["one", "two"]);
    let (mut one, mut two) = (stage.said("one"), stage.said("two"));
    assert_eq!(one.len(), 21);
    assert_eq!(one.last(), two.last());
    one.sort();
    two.sort();
    assert_eq!(one, two);
    assert_eq!(stage.summary("one").extremities.len(), 1);
}

/// The sender, or the receiver, crashes after so many steps of a conversation and comes back.
fn crash_in_conversation(who: &str, steps: usize) {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let command = |stage: &Stage, number: usize| stage.message("one", &number.to_string());
    let mut accepted = Vec::new();
    for number in 0..3 {
        let id = stage.network.start_command("one", command(&stage, number));
        accepted.push((number, stage.network.server("one").finished(id)));
    }
    for _ in 0..steps {
        stage.network.step();
    }
    stage.network.crash(who);
    stage.pass_seconds(30);
    stage.network.start(who);
    stage.say("one", "last");
    stage.must_agree(&["one", "two"]);
    let mut said: Vec<String> = texts(accepted.into_iter().map(|(number, _)| number));
    said.push("last".to_owned());
    assert_eq!(stage.said("one"), said, "after {steps} steps");
    assert_eq!(stage.said("two"), said, "{who} crashed after {steps} steps");
}

/// TXN-2: an id that was used before would be taken for a repetition.
#[test]
fn a_crash_of_the_sender_at_any_step_loses_nothing_and_repeats_nothing() {
    for steps in 0..25 {
        crash_in_conversation("one", steps);
    }
}

#[test]
fn a_crash_of_the_receiver_at_any_step_loses_nothing_and_repeats_nothing() {
    for steps in 0..25 {
        crash_in_conversation("two", steps);
    }
}

#[test]
fn a_crash_right_after_any_commit_loses_nothing_that_was_acknowledged() {
    for (who, commits) in (1..12).flat_map(|commits| [("one", commits), ("two", commits)]) {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        stage.network.server(who).crash_after(commits);
        let mut acknowledged = Vec::new();
        for number in 0..4 {
            if !stage.network.server("one").is_up() {
                break;
            }
            let command = stage.message("one", &number.to_string());
            let id = stage.network.start_command("one", command);
            stage.network.pass(Duration::from_millis(50));
            if let Some(Ok(_)) = stage.network.server("one").finished(id) {
                acknowledged.push(number.to_string());
            }
        }
        stage.network.crash(who);
        stage.network.start(who);
        stage.say("one", "last");
        stage.must_agree(&["one", "two"]);
        let said = stage.said("one");
        assert!(
            acknowledged.iter().all(|text| said.contains(text)),
            "{said:?}"
        );
        assert_eq!(
            stage.said("two"),
            said,
            "{who} crashed after {commits} commits"
        );
    }
}

/// The transactions from one server to another: path and body.
fn transactions(stage: &Stage, from: &str, to: &str) -> Vec<(String, bytes::Bytes)> {
    let sent = stage.network.traffic.iter();
    sent.filter(|sent| sent.from == from && sent.to == to && sent.line.contains("/send/"))
        .map(|sent| (sent.line.clone(), sent.body.clone()))
        .collect()
}

#[test]
fn txn_3_txn_7_a_lost_answer_makes_the_same_transaction_come_again_and_nothing_is_shown_twice() {
    for crash in [false, true] {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        let before = transactions(&stage, "one", "two").len();
        stage.network.lose_response("two", "/v1/send/");
        stage.say("one", "hello");
        stage.pass_seconds(10);
        assert_eq!(stage.said("two"), ["hello"]);
        if crash {
            stage.network.crash("two");
            stage.network.start("two");
        }
        stage.say("one", "again");
        stage.must_agree(&["one", "two"]);
        let sent = transactions(&stage, "one", "two").split_off(before);
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[0], sent[1]);
        assert_ne!(sent[1].0, sent[2].0);
        assert_eq!(noticed(&mut stage.network, "two"), ["hello", "again"]);
    }
}

#[test]
fn txn_3_a_sender_that_crashed_repeats_its_transaction_as_it_was() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let before = transactions(&stage, "one", "two").len();
    stage.network.lose_response("two", "/v1/send/");
    stage.say("one", "hello");
    stage.pass_seconds(1);
    stage.network.crash("one");
    stage.network.start("one");
    stage.must_agree(&["one", "two"]);
    let sent = transactions(&stage, "one", "two").split_off(before);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(noticed(&mut stage.network, "two"), ["hello"]);
}

#[test]
fn txn_17_a_server_that_is_down_for_a_day_is_asked_ever_more_rarely_and_caught_up() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    stage.network.crash("two");
    let before = transactions(&stage, "one", "two").len();
    for number in 0..24 {
        stage.say("one", &number.to_string());
        stage.pass_seconds(60 * 60);
    }
    let attempts = transactions(&stage, "one", "two").len() - before;
    assert!((16..24).contains(&attempts), "{attempts} attempts in a day");
    let down = |notice: &&Notice| matches!(notice, Notice::DestinationDown { .. });
    let notices = &stage.network.server("one").notices;
    assert_eq!(notices.iter().filter(down).count(), 1);
    stage.network.start("two");
    stage.pass_seconds(24 * 60 * 60);
    stage.must_agree(&["one", "two"]);
    assert_eq!(stage.said("two"), texts(0..24));
    let up = Notice::DestinationUp("two".try_into().unwrap());
    assert!(stage.network.server("one").notices.contains(&up));
}

#[test]
fn missing_3_a_hole_that_a_third_server_reveals_is_filled_in_order() {
    for version in crate::stage::VERSIONS {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::of(&servers, version);
        stage.network.set_cut("one", "three", true);
        for number in 0..130 {
            stage.say("one", &number.to_string());
        }
        stage.pass_seconds(60);
        assert_eq!(stage.said("three"), Vec::<String>::new());
        stage.say("two", "and I heard it all");
        stage.pass_seconds(60);
        let mut said = texts(0..130);
        said.push("and I heard it all".to_owned());
        assert_eq!(stage.said("three"), said, "version {version}");
        let asked = |sent: &&comity_tests::simulation::Sent| sent.line.contains("missing_events");
        assert_eq!(stage.network.traffic.iter().filter(asked).count(), 3);
        stage.network.set_cut("one", "three", false);
        stage.must_agree(&servers);
        assert_eq!(stage.said("three"), said);
    }
}

/// TXN-11: what is true for a moment is told once the answer to its transaction is on disk, so that
/// no repetition tells it again.
#[test]
fn txn_11_a_crash_of_the_receiver_makes_nothing_fleeting_be_told_twice() {
    for commits in 1..5 {
        let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
        stage.network.server("two").crash_after(commits);
        stage.say("one", "before");
        let typing = json!({ "room_id": stage.room_id, "user_id": "@ann:one", "typing": true });
        let command = Command::SendEdu {
            to: EduAudience::Room(stage.room_id.clone()),
            edu_type: "m.typing".to_owned(),
            content: object(typing),
        };
        stage.network.run("one", command).unwrap();
        stage.say("one", "after");
        stage.pass_seconds(10);
        stage.network.crash("two");
        stage.network.start("two");
        stage.network.settle();
        let notices = stage.network.server("two").notices.iter();
        let told = notices.filter(|notice| matches!(notice, Notice::Edu { .. }));
        assert!(told.count() <= 1, "after {commits} commits");
    }
}
