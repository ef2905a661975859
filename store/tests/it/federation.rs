//! Transactions received, keys, commands done once, counters.

use comity_core::{
    persistence::{
        queries::{Answer, Boot, Counts, Read, Write},
        tables::{
            AudienceId, InboxId, Position, PublishedKeysRecord, ServerKeyRecord, SnapshotId,
            SnapshotRecord,
        },
    },
    time::WallTime,
};
use comity_store::Store;

use crate::{
    builder::*,
    outgoing::{audience, boot, delivered, enqueue, store_with_queue},
};

#[test]
fn a_start_is_counted_and_finds_the_highest_numbers_ever_used() {
    let mut store = store();
    assert_eq!(boot(&mut store), Boot::default());
    let events = chain(3);
    let snapshot = SnapshotRecord {
        id: SnapshotId(8),
        parent: None,
        changes: vec![],
    };
    commit(
        &mut store,
        vec![
            write(shown(&events[0], 12)),
            write(shown(&events[1], -4)),
            write(shown(&events[2], 3)),
            Write::Snapshot(snapshot),
            audience(7, &["bob.example"]),
            enqueue(31, 7, &events[0]),
            delivered("bob.example", 31),
        ],
    );
    assert_eq!(
        boot(&mut store),
        Boot {
            starts: 1,
            last_snapshot: SnapshotId(8),
            newest_position: Position(12),
            oldest_position: Position(-4),
            last_sequence: 31,
            last_audience: AudienceId(7),
            destinations: vec![],
            last_inbox: InboxId(0),
            staged: vec![],
            joins: vec![],
            streams: vec![],
        }
    );
    assert_eq!(boot(&mut store).starts, 2);
    assert_eq!(
        read(&mut store, Read::NewestPosition),
        Answer::Position(Position(12))
    );
}

/// Lesson 2: a repeated transaction gets the answer that was given first.
#[test]
fn the_first_response_to_a_transaction_stays() {
    let mut store = store();
    commit(&mut store, vec![received("bob.example", "1", b"{}", 10)]);
    commit(&mut store, vec![received("bob.example", "1", b"other", 20)]);
    commit(&mut store, vec![received("cal.example", "1", b"cal", 20)]);
    assert_eq!(
        response(&mut store, "bob.example", "1"),
        Some(b"{}".to_vec())
    );
    assert_eq!(
        response(&mut store, "cal.example", "1"),
        Some(b"cal".to_vec())
    );
    assert_eq!(response(&mut store, "bob.example", "2"), None);
}

#[test]
fn responses_are_forgotten_by_age() {
    let mut store = store();
    let writes = [10, 20, 30].map(|at| received("bob.example", &at.to_string(), b"{}", at));
    commit(&mut store, writes.to_vec());
    commit(
        &mut store,
        vec![Write::ForgetTransactions {
            of_each: 9,
            bytes: 1_000,
            received_before: WallTime(20),
        }],
    );
    let kept = ["10", "20", "30"].map(|id| response(&mut store, "bob.example", id).is_some());
    assert_eq!(kept, [false, true, true]);
}

#[test]
fn of_too_many_responses_the_newest_are_kept() {
    let mut store = store();
    let writes = [10, 20, 30].map(|at| received("bob.example", &at.to_string(), b"{}", at));
    commit(&mut store, writes.to_vec());
    commit(&mut store, vec![received("cal.example", "5", b"large", 5)]);
    let forget = |of_each, bytes| Write::ForgetTransactions {
        received_before: WallTime(0),
        of_each,
        bytes,
    };
    let kept = |store: &mut Store| {
        let bobs = ["10", "20", "30"].map(|id| response(store, "bob.example", id).is_some());
        (bobs, response(store, "cal.example", "5").is_some())
    };
    commit(&mut store, vec![forget(2, 100)]);
    assert_eq!(kept(&mut store), ([false, true, true], true));
    commit(&mut store, vec![forget(2, 8)]);
    assert_eq!(kept(&mut store), ([false, true, true], false));
}

#[test]
fn keys_of_a_server_are_answered_by_key_id() {
    let mut store = store();
    let keys = vec![
        key("ed25519:a", 1, 50, false),
        key("ed25519:b", 2, 60, true),
    ];
    commit(
        &mut store,
        vec![Write::ServerKeys(keys.iter().rev().cloned().collect())],
    );
    assert_eq!(server_keys(&mut store), keys);
}

#[test]
fn a_key_keeps_its_larger_validity_in_either_order() {
    for validities in [[50, 60], [60, 50]] {
        let mut store = store();
        for valid_until in validities {
            keep(&mut store, key("ed25519:a", 1, valid_until, false));
        }
        assert_eq!(server_keys(&mut store), [key("ed25519:a", 1, 60, false)]);
    }
}

#[test]
fn a_retired_key_stays_retired() {
    let mut store = store();
    keep(&mut store, key("ed25519:a", 1, 50, true));
    keep(&mut store, key("ed25519:a", 1, 40, false));
    assert_eq!(server_keys(&mut store), [key("ed25519:a", 1, 50, true)]);
}

#[test]
fn another_key_with_the_same_id_takes_its_place() {
    let mut store = store();
    keep(&mut store, key("ed25519:a", 1, 50, true));
    keep(&mut store, key("ed25519:a", 2, 40, false));
    assert_eq!(server_keys(&mut store), [key("ed25519:a", 2, 40, false)]);
}

#[test]
fn of_published_keys_the_newest_object_is_kept() {
    let mut store = store();
    let of = |name: &str| Read::PublishedKeys(server(name));
    let record = |json: &str, fetched| PublishedKeysRecord {
        server: server("bob.example"),
        json: json.to_owned(),
        fetched: WallTime(fetched),
        valid_until: WallTime(50),
    };
    for record in [record("{}", 5), record(r#"{"a":1}"#, 4)] {
        commit(&mut store, vec![Write::PublishedKeys(record)]);
    }
    let kept = Answer::PublishedKeys(Some(record(r#"{"a":1}"#, 4)));
    assert_eq!(read(&mut store, of("bob.example")), kept);
    let none = Answer::PublishedKeys(None);
    assert_eq!(read(&mut store, of("eve.example")), none);
}

#[test]
fn the_first_event_of_a_command_stays() {
    let mut store = store();
    let events = chain(2);
    for event in &events {
        let (key, event_id) = ("ann 7".to_owned(), event.event_id().to_owned());
        commit(&mut store, vec![Write::Once { key, event_id }]);
    }
    let once = |key: &str| Read::Once(key.to_owned());
    let first = events[0].event_id().to_owned();
    assert_eq!(read(&mut store, once("ann 7")), Answer::Once(Some(first)));
    assert_eq!(read(&mut store, once("ann 8")), Answer::Once(None));
}

#[test]
fn counts_say_how_much_is_stored() {
    let (mut store, _) = store_with_queue();
    commit(&mut store, vec![received("bob.example", "1", b"{}", 10)]);
    let counts = Counts {
        events: 3,
        rooms: 0,
        queued: 4,
        received_transactions: 1,
    };
    assert_eq!(read(&mut store, Read::Counts), Answer::Counts(counts));
}

fn received(origin: &str, id: &str, response: &[u8], received_at: u64) -> Write {
    Write::ReceivedTransaction {
        origin: server(origin),
        transaction_id: id.into(),
        response: response.to_vec(),
        received_at: WallTime(received_at),
    }
}

fn response(store: &mut Store, origin: &str, id: &str) -> Option<Vec<u8>> {
    let question = Read::ReceivedTransaction {
        origin: server(origin),
        transaction_id: id.into(),
    };
    let Answer::Response(response) = read(store, question) else {
        panic!("not an answer with a response")
    };
    response
}

fn key(key_id: &str, public: u8, valid_until: u64, retired: bool) -> ServerKeyRecord {
    ServerKeyRecord {
        server: server("bob.example"),
        key_id: key_id.try_into().unwrap(),
        public: [public; 32],
        valid_until: WallTime(valid_until),
        retired,
    }
}

fn keep(store: &mut Store, key: ServerKeyRecord) {
    commit(store, vec![Write::ServerKeys(vec![key])]);
}

fn server_keys(store: &mut Store) -> Vec<ServerKeyRecord> {
    let Answer::Keys(keys) = read(store, Read::ServerKeys(server("bob.example"))) else {
        panic!("not an answer in keys")
    };
    keys
}
