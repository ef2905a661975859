//! Snapshots of state.

use std::collections::BTreeMap;

use comity_core::persistence::{
    queries::{Answer, Read, StoreError, Write},
    tables::{SnapshotId, SnapshotRecord, StateChange, StateEntry},
};
use comity_store::Store;
use ruma_common::OwnedEventId;
use rusqlite::Connection;
use serde_json::json;

use crate::builder::*;

#[test]
fn a_snapshot_is_its_parent_with_its_changes() {
    let mut store = store();
    let topic = state_event("m.room.topic", "", json!({ "topic": "a" }));
    let topic2 = state_event("m.room.topic", "", json!({ "topic": "b" }));
    let (ann, bob) = (
        member("@ann:a.example", "join"),
        member("@bob:b.example", "join"),
    );
    commit(
        &mut store,
        vec![
            snapshot(1, None, vec![set(&topic), set(&bob)]),
            snapshot(2, Some(1), vec![set(&ann), set(&topic2)]),
            snapshot(
                3,
                Some(2),
                vec![StateChange {
                    key: key_of(&bob),
                    event_id: None,
                }],
            ),
            snapshot(4, Some(3), vec![set(&bob)]),
        ],
    );
    assert_eq!(
        whole(&mut store, 1),
        Some([&bob, &topic].map(entry).to_vec())
    );
    assert_eq!(
        whole(&mut store, 2),
        Some([&ann, &bob, &topic2].map(entry).to_vec())
    );
    assert_eq!(
        whole(&mut store, 3),
        Some([&ann, &topic2].map(entry).to_vec())
    );
    assert_eq!(
        whole(&mut store, 4),
        Some([&ann, &bob, &topic2].map(entry).to_vec())
    );
}

/// Lesson 1: two states after one stand side by side.
#[test]
fn two_snapshots_share_a_parent_in_either_order() {
    let left = state_event("m.room.topic", "", json!({ "topic": "left" }));
    let right = state_event("m.room.topic", "", json!({ "topic": "right" }));
    let base = member("@ann:a.example", "join");
    for order in [[&left, &right], [&right, &left]] {
        let mut store = store();
        commit(&mut store, vec![snapshot(1, None, vec![set(&base)])]);
        commit(&mut store, vec![snapshot(2, Some(1), vec![set(order[0])])]);
        commit(&mut store, vec![snapshot(3, Some(1), vec![set(order[1])])]);
        assert_eq!(
            whole(&mut store, 2),
            Some([&base, order[0]].map(entry).to_vec())
        );
        assert_eq!(
            whole(&mut store, 3),
            Some([&base, order[1]].map(entry).to_vec())
        );
    }
}

#[test]
fn the_events_of_a_snapshot_are_sorted_by_type_and_state_key() {
    let mut store = store();
    let topic = state_event("m.room.topic", "", json!({}));
    let (ann, bob) = (
        member("@ann:a.example", "join"),
        member("@bob:b.example", "join"),
    );
    let mut writes: Vec<_> = [&topic, &bob, &ann].map(|pdu| write(outlier(pdu))).to_vec();
    writes.push(snapshot(1, None, vec![set(&topic), set(&bob)]));
    writes.push(snapshot(2, Some(1), vec![set(&ann)]));
    commit(&mut store, writes);
    let found = read_ids(&mut store, Read::SnapshotEvents(SnapshotId(2)));
    assert_eq!(found, ids([&ann, &bob, &topic]));
}

#[test]
fn an_empty_state_is_not_a_missing_one() {
    let mut store = store();
    commit(&mut store, vec![snapshot(1, None, vec![])]);
    assert_eq!(whole(&mut store, 1), Some(vec![]));
    assert_eq!(whole(&mut store, 2), None);
}

#[test]
fn a_long_line_of_snapshots_is_read_whole() {
    let mut store = store();
    let users: Vec<_> = (0..2000)
        .map(|n| member(&format!("@u{n:04}:a.example"), "join"))
        .collect();
    let writes = users
        .iter()
        .zip(1..)
        .map(|(user, id)| snapshot(id, (id > 1).then(|| id - 1), vec![set(user)]));
    commit(&mut store, writes.collect());
    let expected: Vec<_> = users.iter().map(entry).collect();
    assert_eq!(whole(&mut store, 2000), Some(expected));
}

/// However often a room's state changes, and whatever state a new one is made from, it is read in
/// few steps.
#[test]
fn forking_lines_of_snapshots_stay_short_and_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let mut store = Store::open(&path).unwrap();
    let mut states: Vec<BTreeMap<usize, OwnedEventId>> = vec![BTreeMap::new()];
    let mut writes = vec![write_version(), snapshot(1, None, vec![])];
    for id in 2..=600_usize {
        let from_far = id % 7 == 0 && id > 100;
        let parent = if from_far {
            id - 1 - id * 31 % 90
        } else {
            id - 1
        };
        let key = id * 17 % 23;
        let topic = state_event("m.room.topic", &key.to_string(), json!({ "topic": id }));
        let mut state = states[parent - 1].clone();
        let event_id = (id % 5 != 0).then(|| topic.event_id().to_owned());
        match event_id.clone() {
            Some(event_id) => drop(state.insert(key, event_id)),
            None => drop(state.remove(&key)),
        }
        states.push(state);
        let change = StateChange {
            key: key_of(&topic),
            event_id,
        };
        writes.push(snapshot(id as u64, Some(parent as u64), vec![change]));
    }
    commit(&mut store, writes);
    for (index, state) in states.iter().enumerate() {
        let entries = whole(&mut store, index as u64 + 1).unwrap().into_iter();
        let found: BTreeMap<usize, OwnedEventId> = entries
            .map(|entry| (entry.key.state_key.parse().unwrap(), entry.event_id))
            .collect();
        assert_eq!(found, *state, "snapshot {}", index + 1);
    }
    store.close().unwrap();
    let longest: i64 = Connection::open(&path)
        .unwrap()
        .query_row(
            "WITH RECURSIVE up (top, snapshot) AS (
                SELECT snapshot, parent FROM snapshots
                UNION ALL
                SELECT top, parent FROM up JOIN snapshots USING (snapshot)
            )
            SELECT max(steps) FROM (SELECT count(*) AS steps FROM up GROUP BY top)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(longest <= 10, "{longest} steps for 600 snapshots");
}

#[test]
fn a_snapshot_needs_an_older_parent_that_is_there() {
    let mut store = store();
    for (id, parent) in [(2, 1), (2, 2), (2, 3)] {
        let error = refused(&mut store, vec![snapshot(id, Some(parent), vec![])]);
        assert!(matches!(error, StoreError::Failed(_)), "{error}");
    }
}

fn snapshot(id: u64, parent: Option<u64>, changes: Vec<StateChange>) -> Write {
    let parent = parent.map(SnapshotId);
    Write::Snapshot(SnapshotRecord {
        id: SnapshotId(id),
        parent,
        changes,
    })
}

fn entry(pdu: &std::sync::Arc<comity_core::pdu::Pdu>) -> StateEntry {
    StateEntry {
        key: key_of(pdu),
        event_id: pdu.event_id().to_owned(),
    }
}

fn whole(store: &mut Store, id: u64) -> Option<Vec<StateEntry>> {
    let Answer::State(state) = read(store, Read::Snapshot(SnapshotId(id))) else {
        panic!("not an answer in state")
    };
    state
}
