//! Looking at a database beside whoever writes to it.

use std::path::PathBuf;

use comity_core::persistence::queries::{Answer, Read};
use comity_store::{Glance, OpenError, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::builder::*;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    (directory, path)
}

fn seen(glance: &Glance) -> u64 {
    match glance.read(&Read::Counts).unwrap() {
        Answer::Counts(counts) => counts.events,
        other => panic!("{other:?} is no count"),
    }
}

#[test]
fn a_glance_shows_one_moment_and_keeps_nobody_from_writing() {
    let (_directory, path) = place();
    let events = chain(2);
    let mut store = Store::open(&path).unwrap();
    commit(
        &mut store,
        vec![write_version(), write(shown(&events[0], 1))],
    );
    let glance = Glance::at(&path).unwrap();
    assert_eq!(seen(&glance), 1);
    commit(&mut store, vec![write(shown(&events[1], 2))]);
    assert_eq!(seen(&glance), 1);
    assert_eq!(seen(&Glance::at(&path).unwrap()), 2);
}

#[test]
fn the_database_of_a_stopped_server_can_be_looked_at() {
    let (_directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    commit(
        &mut store,
        vec![write_version(), write(shown(&chain(1)[0], 1))],
    );
    store.close().unwrap();
    assert_eq!(seen(&Glance::at(&path).unwrap()), 1);
}

#[test]
fn a_glance_changes_nothing() {
    let (directory, path) = place();
    assert!(Glance::at(&path).is_err());
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    Store::open(&path).unwrap().close().unwrap();
    let glance = Glance::at(&path).unwrap();
    assert!(glance.read(&Read::Boot).is_err(), "it would count a start");
}

#[test]
fn another_schema_is_refused() {
    let (_directory, path) = place();
    Store::open(&path).unwrap().close().unwrap();
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 0).unwrap();
    let error = Glance::at(&path).unwrap_err();
    assert!(
        matches!(error, OpenError::Older { found: 0, .. }),
        "{error}"
    );
    other.pragma_update(None, "user_version", 99).unwrap();
    let error = Glance::at(&path).unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error}"
    );
    other.pragma_update(None, "application_id", 1).unwrap();
    let error = Glance::at(&path).unwrap_err();
    assert!(matches!(error, OpenError::Foreign), "{error}");
}
