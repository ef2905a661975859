//! What states say of what a server may see.

use comity_core::persistence::{
    queries::{Answer, Read, Write},
    tables::{Outlook, SnapshotId, SnapshotRecord},
};
use comity_store::Store;
use serde_json::{Value, json};

use crate::builder::*;

fn visibility(value: Value) -> std::sync::Arc<comity_core::pdu::Pdu> {
    let content = json!({ "history_visibility": value });
    state_event("m.room.history_visibility", "", content)
}

/// Stores the events and, one after the other, a snapshot with each of them.
fn snapshots(events: &[std::sync::Arc<comity_core::pdu::Pdu>]) -> Store {
    let mut store = store();
    for (event, id) in events.iter().zip(1..) {
        let record = SnapshotRecord {
            id: SnapshotId(id),
            parent: (id > 1).then(|| SnapshotId(id - 1)),
            changes: vec![set(event)],
        };
        commit(
            &mut store,
            vec![write(outlier(event)), Write::Snapshot(record)],
        );
    }
    store
}

fn outlooks(store: &mut Store, snapshots: &[u64], of: &str) -> Vec<(u64, Outlook)> {
    let read_outlooks = Read::Outlooks {
        snapshots: snapshots.iter().copied().map(SnapshotId).collect(),
        server: server(of),
    };
    let Answer::Outlooks(outlooks) = read(store, read_outlooks) else {
        panic!("no outlooks")
    };
    let plain = |(id, outlook): (SnapshotId, Outlook)| (id.0, outlook);
    outlooks.into_iter().map(plain).collect()
}

fn outlook(history_visibility: Option<&str>, joined: bool, invited: bool) -> Outlook {
    Outlook {
        history_visibility: history_visibility.map(ToOwned::to_owned),
        joined,
        invited,
    }
}

#[test]
fn the_members_of_a_server_count_as_they_were_in_each_state() {
    let mut store = snapshots(&[
        member("@bob:b.example:8448", "join"),
        visibility(json!("joined")),
        member("@ann:b.example", "invite"),
        member("@ann:b.example", "join"),
        member("@zoe:b.example", "invite"),
        member("@ann:b.example", "leave"),
        member("@zoe:b.example", "ban"),
        visibility(json!("shared")),
    ]);
    let all = [2, 3, 4, 5, 6, 7, 8];
    let restricted = |joined, invited| outlook(Some("joined"), joined, invited);
    let expected = [
        restricted(false, false),
        restricted(false, true),
        restricted(true, false),
        restricted(true, true),
        restricted(false, true),
        restricted(false, false),
        outlook(Some("shared"), false, false),
    ];
    let found = outlooks(&mut store, &all, "b.example");
    assert_eq!(found, all.into_iter().zip(expected).collect::<Vec<_>>());
    let with_port = outlooks(&mut store, &[7], "b.example:8448");
    assert_eq!(with_port, [(7, restricted(true, false))]);
}

#[test]
fn a_visibility_that_is_absent_or_no_text_is_none() {
    let mut store = snapshots(&[
        state_event("m.room.topic", "", json!({})),
        visibility(json!(7)),
        visibility(json!(null)),
        visibility(json!("odd")),
    ]);
    let none = || outlook(None, false, false);
    let found = outlooks(&mut store, &[1, 2, 3, 4, 9], "b.example");
    let odd = outlook(Some("odd"), false, false);
    let expected = [(1, none()), (2, none()), (3, none()), (4, odd), (9, none())];
    assert_eq!(found, expected);
}
