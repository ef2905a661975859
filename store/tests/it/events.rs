//! Event rows: inserted once, promoted once, redacted; and the timeline.

use std::sync::Arc;

use comity_core::persistence::{
    queries::{Answer, Direction, Read, StoreError, Write},
    tables::{EventState, Position, SnapshotId, StoredEvent, Verdict},
};
use comity_store::Store;
use serde_json::json;

use crate::builder::*;

#[test]
fn an_event_comes_back_as_it_was_stored() {
    let mut store = store();
    let redaction = message("why", &[]);
    let full = StoredEvent {
        pdu: message("hello", &[&redaction]),
        verdict: Verdict::SoftFailed("banned by now".to_owned()),
        state: Some(EventState {
            before: SnapshotId(3),
            after: SnapshotId(4),
        }),
        position: Some(Position(-7)),
        redacted_because: Some(redaction.event_id().to_owned()),
    };
    let rejected = StoredEvent::outlier(message("no", &[]), Verdict::Rejected("no".to_owned()));
    commit(
        &mut store,
        vec![write(full.clone()), write(rejected.clone())],
    );
    assert_eq!(read_one(&mut store, &full.pdu), Some(full));
    assert_eq!(read_one(&mut store, &rejected.pdu), Some(rejected));
    assert_eq!(read_one(&mut store, &redaction), None);
}

#[test]
fn only_those_events_are_answered_that_are_held() {
    let mut store = store();
    let events = chain(3);
    commit(
        &mut store,
        vec![write(outlier(&events[2])), write(in_graph(&events[0]))],
    );
    let asked = Read::Events(ids(&events));
    assert_eq!(
        sorted(read_ids(&mut store, asked)),
        sorted(ids([&events[0], &events[2]]))
    );
    assert!(read_ids(&mut store, Read::Events(vec![])).is_empty());
}

/// Lesson 4: a state key that is absent is not one that is empty.
#[test]
fn an_absent_and_an_empty_state_key_stay_apart() {
    let mut store = store();
    let plain = pdu(json!({ "type": "m.room.topic" }));
    let state = state_event("m.room.topic", "", json!({}));
    commit(
        &mut store,
        vec![write(in_graph(&plain)), write(in_graph(&state))],
    );
    assert_eq!(read_one(&mut store, &plain).unwrap().pdu.state_key(), None);
    assert_eq!(
        read_one(&mut store, &state).unwrap().pdu.state_key(),
        Some("")
    );
}

#[test]
fn an_outlier_is_promoted_with_all_of_the_new_row() {
    let mut store = store();
    let events = chain(2);
    let doubtful = StoredEvent::outlier(events[1].clone(), Verdict::Rejected("too early".into()));
    commit(&mut store, vec![write(doubtful)]);
    let promoted = shown(&events[1], 5);
    commit(&mut store, vec![write(promoted.clone())]);
    assert_eq!(read_one(&mut store, &events[1]), Some(promoted));
    assert_eq!(
        read_ids(&mut store, forward(None, None, 9)),
        ids([&events[1]])
    );
}

/// History from before ours is shown without being part of the graph.
#[test]
fn an_outlier_is_given_its_place_in_the_timeline_once() {
    let mut store = store();
    let event = message("old", &[]);
    let at = |position| StoredEvent {
        position: Some(Position(position)),
        ..outlier(&event)
    };
    commit(&mut store, vec![write(outlier(&event)), write(at(-1))]);
    assert_eq!(read_one(&mut store, &event), Some(at(-1)));
    commit(&mut store, vec![write(at(-2)), write(outlier(&event))]);
    assert_eq!(read_one(&mut store, &event), Some(at(-1)));
    assert_eq!(read_ids(&mut store, forward(None, None, 9)), ids([&event]));
}

#[test]
fn an_event_of_the_graph_is_never_changed_by_a_second_insertion() {
    let mut store = store();
    let event = message("once", &[]);
    let first = shown(&event, 1);
    commit(&mut store, vec![write(first.clone())]);
    for later in [outlier(&event), rejected(&event), shown(&event, 2)] {
        commit(&mut store, vec![write(later)]);
        assert_eq!(read_one(&mut store, &event), Some(first.clone()));
    }
}

#[test]
fn an_outlier_is_not_changed_by_another_outlier() {
    let mut store = store();
    let event = message("once", &[]);
    commit(&mut store, vec![write(outlier(&event))]);
    let denied = StoredEvent::outlier(event.clone(), Verdict::Rejected("no".to_owned()));
    commit(&mut store, vec![write(denied)]);
    assert_eq!(read_one(&mut store, &event), Some(outlier(&event)));
}

#[test]
fn an_outlier_that_could_not_be_verified_gives_way_to_what_was_found_out() {
    for found_out in [outlier, rejected] {
        let mut store = store();
        let event = message("signed with an unknown key", &[]);
        commit(&mut store, vec![write(unverified(&event))]);
        commit(&mut store, vec![write(unverified(&event))]);
        assert_eq!(read_one(&mut store, &event), Some(unverified(&event)));
        let now = StoredEvent {
            state: None,
            ..found_out(&event)
        };
        commit(&mut store, vec![write(now.clone())]);
        commit(&mut store, vec![write(unverified(&event))]);
        assert_eq!(read_one(&mut store, &event), Some(now));
    }
}

#[test]
fn a_redaction_replaces_the_content_and_nothing_else() {
    let mut store = store();
    let (event, redaction) = (message("secret", &[]), message("reason", &[]));
    commit(&mut store, vec![write(shown(&event, 1))]);
    let redacted = redacted(&shown(&event, 1), &redaction);
    commit(
        &mut store,
        vec![Write::Redact {
            redacted: Arc::new(redacted.clone()),
        }],
    );
    let found = read_one(&mut store, &event).unwrap();
    assert_eq!(found, redacted);
    assert!(!found.pdu.json().contains("secret"));
}

/// PDU-29.
#[test]
fn promotion_keeps_a_redaction() {
    let mut store = store();
    let (event, redaction) = (message("secret", &[]), message("reason", &[]));
    commit(
        &mut store,
        vec![write(redacted(&outlier(&event), &redaction))],
    );
    commit(&mut store, vec![write(shown(&event, 1))]);
    assert_eq!(
        read_one(&mut store, &event),
        Some(redacted(&shown(&event, 1), &redaction))
    );
}

#[test]
fn promotion_can_bring_a_redaction() {
    let mut store = store();
    let (event, redaction) = (message("secret", &[]), message("reason", &[]));
    commit(&mut store, vec![write(outlier(&event))]);
    let promoted = redacted(&shown(&event, 1), &redaction);
    commit(&mut store, vec![write(promoted.clone())]);
    assert_eq!(read_one(&mut store, &event), Some(promoted));
}

#[test]
fn what_is_not_stored_cannot_be_redacted() {
    let mut store = store();
    let (event, redaction) = (message("secret", &[]), message("reason", &[]));
    let redacted = Arc::new(redacted(&shown(&event, 1), &redaction));
    let error = refused(&mut store, vec![Write::Redact { redacted }]);
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn an_event_of_a_room_without_a_version_is_refused() {
    let mut store = Store::in_memory().unwrap();
    let error = refused(&mut store, vec![write(in_graph(&message("lost", &[])))]);
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn a_timeline_holds_shown_events_in_the_order_of_positions() {
    let mut store = store();
    let events = chain(7);
    let mut writes: Vec<_> = [3, 1, -2, 7, 0].iter().zip(&events).map(position).collect();
    writes.push(write(in_graph(&events[5])));
    writes.push(write(outlier(&events[6])));
    commit(&mut store, writes);
    let by_position = ids([2, 4, 1, 0, 3].map(|index: usize| &events[index]));
    let newest_first: Vec<_> = by_position.iter().rev().cloned().collect();
    assert_eq!(read_ids(&mut store, forward(None, None, 9)), by_position);
    assert_eq!(
        read_ids(&mut store, forward(None, None, 2)),
        by_position[..2]
    );
    assert_eq!(
        read_ids(&mut store, forward(Some(0), None, 9)),
        by_position[2..]
    );
    assert_eq!(
        read_ids(&mut store, forward(Some(-2), Some(3), 9)),
        by_position[1..3]
    );
    assert_eq!(read_ids(&mut store, backward(None, None, 9)), newest_first);
    assert_eq!(
        read_ids(&mut store, backward(Some(7), Some(0), 9)),
        newest_first[1..3]
    );
    assert_eq!(
        read_ids(&mut store, backward(Some(1), None, 1)),
        newest_first[3..4]
    );
}

#[test]
fn two_shown_events_of_a_room_cannot_share_a_position() {
    let mut store = store();
    let events = chain(2);
    commit(&mut store, vec![write(shown(&events[0], 1))]);
    let error = refused(&mut store, vec![write(shown(&events[1], 1))]);
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

fn redacted(stored: &StoredEvent, redaction: &Arc<comity_core::pdu::Pdu>) -> StoredEvent {
    StoredEvent {
        pdu: Arc::new(stored.pdu.redacted()),
        redacted_because: Some(redaction.event_id().to_owned()),
        ..stored.clone()
    }
}

fn position((position, pdu): (&i64, &Arc<comity_core::pdu::Pdu>)) -> Write {
    write(shown(pdu, *position))
}

fn forward(from: Option<i64>, to: Option<i64>, limit: u32) -> Read {
    timeline(from, to, Direction::Forward, limit)
}

fn backward(from: Option<i64>, to: Option<i64>, limit: u32) -> Read {
    timeline(from, to, Direction::Backward, limit)
}

fn timeline(from: Option<i64>, to: Option<i64>, direction: Direction, limit: u32) -> Read {
    let (from, to) = (from.map(Position), to.map(Position));
    Read::Timeline {
        room_id: room(),
        from,
        to,
        direction,
        limit,
    }
}

#[test]
fn what_was_set_aside_is_found_newest_first() {
    let mut store = store();
    let events = chain(5);
    let soft_failed = |pdu| StoredEvent {
        verdict: Verdict::SoftFailed("no longer allowed".to_owned()),
        ..in_graph(pdu)
    };
    let writes = vec![
        write(shown(&events[0], 1)),
        write(rejected(&events[1])),
        write(shown(&events[2], 2)),
        write(soft_failed(&events[3])),
        write(outlier(&events[4])),
    ];
    commit(&mut store, writes);
    let mut found = |limit| {
        let room_id = room();
        read_ids(&mut store, Read::SetAside { room_id, limit })
    };
    assert_eq!(found(5), ids([&events[3], &events[1]]));
    assert_eq!(found(1), ids([&events[3]]));
}

#[test]
fn ids_are_found_by_how_they_begin() {
    let mut store = store();
    let events = chain(3);
    let all = sorted(ids(&events));
    commit(
        &mut store,
        vec![write(shown(&events[0], 1)), write(outlier(&events[1]))],
    );
    let mut found = |prefix: &str| {
        let prefix = prefix.to_owned();
        match read(&mut store, Read::EventIds { prefix, limit: 10 }) {
            Answer::EventIds(ids) => ids,
            other => panic!("{other:?} is no list of ids"),
        }
    };
    // The third is known by name only.
    assert_eq!(found("$"), sorted(ids(&events[..2])));
    assert_eq!(found(all[0].as_str()), found(&all[0].as_str()[..9]));
    assert_eq!(
        found(&events[0].event_id().as_str()[..9]),
        ids([&events[0]])
    );
    assert!(found("$%").is_empty());
}
