//! What a queue does in each of its states.

use std::time::Duration;

use super::*;
use crate::{
    pdu::{
        Pdu, RoomVersion,
        build::{EventTemplate, build},
        signing::SigningKey,
    },
    persistence::tables::Verdict,
};

fn name() -> OwnedServerName {
    "two".try_into().unwrap()
}

fn at(seconds: u64) -> Now {
    Now {
        wall: WallTime(seconds * 1000),
        monotonic: Monotonic(Duration::from_secs(seconds)),
    }
}

fn event(number: i64) -> Arc<StoredEvent> {
    let key = SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap();
    let template = EventTemplate {
        reference_hashes: BTreeMap::new(),
        room_id: Some("!room:one".try_into().unwrap()),
        sender: "@ann:one".try_into().unwrap(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: serde_json::Map::new(),
        redacts: None,
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        depth: 1,
        origin_server_ts: number,
    };
    let own: OwnedServerName = "one".try_into().unwrap();
    let pdu: Pdu = build(template, RoomVersion::V10, &own, &key).unwrap();
    Arc::new(StoredEvent::outlier(Arc::new(pdu), Verdict::Accepted))
}

fn queues() -> Outgoing {
    Outgoing::new("one".try_into().unwrap(), [3; 32])
}

fn enqueue(queues: &mut Outgoing, count: i64) {
    for number in 0..count {
        queues.enqueue(&event(number), [name()].into()).unwrap();
    }
}

/// The transactions among some effects: id and number of events.
fn sent(effects: &[Effect]) -> Vec<(String, usize)> {
    let transaction = |effect: &Effect| match effect {
        Effect::Send(_, id, body) => Some((id.to_string(), body.matches("\"hashes\"").count())),
        Effect::Write(_) | Effect::Load(_) | Effect::Notice(_) => None,
    };
    effects.iter().filter_map(transaction).collect()
}

#[test]
fn an_idle_queue_sends_at_once_and_writes_down_what_it_begins() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    let effects = queues.poll(at(0));
    let begun = |effect: &Effect| matches!(effect, Effect::Write(Write::TransactionBegun { .. }));
    assert!(begun(&effects[0]));
    assert_eq!(sent(&effects), [("0-1".to_owned(), 1)]);
    assert!(queues.poll(at(1)).is_empty());
    assert_eq!(queues.next_deadline(), None);
}

#[test]
fn our_own_server_is_no_destination() {
    let mut queues = queues();
    let own = "one".try_into().unwrap();
    assert_eq!(queues.enqueue(&event(0), [own].into()), None);
    assert!(queues.poll(at(0)).is_empty());
}

#[test]
fn txn_3_while_one_is_in_flight_nothing_else_goes_and_then_at_most_fifty_do() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    queues.poll(at(0));
    enqueue(&mut queues, 60);
    assert!(queues.poll(at(1)).is_empty());
    queues.delivered(&name());
    assert_eq!(sent(&queues.poll(at(2))), [("0-2".to_owned(), PDUS_MAX)]);
    queues.delivered(&name());
    assert_eq!(sent(&queues.poll(at(3))), [("0-3".to_owned(), 10)]);
}

#[test]
fn txn_3_a_failure_is_repeated_as_it_was_after_a_pause() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    let first = sent(&queues.poll(at(0)));
    let effects = queues.failed(&name(), "no answer", at(10));
    let told = |effect: &Effect| matches!(effect, Effect::Notice(Notice::DestinationDown { .. }));
    assert!(effects.iter().any(told));
    enqueue(&mut queues, 5);
    assert!(queues.poll(at(10)).is_empty());
    let pause = queues.next_deadline().unwrap().since(at(10).monotonic);
    assert!(pause <= backoff::FIRST && pause >= backoff::FIRST * 3 / 4);
    assert_eq!(sent(&queues.poll(at(11))), first);
    let again = queues.failed(&name(), "no answer", at(12));
    assert!(!again.iter().any(told));
}

#[test]
fn xmtx_12_a_sign_of_life_ends_the_pause() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    let first = sent(&queues.poll(at(0)));
    queues.failed(&name(), "no answer", at(1));
    queues.alive(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(1))), first);
    let up = Notice::DestinationUp(name());
    let effects = queues.delivered(&name());
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notice(notice) if *notice == up))
    );
}

#[test]
fn what_does_not_fit_into_memory_is_loaded_when_its_turn_comes() {
    let mut queues = queues();
    enqueue(&mut queues, IN_MEMORY_MAX as i64 + 7);
    for _ in 0..IN_MEMORY_MAX / PDUS_MAX {
        assert_eq!(sent(&queues.poll(at(0)))[0].1, PDUS_MAX);
        queues.delivered(&name());
    }
    let effects = queues.poll(at(0));
    assert!(
        matches!(effects.as_slice(), [Effect::Load(_)]),
        "{effects:?}"
    );
    assert!(queues.poll(at(0)).is_empty());
    let rest = (0..7).map(|number| OutgoingRecord {
        sequence: IN_MEMORY_MAX as u64 + 1 + number,
        event: event(number as i64),
    });
    queues.loaded(&name(), rest.collect());
    assert_eq!(sent(&queues.poll(at(0)))[0].1, 7);
    queues.delivered(&name());
    assert!(queues.poll(at(0)).is_empty());
    assert_eq!(queues.counts(), (0, 0));
}

#[test]
fn txn_3_after_a_restart_what_was_begun_is_repeated_under_its_id_once_the_pause_is_over() {
    let mut queues = queues();
    let boot = Boot {
        starts: 4,
        last_sequence: 9,
        destinations: vec![DestinationRecord {
            destination: name(),
            failures: 2,
            retry_at: at(105).wall,
            begun: Some(BegunTransaction {
                transaction_id: "3-17".to_owned(),
                through: 8,
                begun_at: at(90).wall,
            }),
            queued: 3,
        }],
        ..Boot::default()
    };
    queues.boot(boot, at(100));
    assert!(queues.poll(at(100)).is_empty());
    assert_eq!(queues.next_deadline(), Some(at(105).monotonic));
    let effects = queues.poll(at(105));
    assert!(
        matches!(effects.as_slice(), [Effect::Load(_)]),
        "{effects:?}"
    );
    let records = (7..10).map(|sequence| OutgoingRecord {
        sequence,
        event: event(sequence as i64),
    });
    queues.loaded(&name(), records.collect());
    assert_eq!(sent(&queues.poll(at(105))), [("3-17".to_owned(), 2)]);
    queues.delivered(&name());
    assert_eq!(sent(&queues.poll(at(106))), [("4-1".to_owned(), 1)]);
}
