//! Who is asked for a room, and who sends what to whom (JOIN-1, TXN-14).

use comity_core::{
    messaging::{
        command::{Command, Preset, Reply},
        notice::{Question, Told},
    },
    pdu::RoomVersion,
};
use comity_tests::simulation::{Network, Sent};
use ruma_common::OwnedRoomAliasId;

use crate::stage::{Stage, room, user};

/// How many requests one server sent another with this in their line.
fn sent(network: &Network, from: &str, to: &str, part: &str) -> usize {
    let is_it = |sent: &&Sent| sent.from == from && sent.to == to && sent.line.contains(part);
    network.traffic.iter().filter(is_it).count()
}

/// JOIN-1: an alias is asked of its server, which says who is in the room; those are asked in turn.
#[test]
fn join_1_an_alias_leads_to_the_servers_that_let_in() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Public));
    let alias: OwnedRoomAliasId = "#garden:three".try_into().unwrap();
    let told = Told::Directory {
        room_id: stage.room_id.clone(),
        servers: vec!["three".try_into().unwrap(), "one".try_into().unwrap()],
    };
    let question = Question::Directory(alias.clone());
    stage.network.server("three").knows(question, told);
    let found = stage.network.run("two", Command::ResolveAlias(alias));
    let Ok(Reply::Directory { room_id, servers }) = found else {
        panic!("{found:?}");
    };
    let join = Command::Join {
        user_id: user("two"),
        room_id: room_id.clone(),
        via: servers,
        content: serde_json::Map::new(),
    };
    assert_eq!(stage.network.run("two", join), Ok(Reply::Room(room_id)));
    let network = &stage.network;
    assert_eq!(sent(network, "two", "three", "/query/directory"), 1);
    assert_eq!(sent(network, "two", "three", "/make_join/"), 1);
    assert_eq!(sent(network, "two", "one", "/make_join/"), 1);
    stage.must_agree(&["one", "two"]);
}

/// JOIN-1: who invited us can let us in, without our knowing anybody else in the room.
#[test]
fn join_1_the_server_of_who_invited_lets_in() {
    let servers = ["one", "two", "three"];
    let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Private));
    stage.invite("one", "@bob:two").unwrap();
    stage.join_via("two", &[]).unwrap();
    stage.must_agree(&["one", "two"]);
    stage.invite("two", "@cyd:three").unwrap();
    stage.network.settle();
    stage.join_via("three", &["gone"]).unwrap();
    assert_eq!(sent(&stage.network, "three", "two", "/make_join/"), 1);
    stage.must_agree(&servers);
}

/// JOIN-1: in a room that its server is in, a user joins without anybody's help.
#[test]
fn join_1_in_a_room_of_ours_nobody_is_asked() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let before = sent(&stage.network, "two", "one", "/make_join/");
    let other = "@ben:two".try_into().unwrap();
    stage.join_as("two", &other, &["one"]).unwrap();
    stage.must_agree(&["one", "two"]);
    assert_eq!(stage.membership("one", "@ben:two").as_deref(), Some("join"));
    assert_eq!(sent(&stage.network, "two", "one", "/make_join/"), before);
}

/// TXN-14: an event goes from its server to every other, and nobody passes it on; but who takes a
/// join for another sends it to the room.
#[test]
fn txn_14_who_made_an_event_sends_it_and_nobody_else_does() {
    let servers = ["one", "two", "three", "four"];
    let mut stage = Stage::of(&servers[..3], RoomVersion::DEFAULT);
    stage.network.add_server("four");
    stage.join_via("four", &["two"]).unwrap();
    let said = stage.say("four", "hello");
    stage.must_agree(&servers);
    let in_timeline = |event: &std::sync::Arc<comity_core::persistence::tables::StoredEvent>| {
        event.pdu.sender() == "@dan:four" && event.pdu.is_state()
    };
    let timeline = stage.timeline("four");
    let join = timeline.iter().find(|event| in_timeline(event)).unwrap();
    let join = join.pdu.event_id().to_owned();
    let pushed = |stage: &Stage, text: &str| {
        let transactions = stage.network.traffic.iter();
        let with_it = transactions.filter(|sent| {
            sent.line.contains("/send/") && String::from_utf8_lossy(&sent.body).contains(text)
        });
        let mut ways: Vec<(String, String)> = with_it
            .map(|sent| (sent.from.to_string(), sent.to.to_string()))
            .collect();
        ways.sort();
        ways
    };
    let to_all = |from: &str, but: &str| -> Vec<(String, String)> {
        let mut others: Vec<_> = servers
            .iter()
            .filter(|to| **to != from && **to != but)
            .collect();
        others.sort();
        others
            .iter()
            .map(|to| (from.to_owned(), to.to_string()))
            .collect()
    };
    assert_eq!(pushed(&stage, r#""hello""#), to_all("four", "four"));
    assert!(stage.held("one", &said).is_some());
    let held = stage.held("one", &join).unwrap();
    let text = format!(
        r#""origin_server_ts":{},"prev_events""#,
        held.pdu.origin_server_ts()
    );
    assert_eq!(pushed(&stage, &text), to_all("two", "four"));
}
