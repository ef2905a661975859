//! Rows that make no sense give errors, whatever is asked.

use comity_core::{
    pdu::RoomVersion,
    persistence::{
        queries::{Ancestors, Direction, Query, Read, StoreError, Write},
        tables::{
            LocalMembership, PeerStream, Position, RoomRecord, SnapshotId, SnapshotRecord,
            StreamCursor,
        },
    },
};
use comity_store::Store;
use rusqlite::Connection;

use crate::{
    builder::*,
    outgoing::{audience, enqueue},
};

/// Stores one of everything, runs `sql` on the file behind the store's back, and asks everything.
fn errors_after(sql: &str) -> Vec<StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let mut store = Store::open(&path).unwrap();
    fill(&mut store);
    store.close().unwrap();
    let other = Connection::open(&path).unwrap();
    // An index over JSON lets nobody write what is none, which a disk does all the same.
    let lenient = "PRAGMA ignore_check_constraints = ON; DROP INDEX times;";
    other.execute_batch(&format!("{lenient} {sql}")).unwrap();
    drop(other);
    let mut store = Store::open(&path).unwrap();
    everything()
        .into_iter()
        .filter_map(|read| store.run(&Query::Read(read)).err())
        .collect()
}

#[test]
fn a_sound_database_gives_no_errors() {
    assert_eq!(errors_after(""), []);
}

#[test]
fn damaged_rows_are_reported_as_damage() {
    for sql in [
        "UPDATE events SET json = '{'",
        "UPDATE events SET json = '{}'",
        "UPDATE events SET json = CAST(x'ff' AS TEXT)",
        "UPDATE events SET verdict = 'perhaps'",
        "UPDATE events SET verdict = 'rejected', state_before = -1, reason = NULL",
        "UPDATE events SET state_after = NULL",
        "UPDATE events SET redacted_because = 1; UPDATE event_ids SET event_id = 'x'",
        "UPDATE event_ids SET event_id = 'no event id'",
        "UPDATE rooms SET version = '99'",
        "DELETE FROM rooms",
        "UPDATE rooms SET current = -1",
        "UPDATE state_keys SET state_key = 'nobody'",
        "UPDATE memberships SET stripped_state = '[{'",
        "UPDATE server_keys SET public = x'00'",
        "UPDATE server_keys SET key_id = 'x'",
        "UPDATE outgoing SET edu = '{', event = NULL",
        "UPDATE outgoing SET sequence = 9;
            UPDATE servers SET name = '' WHERE name = 'bob.example'",
        "UPDATE servers SET name = '???' WHERE name = 'bob.example'",
        "UPDATE peer_streams SET end = NULL",
        "UPDATE peer_streams SET looked_at = -1",
        "UPDATE counters SET value = -1",
        "DELETE FROM counters",
    ] {
        let errors = errors_after(sql);
        assert!(!errors.is_empty(), "{sql} goes unnoticed");
        for error in errors {
            assert!(matches!(error, StoreError::Damaged(_)), "{sql}: {error}");
        }
    }
}

fn fill(store: &mut Store) {
    let member = member("@ann:ann.example", "join");
    let event_id = member.event_id().to_owned();
    let record = RoomRecord {
        room_id: room(),
        version: RoomVersion::V10,
        extremities: ids([&member]),
        current: SnapshotId(1),
        least_depth: 1,
    };
    let membership = LocalMembership {
        user_id: "@ann:ann.example".try_into().unwrap(),
        room_id: room(),
        membership: "join".to_owned(),
        event: shown(&member, 1).into(),
        position: Position(1),
        stripped_state: vec![],
    };
    let changes = vec![set(&member)];
    let key = comity_core::persistence::tables::ServerKeyRecord {
        server: server("bob.example"),
        key_id: "ed25519:a".try_into().unwrap(),
        public: [7; 32],
        valid_until: Default::default(),
        retired: false,
    };
    let stream = PeerStream {
        server: server("bob.example"),
        asked_at: Default::default(),
        cursor: Some(StreamCursor {
            pull_after: "p1".to_owned(),
            end: "p2".to_owned(),
            looked_at: Default::default(),
        }),
    };
    let id = SnapshotId(1);
    commit(
        store,
        vec![
            write_version(),
            write(shown(&member, 1)),
            Write::Snapshot(SnapshotRecord {
                id,
                parent: None,
                changes: changes.clone(),
            }),
            Write::Room { record, changes },
            Write::Membership(membership),
            audience(1, &["bob.example"]),
            enqueue(1, 1, &member),
            Write::ServerKeys(vec![key]),
            Write::PeerStream(stream),
            Write::Once {
                key: "k".to_owned(),
                event_id,
            },
        ],
    );
}

fn everything() -> Vec<Read> {
    let event_ids = || ids([&member("@ann:ann.example", "join")]);
    let destination = server("bob.example");
    let origin = server("bob.example");
    let (from, to, direction) = (None, None, Direction::Backward);
    vec![
        Read::Boot,
        Read::Room(room()),
        Read::Events(event_ids()),
        Read::AuthChain(event_ids()),
        Read::Snapshot(SnapshotId(1)),
        Read::ReceivedTransaction {
            origin,
            transaction_id: "1".into(),
        },
        Read::ServerKeys(server("bob.example")),
        Read::Outgoing {
            destination,
            limit: 9,
        },
        Read::Once("k".to_owned()),
        Read::Ancestors(Ancestors {
            room_id: room(),
            from: event_ids(),
            include_from: true,
            stop_at: vec![],
            limit: 9,
        }),
        Read::BackwardExtremities(room()),
        Read::Timeline {
            room_id: room(),
            from,
            to,
            direction,
            limit: 9,
        },
        Read::CurrentState(room()),
        Read::SnapshotEvents(SnapshotId(1)),
        Read::Outlooks {
            snapshots: vec![SnapshotId(1)],
            server: server("ann.example"),
        },
        Read::Memberships("@ann:ann.example".try_into().unwrap()),
        Read::NewestPosition,
        Read::EventsAfter {
            server: server("ann.example"),
            position: Position(0),
            limit: 9,
        },
        Read::RoomsOf {
            server: server("ann.example"),
            limit: 9,
        },
        Read::PeerStream(server("bob.example")),
        Read::Counts,
    ]
}
