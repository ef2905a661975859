//! Joins that have not ended.

use comity_core::WallTime;
use comity_core::persistence::{
    queries::{Answer, Read, Write},
    tables::{JoinRecord, TakenRecord},
};
use comity_store::Store;
use serde_json::json;

use crate::builder::*;

fn join(room_id: &str, server: &str) -> JoinRecord {
    let event = pdu(json!({
        "type": "m.room.member",
        "room_id": room_id,
        "state_key": "@ann:ann.example",
        "content": { "membership": "join" },
    }));
    JoinRecord {
        event,
        server: self::server(server),
        others: vec![self::server("cal.example"), self::server("bob.example")],
        content: json!({ "displayname": "Ann \u{1f33b}" })
            .as_object()
            .unwrap()
            .clone(),
        starts: 2,
        taken: None,
    }
}

fn found(store: &mut Store) -> Vec<JoinRecord> {
    match read(store, Read::Boot) {
        Answer::Boot(boot) => boot.joins,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_finds_every_join_that_has_not_ended_by_room() {
    let mut store = store();
    let joins = ["!b:x", "!a:x", "!c:x"].map(|room_id| join(room_id, "bob.example"));
    commit(&mut store, joins.clone().map(Write::Join).into());
    let ended = Write::JoinEnded("!c:x".try_into().unwrap());
    commit(&mut store, vec![ended]);
    let [b, a, _] = joins;
    assert_eq!(found(&mut store), [a, b]);
}

#[test]
fn the_last_join_of_a_room_takes_the_place_of_the_one_before() {
    let mut store = store();
    let [first, mut second] = ["bob.example", "cal.example"].map(|server| join("!a:x", server));
    second.taken = Some(TakenRecord {
        servers: vec![server("dan.example")],
        at: WallTime(1_700_000_000_123),
    });
    commit(&mut store, [first, second.clone()].map(Write::Join).into());
    assert_eq!(found(&mut store), [second]);
}

#[test]
fn the_end_of_a_join_that_was_never_noted_is_no_error() {
    let mut store = store();
    let ended = Write::JoinEnded("!a:x".try_into().unwrap());
    commit(&mut store, vec![ended]);
    assert_eq!(found(&mut store), []);
}
