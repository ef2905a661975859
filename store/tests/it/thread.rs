//! The thread: order, groups, what a failure takes with it.

use std::sync::{
    Mutex,
    mpsc::{self, Receiver, Sender},
};

use comity_core::{
    input::QueryId,
    persistence::queries::{Answer, Query, Read, StoreError, Write},
};
use comity_store::{Store, StoreThread};

use crate::builder::*;

type Answered = (QueryId, Result<Answer, StoreError>);

/// A thread that stands still in its first answer until it is let go.
struct Held {
    thread: StoreThread,
    answers: Receiver<Answered>,
    gate: Sender<()>,
}

impl Held {
    fn with(store: Store) -> Self {
        let (answered, answers) = mpsc::channel();
        let (gate, closed) = mpsc::channel();
        let closed = Mutex::new(closed);
        let thread = StoreThread::spawn(store, move |id, answer| {
            answered.send((id, answer)).unwrap();
            // An error means that the gate is open for good.
            let _ = closed.lock().unwrap().recv();
        });
        thread.submit(QueryId(0), Query::Read(Read::Counts));
        assert_eq!(answers.recv().unwrap().0, QueryId(0));
        Self {
            thread,
            answers,
            gate,
        }
    }

    fn release(self, count: usize) -> (StoreThread, Vec<Answered>) {
        drop(self.gate);
        let answers = self.answers.iter().take(count).collect();
        (self.thread, answers)
    }
}

#[test]
fn queries_are_answered_in_order() {
    let held = Held::with(store());
    for id in 1..100 {
        let write = Write::Once {
            key: id.to_string(),
            event_id: message("m", &[]).event_id().into(),
        };
        let query = match id % 3 {
            0 => Query::Read(Read::Once((id - 1).to_string())),
            _ => batch(vec![write]),
        };
        held.thread.submit(QueryId(id), query);
    }
    let (_thread, answers) = held.release(99);
    for ((id, answer), expected) in answers.into_iter().zip(1..) {
        assert_eq!(id, QueryId(expected));
        match expected % 3 {
            0 => assert!(matches!(answer, Ok(Answer::Once(Some(_)))), "{answer:?}"),
            _ => assert_eq!(answer, Ok(Answer::Committed)),
        }
    }
}

#[test]
fn batches_that_wait_together_share_one_transaction() {
    let held = Held::with(store());
    let before = held.thread.statistics();
    for (event, id) in chain(10).iter().zip(1..) {
        held.thread
            .submit(QueryId(id), batch(vec![write(in_graph(event))]));
    }
    let (thread, answers) = held.release(10);
    assert!(
        answers
            .iter()
            .all(|(_, answer)| *answer == Ok(Answer::Committed)),
        "{answers:?}"
    );
    let after = thread.statistics();
    assert_eq!(after.commits - before.commits, 10);
    assert_eq!(after.transactions - before.transactions, 1);
}

#[test]
fn a_read_within_a_group_sees_the_batches_before_it_and_not_those_after() {
    let held = Held::with(store());
    let events = chain(2);
    let everything = || Query::Read(Read::Events(ids(&events)));
    let queries = [
        everything(),
        batch(vec![write(in_graph(&events[0]))]),
        everything(),
        batch(vec![write(in_graph(&events[1]))]),
        everything(),
    ];
    for (query, id) in queries.into_iter().zip(1..) {
        held.thread.submit(QueryId(id), query);
    }
    let (_thread, answers) = held.release(5);
    let seen: Vec<_> = answers
        .iter()
        .filter_map(|(_, answer)| match answer {
            Ok(Answer::Events(events)) => Some(events.len()),
            _ => None,
        })
        .collect();
    assert_eq!(seen, [0, 1, 2]);
}

/// Whatever is asked after a batch that fails was asked believing in it.
#[test]
fn a_batch_that_fails_takes_all_that_follows_with_it_and_nothing_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let mut store = Store::open(&path).unwrap();
    commit(&mut store, vec![write_version()]);
    let held = Held::with(store);
    let events = chain(5);
    let clash = vec![write(in_graph(&events[2])), write(shown(&events[3], 1))];
    let batches = [
        vec![write(shown(&events[0], 1))],
        clash,
        vec![write(in_graph(&events[1]))],
    ];
    for (writes, id) in batches.into_iter().zip(1..) {
        held.thread.submit(QueryId(id), batch(writes));
    }
    let everything = || Read::Events(ids(&events));
    held.thread.submit(QueryId(4), Query::Read(everything()));
    let (thread, answers) = held.release(4);
    let outcomes: Vec<_> = answers.iter().map(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(outcomes, [true, false, false, false]);
    thread.submit(QueryId(5), batch(vec![write(in_graph(&events[4]))]));
    thread.close();
    let mut store = Store::open(&path).unwrap();
    assert_eq!(read_ids(&mut store, everything()), ids(&events[..1]));
}

#[test]
fn closing_finishes_what_was_submitted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("comity.db");
    let held = Held::with(Store::open(&path).unwrap());
    let events = chain(500);
    held.thread.submit(QueryId(1), batch(vec![write_version()]));
    for (event, id) in events.iter().zip(2..) {
        held.thread
            .submit(QueryId(id), batch(vec![write(in_graph(event))]));
    }
    let Held {
        thread,
        answers,
        gate,
    } = held;
    drop(gate);
    thread.close();
    assert_eq!(answers.iter().count(), 501);
    let left: Vec<_> = directory
        .path()
        .read_dir()
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(
        left,
        std::slice::from_ref(&path),
        "the log is folded into the database"
    );
    let mut store = Store::open(&path).unwrap();
    assert_eq!(read_ids(&mut store, Read::Events(ids(&events))).len(), 500);
}
