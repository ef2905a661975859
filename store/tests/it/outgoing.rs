//! Queues towards other servers, and how far along each server is.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::{
        queries::{Answer, Boot, Counts, Read, StoreError, Write},
        tables::{
            AUDIENCES_NAMED, AudienceId, BegunTransaction, DestinationRecord, Excess, OldestOf,
            OutgoingItem, OutgoingRecord, Queued,
        },
    },
    time::WallTime,
};
use comity_store::Store;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{builder::*, opening::place};

#[test]
fn a_queue_is_answered_oldest_first_and_within_a_limit() {
    let (mut store, events) = store_with_queue();
    let record = |index: usize| OutgoingRecord {
        sequence: index as u64 + 1,
        item: OutgoingItem::Pdu(events[index].json().into()),
    };
    assert_eq!(
        queue(&mut store, "bob.example", 9),
        [record(0), record(1), record(2)]
    );
    assert_eq!(queue(&mut store, "bob.example", 1), [record(0)]);
    assert_eq!(queue(&mut store, "cal.example", 9), [record(1)]);
    assert_eq!(queue(&mut store, "dan.example", 9), []);
}

#[test]
fn reliable_messages_stand_in_the_queue_among_the_events() {
    let (mut store, events) = store_with_queue();
    commit(
        &mut store,
        vec![enqueue_edu(4, 1), enqueue(5, 1, &events[0])],
    );
    let queue = queue(&mut store, "bob.example", 9);
    assert_eq!(queue[3].item, OutgoingItem::Edu("{\"edu\":4}".into()));
    assert_eq!(queue.len(), 5);
}

#[test]
fn only_what_is_stored_can_be_queued_and_only_for_a_known_audience() {
    let mut store = store();
    commit(&mut store, vec![audience(1, &["bob.example"])]);
    for write in [enqueue(1, 1, &message("lost", &[])), enqueue_edu(1, 2)] {
        let error = refused(&mut store, vec![write]);
        assert!(matches!(error, StoreError::Failed(_)), "{error}");
    }
}

#[test]
fn delivery_takes_the_front_off_one_queue_and_forgets_failures() {
    let (mut store, _) = store_with_queue();
    commit(
        &mut store,
        vec![
            failed("bob.example", 3, 500),
            begun("bob.example", "t1", 2),
            delivered("bob.example", 2),
        ],
    );
    assert_eq!(sequences(&mut store, "bob.example"), [3]);
    assert_eq!(sequences(&mut store, "cal.example"), [2]);
    let [bob, cal] = boot(&mut store).destinations.try_into().unwrap();
    assert_eq!(bob, destination("bob.example", 0, 0, None, true));
    assert_eq!(cal, destination("cal.example", 0, 0, None, true));
}

#[test]
fn the_delivery_of_nothing_queued_leaves_the_queue_as_it_is() {
    let (mut store, _) = store_with_queue();
    commit(&mut store, vec![delivered("bob.example", 2)]);
    commit(&mut store, vec![delivered("bob.example", 0)]);
    assert_eq!(sequences(&mut store, "bob.example"), [3]);
}

#[test]
fn a_start_finds_every_queue_failure_and_begun_transaction() {
    let (mut store, _) = store_with_queue();
    commit(
        &mut store,
        vec![
            begun("bob.example", "t1", 1),
            failed("bob.example", 2, 700),
            failed("eve.example", 1, u64::MAX),
            begun("bob.example", "t2", 2),
        ],
    );
    let transaction = BegunTransaction {
        transaction_id: "t2".to_owned(),
        through: 2,
        begun_at: WallTime(40),
    };
    assert_eq!(
        boot(&mut store).destinations,
        [
            destination("bob.example", 2, 700, Some(transaction), true),
            destination("cal.example", 0, 0, None, true),
            destination("eve.example", 1, i64::MAX as u64, None, false),
        ]
    );
    let all = ["bob.example", "cal.example", "eve.example"];
    commit(&mut store, all.map(|name| delivered(name, 3)).to_vec());
    assert_eq!(boot(&mut store).destinations, []);
}

/// TXN-18: the oldest beyond the depth, or older than the age, are given up; what was begun stays.
#[test]
fn what_exceeds_a_bound_is_measured_and_given_up() {
    let (mut store, events) = store_with_queue();
    commit(&mut store, vec![enqueue_edu(4, 1), enqueue_edu(5, 1)]);
    assert_eq!(excess(&mut store, 3, 0), Excess::default());
    assert_eq!(excess(&mut store, 2, 0).events, oldest(1, 1));
    assert_eq!(excess(&mut store, 1, 0).edus, oldest(1, 4));
    assert_eq!(excess(&mut store, 9, 20).events, oldest(1, 1));
    assert_eq!(excess(&mut store, 9, 31).events, oldest(3, 3));
    commit(&mut store, vec![begun("bob.example", "t1", 1)]);
    assert_eq!(excess(&mut store, 1, 0).events, oldest(1, 2));
    commit(
        &mut store,
        vec![Write::GiveUp {
            destination: server("bob.example"),
            events_through: 2,
            edus_through: 4,
        }],
    );
    assert_eq!(sequences(&mut store, "bob.example"), [1, 3, 5]);
    assert_eq!(sequences(&mut store, "cal.example"), [2]);
    commit(&mut store, vec![delivered("bob.example", 1)]);
    assert_eq!(sequences(&mut store, "bob.example"), [3, 5]);
    commit(&mut store, vec![begun("bob.example", "t2", 5)]);
    assert_eq!(sequences(&mut store, "bob.example"), [3, 5]);
    commit(&mut store, vec![enqueue(6, 1, &events[0])]);
    assert_eq!(sequences(&mut store, "bob.example"), [3, 5, 6]);
}

#[test]
fn what_nobody_is_owed_is_forgotten_and_nothing_else() {
    let (_directory, other, mut store, _) = file_with_queue();
    commit(&mut store, vec![delivered("bob.example", 3)]);
    let stored = |store: &mut Store| {
        commit(store, vec![Write::ForgetSent { limit: 2 }]);
        count(&other, "outgoing")
    };
    assert_eq!(stored(&mut store), 2, "the second is for another one too");
    assert_eq!(stored(&mut store), 1);
    commit(&mut store, vec![delivered("cal.example", 2)]);
    assert_eq!(stored(&mut store), 1, "at the end, it starts over");
    assert_eq!(stored(&mut store), 0);
    let Answer::Counts(Counts { queued, .. }) = read(&mut store, Read::Counts) else {
        panic!("not an answer in counts")
    };
    assert_eq!(queued, 0);
}

#[test]
fn an_audience_is_forgotten_when_it_is_not_named_any_more_and_nothing_is_queued_for_it() {
    let (_directory, other, mut store, events) = file_with_queue();
    let last = AUDIENCES_NAMED + 3;
    commit(
        &mut store,
        vec![
            delivered("bob.example", 3),
            delivered("cal.example", 2),
            audience(last, &["dan.example"]),
        ],
    );
    (0..3).for_each(|_| commit(&mut store, vec![Write::ForgetSent { limit: 9 }]));
    assert_eq!(count(&other, "audiences"), 1);
    assert_eq!(count(&other, "audience_members"), 1);
    commit(&mut store, vec![enqueue(4, last, &events[0])]);
    assert_eq!(sequences(&mut store, "dan.example"), [4]);
}

/// Three events for one server, the second for another one too, queued at 10, 20 and 30.
pub fn store_with_queue() -> (Store, Vec<Arc<Pdu>>) {
    let mut store = store();
    let events = fill(&mut store);
    (store, events)
}

fn fill(store: &mut Store) -> Vec<Arc<Pdu>> {
    let events = chain(3);
    commit(
        store,
        events.iter().map(|pdu| write(in_graph(pdu))).collect(),
    );
    commit(
        store,
        vec![
            audience(1, &["bob.example"]),
            audience(2, &["bob.example", "cal.example"]),
            enqueue(1, 1, &events[0]),
            enqueue(2, 2, &events[1]),
            enqueue(3, 1, &events[2]),
        ],
    );
    events
}

/// The same in a file that others can look into.
fn file_with_queue() -> (TempDir, Connection, Store, Vec<Arc<Pdu>>) {
    let (directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    commit(&mut store, vec![write_version()]);
    let events = fill(&mut store);
    let other = Connection::open(&path).unwrap();
    (directory, other, store, events)
}

fn count(other: &Connection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    other.query_row(&sql, [], |row| row.get(0)).unwrap()
}

pub fn audience(id: u64, servers: &[&str]) -> Write {
    Write::Audience {
        id: AudienceId(id),
        servers: servers.iter().map(|name| server(name)).collect(),
    }
}

/// Queued at ten times its sequence.
pub fn enqueue(sequence: u64, audience: u64, pdu: &Arc<Pdu>) -> Write {
    queue_for(sequence, audience, Queued::Event(pdu.event_id().to_owned()))
}

fn enqueue_edu(sequence: u64, audience: u64) -> Write {
    let text = format!("{{\"edu\":{sequence}}}");
    queue_for(sequence, audience, Queued::Edu(text.into()))
}

fn queue_for(sequence: u64, audience: u64, queued: Queued) -> Write {
    Write::Enqueue {
        sequence,
        audience: AudienceId(audience),
        queued_at: WallTime(10 * sequence),
        queued,
    }
}

fn begun(destination: &str, transaction_id: &str, through: u64) -> Write {
    let transaction_id = transaction_id.to_owned();
    let transaction = BegunTransaction {
        transaction_id,
        through,
        begun_at: WallTime(40),
    };
    Write::TransactionBegun {
        destination: server(destination),
        transaction,
    }
}

pub fn delivered(destination: &str, through: u64) -> Write {
    Write::TransactionDelivered {
        destination: server(destination),
        through,
    }
}

fn failed(destination: &str, failures: u32, retry_at: u64) -> Write {
    let retry_at = WallTime(retry_at);
    Write::DestinationFailed {
        destination: server(destination),
        failures,
        retry_at,
    }
}

fn destination(
    name: &str,
    failures: u32,
    retry_at: u64,
    begun: Option<BegunTransaction>,
    queued: bool,
) -> DestinationRecord {
    let retry_at = WallTime(retry_at);
    DestinationRecord {
        destination: server(name),
        failures,
        retry_at,
        begun,
        queued,
    }
}

fn queue(store: &mut Store, destination: &str, limit: u32) -> Vec<OutgoingRecord> {
    let destination = server(destination);
    let Answer::Outgoing(queue) = read(store, Read::Outgoing { destination, limit }) else {
        panic!("not an answer in what is queued")
    };
    queue
}

pub fn sequences(store: &mut Store, destination: &str) -> Vec<u64> {
    let queue = queue(store, destination, 9).into_iter();
    queue.map(|record| record.sequence).collect()
}

fn excess(store: &mut Store, depth: u32, queued_since: u64) -> Excess {
    let question = Read::OutgoingExcess {
        destination: server("bob.example"),
        depth,
        queued_since: WallTime(queued_since),
    };
    let Answer::Excess(excess) = read(store, question) else {
        panic!("not an answer in what exceeds")
    };
    excess
}

fn oldest(count: u64, through: u64) -> OldestOf {
    OldestOf { count, through }
}

pub fn boot(store: &mut Store) -> Boot {
    let Answer::Boot(boot) = read(store, Read::Boot) else {
        panic!("not an answer to a start")
    };
    boot
}
