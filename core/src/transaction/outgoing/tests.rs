//! What a queue does in each of its states.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    pdu::{
        Pdu, RoomVersion,
        build::{EventTemplate, build},
        signing::SigningKey,
    },
    persistence::tables::{BegunTransaction, DestinationRecord, OldestOf, Verdict},
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
    Outgoing::new("one".try_into().unwrap(), QueueLimits::default(), [3; 32])
}

fn enqueue(queues: &mut Outgoing, count: i64) {
    for number in 0..count {
        let writes = queues.enqueue(&event(number), [name()].into(), at(0));
        assert!(!writes.is_empty());
    }
}

fn typing(queues: &mut Outgoing, user: &str, typing: bool) {
    let content = json!({ "room_id": "!room:one", "user_id": user, "typing": typing });
    let moments = Moment::all_of("m.typing", content.as_object().unwrap());
    queues.enqueue_moments(&moments, [name()].into());
}

/// The transactions among some effects: id and body.
fn bodies(effects: &[Effect]) -> Vec<(String, Value)> {
    let transaction = |effect: &Effect| match effect {
        Effect::Send(_, id, body) => Some((id.to_string(), serde_json::from_slice(body).unwrap())),
        Effect::Write(_) | Effect::Measure { .. } | Effect::Load(_) | Effect::Notice(_) => None,
    };
    effects.iter().filter_map(transaction).collect()
}

/// The transactions among some effects: id, number of events, number of ephemeral messages.
fn sent(effects: &[Effect]) -> Vec<(String, usize, usize)> {
    let length = |body: &Value, key: &str| body[key].as_array().unwrap().len();
    bodies(effects)
        .into_iter()
        .map(|(id, body)| (id, length(&body, "pdus"), length(&body, "edus")))
        .collect()
}

fn one(id: &str, pdus: usize, edus: usize) -> [(String, usize, usize); 1] {
    [(id.to_owned(), pdus, edus)]
}

/// What the store would answer: events with these sequences.
fn records(sequences: std::ops::Range<u64>) -> Vec<OutgoingRecord> {
    let record = |sequence| OutgoingRecord {
        sequence,
        item: OutgoingItem::Pdu(event(sequence as i64).pdu.json().into()),
    };
    sequences.map(record).collect()
}

fn excess(events: u64) -> Excess {
    let events = OldestOf {
        count: events,
        through: events,
    };
    Excess {
        events,
        ..Excess::default()
    }
}

/// Lets a queue be measured, then loaded.
fn catch_up(
    queues: &mut Outgoing,
    effects: &[Effect],
    records: Vec<OutgoingRecord>,
    now: Now,
) -> Vec<Effect> {
    assert!(matches!(effects, [Effect::Measure { .. }]), "{effects:?}");
    let effects = queues.measured(&name(), excess(0));
    assert!(
        matches!(effects.as_slice(), [Effect::Load(_)]),
        "{effects:?}"
    );
    queues.loaded(&name(), records, now)
}

#[test]
fn an_idle_queue_sends_at_once_and_writes_down_what_it_begins() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    let effects = queues.poll(at(0));
    let begun = |effect: &Effect| matches!(effect, Effect::Write(Write::TransactionBegun { .. }));
    assert!(begun(&effects[0]));
    assert_eq!(sent(&effects), one("0-1", 1, 0));
    assert!(queues.poll(at(1)).is_empty());
    assert_eq!(queues.next_deadline(), None);
}

#[test]
fn our_own_server_is_no_destination() {
    let mut queues = queues();
    let own = "one".try_into().unwrap();
    assert_eq!(queues.enqueue(&event(0), [own].into(), at(0)), []);
    assert!(queues.poll(at(0)).is_empty());
}

#[test]
fn what_goes_to_many_is_written_once_and_the_same_bytes_for_all() {
    let mut queues = queues();
    let names: BTreeSet<OwnedServerName> = (0..100)
        .map(|number| format!("s{number}").try_into().unwrap())
        .collect();
    let first = queues.enqueue(&event(0), names.clone(), at(0));
    assert!(matches!(
        first.as_slice(),
        [Write::Audience { .. }, Write::Enqueue { .. }]
    ));
    let second = queues.enqueue(&event(1), names, at(0));
    assert!(matches!(second.as_slice(), [Write::Enqueue { .. }]));
    let bodies: Vec<_> = queues
        .poll(at(0))
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Send(_, _, body) => Some(body.as_ptr()),
            _ => None,
        })
        .collect();
    assert_eq!(bodies, [bodies[0]; 100]);
}

/// TXN-1.
#[test]
fn txn_3_while_one_is_in_flight_nothing_else_goes_and_then_at_most_fifty_do() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    queues.poll(at(0));
    enqueue(&mut queues, 60);
    assert!(queues.poll(at(1)).is_empty());
    queues.delivered(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(2))), one("0-2", PDUS_MAX, 0));
    queues.delivered(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(3))), one("0-3", 10, 0));
}

/// TXN-3: the body is the same to the last byte, read from the disk again, with the same ephemeral
/// messages and no others.
#[test]
fn txn_3_a_failure_is_repeated_as_it_was_after_a_pause() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    typing(&mut queues, "@ann:one", true);
    let first = bodies(&queues.poll(at(0)));
    let effects = queues.failed(&name(), "no answer", at(10));
    let told = |effect: &Effect| matches!(effect, Effect::Notice(Notice::DestinationDown { .. }));
    assert!(effects.iter().any(told));
    enqueue(&mut queues, 5);
    typing(&mut queues, "@ann:one", false);
    assert!(queues.poll(at(10)).is_empty());
    let pause = queues.next_deadline().unwrap().since(at(10).monotonic);
    assert!(pause <= backoff::FIRST && pause >= backoff::FIRST * 3 / 4);
    let effects = queues.poll(at(11));
    let mut stored = records(2..7);
    let item = OutgoingItem::Pdu(event(0).pdu.json().into());
    stored.insert(0, OutgoingRecord { sequence: 1, item });
    let effects = catch_up(&mut queues, &effects, stored, at(11));
    assert_eq!(bodies(&effects), first);
    let again = queues.failed(&name(), "no answer", at(12));
    assert!(!again.iter().any(told));
}

#[test]
fn xmtx_12_a_sign_of_life_ends_the_pause_and_makes_the_next_one_short() {
    let mut queues = queues();
    typing(&mut queues, "@ann:one", true);
    let mut now = 0;
    let first = sent(&queues.poll(at(now)));
    for _ in 0..9 {
        queues.failed(&name(), "no answer", at(now));
        now += 300;
        assert_eq!(sent(&queues.poll(at(now))), first);
    }
    queues.failed(&name(), "no answer", at(now));
    assert!(queues.poll(at(now)).is_empty());
    assert!(queues.alive(&name()));
    assert_eq!(sent(&queues.poll(at(now))), first);
    queues.failed(&name(), "no answer", at(now));
    let pause = queues.next_deadline().unwrap().since(at(now).monotonic);
    assert!(pause <= backoff::FIRST);
    assert_eq!(queues.retry_all(at(now)), 1);
    assert_eq!(queues.next_deadline(), None);
    assert_eq!(sent(&queues.poll(at(now))), first);
    let up = Notice::DestinationUp(name());
    let effects = queues.delivered(&name(), at(1));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notice(notice) if *notice == up))
    );
    assert_eq!(queues.counts(), (0, 0));
    assert!(!queues.alive(&name()));
}

#[test]
fn what_does_not_fit_into_memory_is_loaded_when_its_turn_comes() {
    let mut queues = queues();
    enqueue(&mut queues, 207);
    for _ in 0..4 {
        assert_eq!(sent(&queues.poll(at(0)))[0].1, PDUS_MAX);
        queues.delivered(&name(), at(1));
    }
    let effects = queues.poll(at(0));
    assert!(
        matches!(effects.as_slice(), [Effect::Load(_)]),
        "{effects:?}"
    );
    assert!(queues.poll(at(0)).is_empty());
    let effects = queues.loaded(&name(), records(201..208), at(0));
    assert_eq!(sent(&effects)[0].1, 7);
    queues.delivered(&name(), at(1));
    assert!(queues.poll(at(0)).is_empty());
    assert_eq!(queues.counts(), (0, 0));
    assert!(queues.destinations.is_empty());
}

#[test]
fn what_is_queued_while_the_queue_is_read_is_read_after_it() {
    let mut queues = queues();
    enqueue(&mut queues, 201);
    for _ in 0..4 {
        queues.poll(at(0));
        queues.delivered(&name(), at(1));
    }
    queues.poll(at(0));
    enqueue(&mut queues, 1);
    assert_eq!(
        sent(&queues.loaded(&name(), records(201..202), at(0)))[0].1,
        1
    );
    queues.delivered(&name(), at(1));
    let effects = queues.poll(at(0));
    assert!(
        matches!(effects.as_slice(), [Effect::Load(_)]),
        "{effects:?}"
    );
}

fn boot(begun: Option<BegunTransaction>, failures: u32, queued: bool) -> Boot {
    Boot {
        starts: 4,
        last_sequence: 9,
        destinations: vec![DestinationRecord {
            destination: name(),
            failures,
            retry_at: at(105).wall,
            begun,
            queued,
        }],
        ..Boot::default()
    }
}

#[test]
fn txn_3_after_a_restart_what_was_begun_is_repeated_under_its_id_once_the_pause_is_over() {
    let mut queues = queues();
    let begun = BegunTransaction {
        transaction_id: "3-17".to_owned(),
        through: 8,
        begun_at: at(90).wall,
    };
    queues.boot(boot(Some(begun), 2, true), at(100));
    assert!(queues.poll(at(100)).is_empty());
    assert_eq!(queues.next_deadline(), Some(at(105).monotonic));
    typing(&mut queues, "@ann:one", true);
    let effects = queues.poll(at(105));
    let effects = catch_up(&mut queues, &effects, records(7..10), at(105));
    assert_eq!(sent(&effects), one("3-17", 2, 0));
    queues.delivered(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(106))), one("4-1", 1, 1));
}

#[test]
fn a_server_that_failed_long_ago_and_is_owed_nothing_is_not_remembered_at_a_start() {
    let mut queues = queues();
    queues.boot(boot(None, 9, false), at(106));
    assert!(queues.destinations.is_empty());
    queues.boot(boot(None, 9, false), at(104));
    assert_eq!(queues.counts(), (0, 1));
    queues.boot(boot(None, 9, true), at(106));
    assert_eq!(queues.poll(at(106)).len(), 1);
}

/// TXN-18: after a long outage what is more than is kept is given up, and somebody is told.
#[test]
fn txn_18_what_exceeds_the_bound_is_given_up_before_the_rest_is_sent() {
    let mut queues = queues();
    let limits = QueueLimits::default();
    let now = at(limits.age.as_secs() + 7);
    queues.boot(boot(None, 9, true), now);
    let effects = queues.poll(now);
    let [
        Effect::Measure {
            depth,
            queued_since,
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*depth, *queued_since), (limits.depth, at(7).wall));
    let effects = queues.measured(&name(), excess(3));
    let told = Notice::GivenUp {
        destination: name(),
        events: 3,
        edus: 0,
    };
    assert!(
        matches!(
            effects.as_slice(),
            [
                Effect::Write(Write::GiveUp { events_through: 3, .. }),
                Effect::Notice(notice),
                Effect::Load(_),
            ] if *notice == told
        ),
        "{effects:?}"
    );
}

#[test]
fn reliable_messages_go_with_the_events_and_leave_room_for_moments() {
    let mut queues = queues();
    let edu: Arc<str> = "{}".into();
    for _ in 0..90 {
        queues.enqueue_edu(&edu, [name()].into(), at(0));
    }
    enqueue(&mut queues, 1);
    (0..30).for_each(|number| typing(&mut queues, &format!("@u{number}:one"), true));
    assert_eq!(sent(&queues.poll(at(0))), one("0-1", 0, 94));
    queues.delivered(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(0))), one("0-2", 1, 24));
    queues.delivered(&name(), at(1));
    assert_eq!(sent(&queues.poll(at(0))), one("0-3", 0, 2));
}

/// TXN-18: what is true for a moment is not kept for a server that is down for long.
#[test]
fn txn_18_moments_do_not_wait_for_a_server_that_is_down_for_long() {
    let mut queues = queues();
    enqueue(&mut queues, 1);
    let mut effects = queues.poll(at(0));
    let mut now = 0;
    for _ in 0..12 {
        typing(&mut queues, "@ann:one", true);
        queues.failed(&name(), "no answer", at(now));
        now += 10_000;
        effects = queues.poll(at(now));
        effects = catch_up(&mut queues, &effects, records(1..2), at(now));
    }
    typing(&mut queues, "@ann:one", true);
    assert_eq!(sent(&effects), one("0-1", 1, 0));
    queues.delivered(&name(), at(1));
    assert!(queues.poll(at(now)).is_empty());
}

/// Ten thousand servers that are down: what others are sent does not look at any of them, and what
/// remains of each is small.
fn living_beside_the_dead() -> Outgoing {
    let mut queues = queues();
    let dead: BTreeSet<OwnedServerName> = (0..10_000)
        .map(|number| format!("dead{number}").try_into().unwrap())
        .collect();
    queues.enqueue(&event(0), dead.clone(), at(0));
    let mut tried = 0;
    while tried < dead.len() {
        let effects = queues.poll(at(0));
        assert!(!effects.is_empty());
        for effect in effects {
            if let Effect::Send(name, ..) = effect {
                queues.failed(&name, "no answer", at(0));
                tried += 1;
            }
        }
    }
    assert_eq!(queues.counts(), (0, 10_000));
    for round in 0..100 {
        enqueue(&mut queues, 1);
        assert_eq!(queues.lines.waiting(), 1, "only one is looked at");
        assert_eq!(sent(&queues.poll(at(0))).len(), 1, "in round {round}");
        queues.delivered(&name(), at(1));
    }
    let left = queues.destinations.values().map(Destination::in_memory);
    assert_eq!(left.sum::<usize>(), 0);
    queues
}

#[test]
fn those_whose_pause_is_over_take_no_place_from_the_living() {
    let mut queues = living_beside_the_dead();
    queues.poll(at(1));
    must_probe_few(&mut queues, at(1));
}

#[test]
fn those_who_are_tried_again_because_somebody_says_so_take_no_place_from_the_living() {
    let mut queues = living_beside_the_dead();
    assert_eq!(queues.retry_all(at(0)), 10_000);
    queues.poll(at(0));
    must_probe_few(&mut queues, at(0));
}

fn must_probe_few(queues: &mut Outgoing, now: Now) {
    let states = queues.destinations.values().map(|it| it.state);
    let probed = states.filter(|state| matches!(state, State::CatchingUp { .. }));
    assert_eq!(probed.count(), PROBES_AT_ONCE);
    enqueue(queues, 1);
    assert_eq!(sent(&queues.poll(now)).len(), 1);
}
