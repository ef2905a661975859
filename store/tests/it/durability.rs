//! What was acknowledged survives a kill; what was not is there whole or not at all.

use std::{
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use comity_core::{
    input::QueryId,
    persistence::queries::{Answer, Query, Read, Write},
};
use comity_store::{Store, StoreThread};
use rusqlite::Connection;

use crate::builder::*;

const PATH_VARIABLE: &str = "COMITY_STORE_TEST_PATH";
const BATCH: usize = 3;

#[test]
fn a_kill_loses_no_acknowledged_batch_and_splits_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let mut committed = 0;
    for round in 1..=5 {
        let acknowledged = kill_after(&path, round * 20);
        let stored = batches_stored(&path);
        assert!(
            stored >= committed + acknowledged,
            "{stored} of {acknowledged} are there"
        );
        committed = stored;
    }
}

/// Makes the database refuse the transaction, not the batch, that does a command `doom`.
const DOOM: &str = "
    CREATE TABLE nowhere (id INTEGER PRIMARY KEY);
    CREATE TABLE doomed (id REFERENCES nowhere DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER doom AFTER INSERT ON once WHEN new.key = 'doom' BEGIN
        INSERT INTO doomed VALUES (1);
    END;";

#[test]
fn when_a_transaction_fails_so_do_all_that_shared_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let mut store = Store::open(&path).unwrap();
    commit(&mut store, vec![write_version()]);
    Connection::open(&path)
        .unwrap()
        .execute_batch(DOOM)
        .unwrap();
    let event = message("gone", &[]);
    let once = |key: &str| Write::Once {
        key: key.to_owned(),
        event_id: event.event_id().into(),
    };
    let question = || Query::Read(Read::Events(ids([&event])));
    let group = [
        batch(vec![write(in_graph(&event))]),
        question(),
        batch(vec![once("doom")]),
    ];
    let answers = store.run_group(&group);
    assert!(
        answers.iter().all(Result::is_err) && answers.len() == 3,
        "{answers:?}"
    );
    assert_eq!(store.run(&question()), Ok(Answer::Events(vec![])));
    commit(&mut store, vec![once("fate"), write(in_graph(&event))]);
    assert_eq!(read_one(&mut store, &event), Some(in_graph(&event)));
}

/// Not a test by itself: what the test above starts and kills.
#[test]
#[ignore = "run by another test as a process of its own"]
fn commits_until_it_is_killed() {
    let path = std::env::var_os(PATH_VARIABLE).unwrap();
    let mut store = Store::open(Path::new(&path)).unwrap();
    commit(&mut store, vec![write_version()]);
    let Answer::Counts(counts) = read(&mut store, Read::Counts) else {
        panic!("not counts")
    };
    let (sender, answers) = mpsc::channel();
    let thread = StoreThread::spawn(store, move |id, answer| sender.send((id, answer)).unwrap());
    let first = counts.events / BATCH as u64;
    let submit = |number| thread.submit(QueryId(number), batch(writes(number)));
    (first..first + 10).for_each(submit);
    for (id, answer) in answers {
        assert_eq!(answer, Ok(Answer::Committed));
        writeln!(std::io::stderr(), "committed {}", id.0).unwrap();
        submit(id.0 + 10);
    }
}

fn writes(number: u64) -> Vec<Write> {
    let event = |part| in_graph(&message(&format!("{number} {part}"), &[]));
    (0..BATCH).map(|part| write(event(part))).collect()
}

/// Starts the process that commits, kills it once it has acknowledged so many batches, and says
/// how many it had acknowledged.
fn kill_after(path: &Path, count: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::commits_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(PATH_VARIABLE, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = acknowledgements(&mut child);
    assert_eq!(lines.by_ref().take(count).count(), count);
    child.kill().unwrap();
    child.wait().unwrap();
    count + lines.count()
}

fn acknowledgements(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = BufReader::new(child.stderr.take().unwrap());
    output
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("committed"))
}

/// How many batches are stored, having checked that they are the first ones and whole.
fn batches_stored(path: &Path) -> usize {
    let mut store = Store::open(path).unwrap();
    let Answer::Counts(counts) = read(&mut store, Read::Counts) else {
        panic!("not counts")
    };
    let events = usize::try_from(counts.events).unwrap();
    assert_eq!(events % BATCH, 0, "a batch is there in part");
    let count = events / BATCH;
    let expected: Vec<_> = (0..count as u64).flat_map(writes).collect();
    let expected = expected.iter().map(|write| match write {
        Write::Event(event) => &event.pdu,
        _ => panic!("not an event"),
    });
    assert_eq!(
        read_ids(&mut store, Read::Events(ids(expected))).len(),
        events
    );
    count
}
