//! Opening a database: new, again, and not ours.

use std::path::PathBuf;

use comity_core::{
    pdu::RoomVersion,
    persistence::{
        queries::{Answer, Read, Write},
        tables::{AudienceId, RoomRecord, SnapshotId},
    },
};
use comity_store::{OpenError, Store};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{builder::*, outgoing};

#[test]
fn what_was_committed_is_there_after_reopening() {
    let (_directory, path) = place();
    let event = message("kept", &[]);
    let mut store = Store::open(&path).unwrap();
    commit(&mut store, vec![write_version(), write(shown(&event, 1))]);
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(read_one(&mut store, &event), Some(shown(&event, 1)));
}

#[test]
fn starts_are_counted_across_reopening() {
    let (_directory, path) = place();
    for expected in 0..3 {
        let mut store = Store::open(&path).unwrap();
        let Answer::Boot(boot) = read(&mut store, Read::Boot) else {
            panic!("not a start")
        };
        assert_eq!(boot.starts, expected);
        store.close().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_new_database() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    commit(&mut store, vec![write_version()]);
    let modes: Vec<_> = directory
        .path()
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(
        modes, [0o600; 3],
        "the database, its log, its shared memory"
    );
}

/// Brings a database back to how the queues were kept by the fifth schema.
const QUEUES_BEFORE: &str = "
    DROP TABLE inbox;
    DELETE FROM counters WHERE name = 'last_inbox';
    DROP VIEW owed;
    DROP TABLE outgoing;
    DROP TABLE destinations;
    DROP TABLE audience_members;
    DROP TABLE audiences;
    DELETE FROM counters WHERE name IN ('last_audience', 'sent_forgotten');
    CREATE TABLE outgoing (
        server INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        event INTEGER NOT NULL REFERENCES events,
        PRIMARY KEY (server, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE destinations (
        server INTEGER PRIMARY KEY,
        failures INTEGER NOT NULL DEFAULT 0,
        retry_at INTEGER NOT NULL DEFAULT 0,
        transaction_id TEXT,
        through INTEGER,
        begun_at INTEGER
    ) STRICT;
    ALTER TABLE rooms DROP COLUMN least_depth;
    DROP TABLE room_servers;
    DROP TABLE peer_streams;
    DROP TABLE joins;
    DROP TABLE published_keys;
    DROP INDEX stream;
    DROP INDEX times;
    PRAGMA user_version = 5;
";

/// What an older version of the program stored is found as well: redactions, and who cites whom.
#[test]
fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let (_directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    let target = message("regretted", &[]);
    let redaction = pdu(json!({ "type": "m.room.redaction", "redacts": target.event_id() }));
    let odd = pdu(json!({ "type": "m.room.redaction", "redacts": 5 }));
    let create = state_event("m.room.create", "", json!({}));
    let cites_it = json!({ "auth_events": ids([&create]) });
    let talk = pdu(cites_it.clone());
    let topic = state_event_with("m.room.topic", cites_it);
    let all = [&redaction, &odd, &create, &talk, &topic];
    let writes = all.map(|event| write(in_graph(event)));
    commit(&mut store, [vec![write_version()], writes.into()].concat());
    store.close().unwrap();
    let older = Connection::open(&path).unwrap();
    let undo = "
        DROP TABLE redactions;
        DROP TABLE citations;
        DROP TABLE staged;
        DROP INDEX members_by_server;
        ALTER TABLE snapshots DROP COLUMN height;
    ";
    older.execute_batch(QUEUES_BEFORE).unwrap();
    older.execute_batch(undo).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    drop(older);
    let mut store = Store::open(&path).unwrap();
    let asked = Read::RedactionsOf(ids([&target]));
    assert_eq!(read_ids(&mut store, asked), ids([&redaction]));
    let found = auth_descendants(&mut store, &create, 9);
    assert_eq!(found, Some(ids([&topic])));
}

/// What an older version of the program queued is sent to the same servers in the same order.
#[test]
fn what_was_queued_for_each_server_is_still_queued() {
    let (_directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    let events = chain(4);
    let stored = events.iter().map(|event| write(in_graph(event))).collect();
    commit(&mut store, [vec![write_version()], stored].concat());
    store.close().unwrap();
    let older = Connection::open(&path).unwrap();
    older.execute_batch(QUEUES_BEFORE).unwrap();
    older
        .execute_batch(
            "INSERT INTO servers VALUES (1, 'bob.example'), (2, 'cal.example'), (3, 'dan.example');
            INSERT INTO outgoing VALUES (1, 5, 1), (2, 5, 1), (1, 6, 2), (2, 7, 3), (1, 8, 4),
                (2, 8, 4);
            INSERT INTO destinations VALUES (1, 3, 900, '4-2', 6, 800), (3, 1, 50, NULL, NULL, NULL);
            UPDATE counters SET value = 8 WHERE name = 'last_sequence';",
        )
        .unwrap();
    drop(older);
    let mut store = Store::open(&path).unwrap();
    let boot = outgoing::boot(&mut store);
    assert_eq!(boot.last_audience, AudienceId(3));
    let [bob, cal, dan] = boot.destinations.try_into().unwrap();
    assert_eq!((bob.failures, bob.queued), (3, true));
    assert_eq!(bob.begun.unwrap().through, 6);
    assert_eq!((cal.failures, cal.queued), (0, true));
    assert_eq!((dan.failures, dan.queued), (1, false));
    assert_eq!(outgoing::sequences(&mut store, "bob.example"), [5, 6, 8]);
    assert_eq!(outgoing::sequences(&mut store, "cal.example"), [5, 7, 8]);
    commit(&mut store, vec![outgoing::enqueue(9, 3, &events[0])]);
}

/// Who was in a room when an older version of the program ran may ask for what came after.
#[test]
fn who_is_in_which_room_is_found_in_an_older_database() {
    let (_directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    let joins = [
        member("@ann:ann.example", "join"),
        member("@bob:bob.example", "invite"),
    ];
    let record = RoomRecord {
        room_id: room(),
        version: RoomVersion::V10,
        extremities: Vec::new(),
        current: SnapshotId(1),
        least_depth: 0,
    };
    let changes = joins.iter().map(set).collect();
    let events = joins.iter().map(|join| write(in_graph(join))).collect();
    let entered = vec![Write::Room { record, changes }];
    commit(
        &mut store,
        [vec![write_version()], events, entered].concat(),
    );
    store.close().unwrap();
    let older = Connection::open(&path).unwrap();
    older.execute_batch(QUEUES_BEFORE).unwrap();
    drop(older);
    let mut store = Store::open(&path).unwrap();
    for (name, rooms) in [("ann.example", vec![room()]), ("bob.example", vec![])] {
        let (server, limit) = (server(name), 9);
        let found = read(&mut store, Read::RoomsOf { server, limit });
        assert_eq!(found, Answer::Rooms(rooms));
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_directory, path) = place();
    Store::open(&path).unwrap().close().unwrap();
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_database_of_another_program_is_refused() {
    let (_directory, path) = place();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE cats (name)")
        .unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Foreign), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let (_directory, path) = place();
    std::fs::write(&path, "Dear diary, ".repeat(1000)).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Database(_)), "{error}");
}

#[test]
fn a_place_that_is_not_there_is_an_error() {
    let (directory, _) = place();
    let error = Store::open(&directory.path().join("nowhere/comity.db")).unwrap_err();
    assert!(matches!(error, OpenError::File(_)), "{error}");
}

pub fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    (directory, path)
}
