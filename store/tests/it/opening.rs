//! Opening a database: new, again, and not ours.

use std::path::PathBuf;

use comity_core::persistence::queries::{Answer, Read};
use comity_store::{OpenError, Store};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::builder::*;

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
    older.execute_batch(undo).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    drop(older);
    let mut store = Store::open(&path).unwrap();
    let asked = Read::RedactionsOf(ids([&target]));
    assert_eq!(read_ids(&mut store, asked), ids([&redaction]));
    let found = auth_descendants(&mut store, &create, 9);
    assert_eq!(found, Some(ids([&topic])));
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

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    (directory, path)
}
