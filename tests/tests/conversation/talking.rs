//! Messages and state among servers that all work.

use std::time::Duration;

use comity_core::{
    messaging::{
        command::{Command, CreateRoom, Preset, Reply, SendEvent},
        notice::{Question, Told},
    },
    pdu::RoomVersion,
    persistence::queries::{Answer, Read},
};
use comity_tests::simulation::Network;
use serde_json::json;

use crate::stage::{Stage, VERSIONS, forbidden, noticed, room, sent, text, texts, user};

#[test]
fn three_servers_talk_in_one_room_of_every_version() {
    for version in RoomVersion::SUPPORTED {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::of(&servers, *version);
        let mut said = Vec::new();
        for round in 0..5 {
            for server in servers {
                let text = format!("{round} from {server}");
                stage.say(server, &text);
                stage.network.settle();
                said.push(text);
            }
        }
        stage.must_agree(&servers);
        for server in servers {
            assert_eq!(
                noticed(&mut stage.network, server),
                said,
                "{server} in version {version}"
            );
            assert_eq!(stage.said(server), said, "{server} in version {version}");
            assert_eq!(stage.summary(server).extremities.len(), 1);
        }
    }
}

#[test]
fn rooms_that_a_user_makes_alike_at_the_same_moment_are_different_rooms() {
    for version in RoomVersion::SUPPORTED {
        let mut network = Network::of(&["one"]);
        let command = Command::CreateRoom(Box::new(CreateRoom {
            version: Some(*version),
            ..CreateRoom::new(user("one"))
        }));
        let ids = [(); 3].map(|()| network.start_command("one", command.clone()));
        network.settle();
        let made = ids.map(|id| network.server("one").finished(id).unwrap().unwrap());
        for (index, room) in made.iter().enumerate() {
            assert!(
                !made[..index].contains(room),
                "in version {version}: {made:?}"
            );
        }
    }
}

/// How many events each transaction to a server held.
fn batches(stage: &Stage, to: &str) -> Vec<usize> {
    let transactions = stage
        .network
        .traffic
        .iter()
        .filter(|sent| sent.to == to && sent.line.contains("/send/"));
    transactions
        .map(|sent| {
            let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
            body["pdus"].as_array().unwrap().len()
        })
        .collect()
}

#[test]
fn txn_3_what_is_sent_while_a_transaction_is_in_flight_goes_in_few_large_ones() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let before = batches(&stage, "two").len();
    for number in 0..121 {
        let command = stage.message("one", &number.to_string());
        stage.network.start_command("one", command);
    }
    stage.must_agree(&["one", "two"]);
    assert_eq!(batches(&stage, "two")[before..], [1, 50, 50, 20]);
    assert_eq!(noticed(&mut stage.network, "two"), texts(0..121));
}

/// PDU-23.
#[test]
fn state_shows_on_the_other_side_in_every_version() {
    for version in RoomVersion::SUPPORTED {
        let mut stage = Stage::of(&["one", "two"], *version);
        let topic = json!({ "topic": format!("version {version}") });
        stage.set("one", "m.room.topic", topic.clone()).unwrap();
        stage.must_agree(&["one", "two"]);
        assert_eq!(stage.state("two", "m.room.topic", ""), Some(topic));
    }
}

/// PDU-24.
#[test]
fn a_denied_change_says_which_level_is_wanted_and_is_sent_to_nobody() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let sent = stage.network.traffic.len();
    let reason = forbidden(stage.set("two", "m.room.topic", json!({ "topic": "mine" })));
    assert!(reason.contains("50"), "{reason}");
    stage.must_agree(&["one", "two"]);
    assert_eq!(stage.network.traffic.len(), sent);
}

#[test]
fn pdu_27_a_redaction_by_author_or_moderator_strips_everywhere_and_a_strangers_does_not() {
    for version in RoomVersion::SUPPORTED {
        let servers = ["one", "two", "three"];
        let mut stage = Stage::of(&servers, *version);
        let by_author = stage.say("two", "regretted");
        let by_moderator = stage.say("two", "rude");
        let by_stranger = stage.say("two", "fine");
        stage.network.settle();
        sent(stage.redact("two", &by_author));
        sent(stage.redact("one", &by_moderator));
        let _ = stage.redact("three", &by_stranger);
        stage.must_agree(&servers);
        for server in servers {
            let mut shows = |id| text(&stage.held(server, id).unwrap().pdu);
            assert_eq!(shows(&by_author), None, "{server} in version {version}");
            assert_eq!(shows(&by_moderator), None, "{server} in version {version}");
            assert_eq!(
                shows(&by_stranger).as_deref(),
                Some("fine"),
                "{server} in {version}"
            );
        }
    }
}

fn once(stage: &Stage, text: &str, key: &str) -> Command {
    match stage.message("one", text) {
        Command::Send(send) => Command::Send(Box::new(SendEvent {
            once: Some(key.to_owned()),
            ..*send
        })),
        other => other,
    }
}

#[test]
fn a_command_with_a_key_has_its_effect_once_also_across_a_crash() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let command = once(&stage, "pay", "order 7");
    let first = sent(stage.network.run("one", command.clone()));
    stage.network.crash("one");
    stage.network.start("one");
    assert_eq!(sent(stage.network.run("one", command.clone())), first);
    let other = once(&stage, "pay", "order 8");
    let at_once = [
        stage.network.start_command("one", other.clone()),
        stage.network.start_command("one", other),
    ];
    stage.must_agree(&["one", "two"]);
    let ids = at_once.map(|id| sent(stage.network.server("one").finished(id).unwrap()));
    assert_eq!(ids[0], ids[1]);
    assert_eq!(stage.said("two"), ["pay", "pay"]);
}

#[test]
fn backfill_4_history_from_before_the_join_comes_in_order_back_to_the_rooms_creation() {
    for version in VERSIONS {
        let mut stage = Stage::with(&["one", "two"], room(version, Preset::Public));
        for number in 0..30 {
            stage.say("one", &number.to_string());
        }
        stage.join("two").unwrap();
        stage.say("one", "after");
        stage.network.settle();
        assert_eq!(stage.said("two"), ["after"]);
        let mut rounds = 0;
        while stage.backfill("two", 10) > 0 {
            rounds += 1;
            assert!(rounds < 10, "history has no end");
        }
        let ids = |events: Vec<std::sync::Arc<_>>| -> Vec<_> {
            let id = |event: &std::sync::Arc<comity_core::persistence::tables::StoredEvent>| {
                event.pdu.event_id().to_owned()
            };
            events.iter().map(id).collect()
        };
        let (here, there) = (stage.timeline("two"), stage.timeline("one"));
        assert_eq!(here[0].pdu.event_type(), "m.room.create");
        assert_eq!(ids(here), ids(there), "version {version}");
        assert_eq!(noticed(&mut stage.network, "two"), ["after"]);
        stage.must_agree(&["one", "two"]);
    }
}

#[test]
fn query_1_an_alias_is_looked_up_at_its_server() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let alias: ruma_common::OwnedRoomAliasId = "#garden:one".try_into().unwrap();
    let told = Told::Directory {
        room_id: stage.room_id.clone(),
        servers: vec!["one".try_into().unwrap(), "two".try_into().unwrap()],
    };
    stage
        .network
        .server("one")
        .knows(Question::Directory(alias.clone()), told);
    let known = Reply::Directory {
        room_id: stage.room_id.clone(),
        servers: vec!["one".try_into().unwrap(), "two".try_into().unwrap()],
    };
    for server in ["one", "two"] {
        let found = stage
            .network
            .run(server, Command::ResolveAlias(alias.clone()));
        assert_eq!(found.unwrap(), known);
        let unknown = Command::ResolveAlias("#shed:one".try_into().unwrap());
        let error = stage.network.run(server, unknown).unwrap_err().to_string();
        assert!(
            error.contains("not known") || error.contains("M_NOT_FOUND"),
            "{error}"
        );
    }
}

#[test]
fn query_2_a_profile_is_asked_of_the_users_server() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let fields = [("displayname".to_owned(), json!("Ann"))];
    stage.network.server("one").knows(
        Question::Profile(user("one")),
        Told::Profile(fields.clone().into()),
    );
    for server in ["one", "two"] {
        let shown = stage.network.run(server, Command::Profile(user("one")));
        assert_eq!(
            shown.unwrap(),
            Reply::Profile(fields.clone().into_iter().collect())
        );
        let nobody = Command::Profile("@nobody:one".try_into().unwrap());
        stage.network.run(server, nobody).unwrap_err();
    }
}

#[test]
fn txn_7_the_answers_to_transactions_are_kept_for_a_month() {
    const DAY: u64 = 24 * 60 * 60;
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let kept = |stage: &mut Stage| match stage.network.server("two").read(Read::Counts) {
        Answer::Counts(counts) => counts.received_transactions,
        other => panic!("{other:?}"),
    };
    for number in 0..10 {
        stage.say("one", &number.to_string());
        stage.network.settle();
    }
    let at_first = kept(&mut stage);
    assert!(at_first >= 10);
    stage.pass_seconds(30 * DAY);
    stage.say("one", "still there");
    stage.network.settle();
    assert_eq!(kept(&mut stage), at_first + 1);
    stage.pass_seconds(2 * DAY);
    stage.say("one", "gone");
    stage.network.settle();
    assert_eq!(kept(&mut stage), 2);
}

#[test]
fn what_two_users_say_at_once_is_shown_to_both_in_causal_order() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    for number in 0..20 {
        for server in ["one", "two"] {
            let command = stage.message(server, &format!("{server} {number}"));
            stage.network.start_command(server, command);
        }
        stage.network.pass(Duration::from_millis(30));
    }
    stage.must_agree(&["one", "two"]);
    assert_eq!(stage.said("one").len(), 40);
    assert_eq!(stage.said("two").len(), 40);
}
