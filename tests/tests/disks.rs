//! Servers whose disks are slow, fail, or lose what was under way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{collections::BTreeSet, time::Duration};

use comity_core::{
    Action, Config, Federation, Input, Now,
    input::{CommandId, QueryId},
    messaging::{
        command::{Command, CreateRoom, Reply, SendEvent},
        settings::Settings,
    },
    pdu::signing::SigningKey,
    persistence::queries::{Answer, Direction, Query, Read, StoreError},
};
use comity_store::Store;
use comity_tests::simulation::Network;
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde_json::{Map, json};

fn ann() -> OwnedUserId {
    "@ann:one".try_into().unwrap()
}

fn create() -> Command {
    Command::CreateRoom(Box::new(CreateRoom::new(ann())))
}

fn message(room_id: &OwnedRoomId, body: &str) -> Command {
    Command::Send(Box::new(SendEvent {
        sender: ann(),
        room_id: room_id.clone(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: Map::from_iter([("body".to_owned(), json!(body))]),
        once: None,
    }))
}

/// What the core wants once every question of its is answered, but for commits.
fn actions(core: &mut Federation, store: &mut Store) -> (Vec<QueryId>, Vec<Action>) {
    let (mut commits, mut others) = (Vec::new(), Vec::new());
    while let Some(action) = core.next_action() {
        match action {
            Action::Query(id, Query::Commit(_)) => commits.push(id),
            Action::Query(id, query) => {
                core.handle(Now::default(), Input::Answer(id, store.run(&query)));
            }
            Action::Compute(id, work) => {
                core.handle(Now::default(), Input::Computed(id, work.run()));
            }
            other => others.push(other),
        }
    }
    (commits, others)
}

#[test]
fn after_a_failed_commit_nothing_leaves_whatever_later_commits_do() {
    let mut store = Store::in_memory().unwrap();
    let mut core = Federation::new(Config {
        server_name: "one".try_into().unwrap(),
        signing_key: SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap().into(),
        seed: [1; 32],
        settings: Settings::default(),
        keys: Default::default(),
        delegates_to: None,
    });
    core.handle(Now::default(), Input::Command(CommandId(1), create()));
    core.handle(Now::default(), Input::Command(CommandId(2), create()));
    let (commits, others) = actions(&mut core, &mut store);
    assert!(others.is_empty(), "{others:?}");
    let [first, later @ ..] = commits.as_slice() else {
        panic!("a room is several batches: {commits:?}")
    };
    let full = StoreError::Failed("the disk is full".to_owned());
    core.handle(Now::default(), Input::Answer(*first, Err(full)));
    for commit in later {
        core.handle(
            Now::default(),
            Input::Answer(*commit, Ok(Answer::Committed)),
        );
    }
    core.handle(Now::default(), Input::Command(CommandId(3), create()));
    let (commits, others) = actions(&mut core, &mut store);
    assert!(matches!(others[..], [Action::Halt(_)]), "{others:?}");
    assert!(commits.is_empty());
}

/// What is shown of a room on server `one`.
fn said(network: &mut Network, room_id: &OwnedRoomId) -> BTreeSet<String> {
    let read = Read::Timeline {
        room_id: room_id.clone(),
        from: None,
        to: None,
        direction: Direction::Forward,
        limit: 1_000,
    };
    let Answer::Events(events) = network.server("one").read(read) else {
        panic!("not an answer in events")
    };
    let content = events.iter().map(|event| event.pdu.content());
    let bodies = content.filter_map(|content| Some(content.get("body")?.as_str()?.to_owned()));
    bodies.collect()
}

/// Ann talks while her server's disk takes up to a second for a query; then `mishap` befalls it.
/// Says what she was told is sent, and what is there after the next start.
fn talk(mishap: impl Fn(&mut Network)) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut network = Network::of(&["one"]);
    let Ok(Reply::Room(room_id)) = network.run("one", create()) else {
        panic!("no room")
    };
    let slowness = Duration::from_secs(1);
    network.server("one").disk.set_slowness(slowness);
    let sent: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let send = |body: &String| network.start_command("one", message(&room_id, body));
    let ids: Vec<_> = sent.iter().map(send).collect();
    network.pass(Duration::from_secs(5));
    mishap(&mut network);
    let told = sent.into_iter().zip(ids);
    let told = told.filter(|(_, id)| matches!(network.server("one").finished(*id), Some(Ok(_))));
    let told = told.map(|(body, _)| body).collect();
    if network.server("one").is_up() {
        network.crash("one");
    }
    network.start("one");
    network.settle();
    (told, said(&mut network, &room_id))
}

#[test]
fn a_slow_disk_loses_nothing_that_it_acknowledged_when_its_server_crashes() {
    let (told, there) = talk(|network| network.crash("one"));
    assert!(!told.is_empty() && told.len() < 20, "{told:?}");
    assert!(there.is_superset(&told), "{there:?}");
}

#[test]
fn what_a_failing_disk_did_not_take_was_not_acknowledged() {
    let (told, there) = talk(|network| {
        network.server("one").disk.fail_commit(2);
        network.pass(Duration::from_secs(60));
        assert!(!network.server("one").is_up(), "a failed commit stops it");
    });
    assert!(there.is_superset(&told) && told.len() < 20, "{told:?}");
    assert!(!told.is_empty());
}
