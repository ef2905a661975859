//! Snapshots of state.

use comity_core::persistence::{
    queries::{Answer, Read, StoreError, Write},
    tables::{SnapshotId, SnapshotRecord, StateChange, StateEntry},
};
use comity_store::Store;
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
