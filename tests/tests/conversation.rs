//! Servers hold conversations: what users do on one shows on the others, whatever fails between.

use std::time::Duration;

use comity_core::{
    messaging::{
        command::{Command, CreateRoom, Preset, Reply, SendEvent},
        notice::Notice,
    },
    pdu::RoomVersion,
};
use comity_tests::simulation::Network;
use ruma_common::OwnedRoomId;
use serde_json::{Map, json};

fn create(version: RoomVersion, preset: Preset) -> Command {
    Command::CreateRoom(Box::new(CreateRoom {
        creator: "@ann:one".try_into().unwrap(),
        version: Some(version),
        preset,
        creation_content: Map::new(),
        power_levels: Map::new(),
        creator_content: Map::new(),
        alias: None,
        initial_state: Vec::new(),
        name: Some("Garden".to_owned()),
        topic: None,
    }))
}

fn say(sender: &str, room_id: &OwnedRoomId, text: &str) -> Command {
    let content = json!({ "msgtype": "m.text", "body": text });
    Command::Send(Box::new(SendEvent {
        sender: sender.try_into().unwrap(),
        room_id: room_id.clone(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: content.as_object().unwrap().clone(),
        once: None,
    }))
}

fn join(user: &str, room_id: &OwnedRoomId) -> Command {
    Command::Join {
        user_id: user.try_into().unwrap(),
        room_id: room_id.clone(),
        via: vec!["one".try_into().unwrap()],
        content: Map::new(),
    }
}

fn new_room(network: &mut Network, version: RoomVersion, preset: Preset) -> OwnedRoomId {
    match network.run("one", create(version, preset)) {
        Ok(Reply::Room(room_id)) => room_id,
        other => panic!("{other:?}"),
    }
}

/// The texts that a server's application was shown, in order.
fn seen(network: &mut Network, name: &str) -> Vec<String> {
    let notices = &network.server(name).notices;
    let text = |notice: &Notice| match notice {
        Notice::Event(event) => Some(event.pdu.content().get("body")?.as_str()?.to_owned()),
        _ => None,
    };
    notices.iter().filter_map(text).collect()
}

fn digest(network: &mut Network, name: &str, room_id: &OwnedRoomId) -> (String, usize) {
    match network.run(name, Command::RoomSummary(room_id.clone())) {
        Ok(Reply::RoomSummary(summary)) => (summary.state_digest, summary.extremities.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_servers_talk_in_one_room_of_every_version() {
    for version in RoomVersion::SUPPORTED {
        let mut network = Network::of(&["one", "two", "three"]);
        let room_id = new_room(&mut network, *version, Preset::Public);
        network.run("two", join("@bob:two", &room_id)).unwrap();
        network.run("three", join("@cyd:three", &room_id)).unwrap();
        let mut said = Vec::new();
        for round in 0..5 {
            for (name, user) in [
                ("one", "@ann:one"),
                ("two", "@bob:two"),
                ("three", "@cyd:three"),
            ] {
                let text = format!("{round} from {user}");
                network.run(name, say(user, &room_id, &text)).unwrap();
                network.settle();
                said.push(text);
            }
        }
        for name in ["one", "two", "three"] {
            assert_eq!(
                seen(&mut network, name),
                said,
                "{name} in version {version}"
            );
        }
        let digests: Vec<_> = ["one", "two", "three"]
            .map(|name| digest(&mut network, name, &room_id))
            .into();
        assert!(
            digests
                .iter()
                .all(|digest| *digest == digests[0] && digest.1 == 1),
            "{digests:?}"
        );
    }
}

#[test]
fn a_server_that_was_down_catches_up_in_order() {
    let mut network = Network::of(&["one", "two", "three"]);
    let room_id = new_room(&mut network, RoomVersion::DEFAULT, Preset::Public);
    network.run("two", join("@bob:two", &room_id)).unwrap();
    network.run("three", join("@cyd:three", &room_id)).unwrap();
    network.settle();
    network.server("three").crash();
    let mut said = Vec::new();
    for number in 0..120 {
        let (name, user) = [("one", "@ann:one"), ("two", "@bob:two")][number % 2];
        let text = format!("{number}");
        network.run(name, say(user, &room_id, &text)).unwrap();
        network.pass(Duration::from_millis(70));
        said.push(text);
    }
    network.start("three");
    network.settle();
    assert_eq!(seen(&mut network, "three"), said);
    assert_eq!(
        digest(&mut network, "three", &room_id),
        digest(&mut network, "one", &room_id)
    );
}

#[test]
fn both_sides_of_a_partition_merge_afterwards() {
    let mut network = Network::of(&["one", "two"]);
    let room_id = new_room(&mut network, RoomVersion::DEFAULT, Preset::Public);
    network.run("two", join("@bob:two", &room_id)).unwrap();
    network.settle();
    network.set_cut("one", "two", true);
    for number in 0..10 {
        network
            .run("one", say("@ann:one", &room_id, &format!("ann {number}")))
            .unwrap();
        network
            .run("two", say("@bob:two", &room_id, &format!("bob {number}")))
            .unwrap();
        network.pass(Duration::from_secs(5));
    }
    network.set_cut("one", "two", false);
    network.settle();
    network
        .run("one", say("@ann:one", &room_id, "together"))
        .unwrap();
    network.settle();
    let mut seen_by_one = seen(&mut network, "one");
    let mut seen_by_two = seen(&mut network, "two");
    assert_eq!(seen_by_one.len(), 21);
    assert_eq!(seen_by_one.last(), seen_by_two.last());
    seen_by_one.sort();
    seen_by_two.sort();
    assert_eq!(seen_by_one, seen_by_two);
    assert_eq!(
        digest(&mut network, "one", &room_id),
        digest(&mut network, "two", &room_id)
    );
}
