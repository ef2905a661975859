//! Which events a picture of a room shows, and in which order.

use std::sync::Arc;

use comity_core::{
    pdu::{
        Pdu, RoomVersion,
        explain::{RoomGraph, Standing, recent_graph},
    },
    persistence::tables::Verdict,
};
use serde_json::json;

use super::shelf::Shelf;
use crate::room::{ALICE, Room};

/// A chain of messages, of which these were rejected.
fn chain(length: usize, rejected: impl Fn(usize) -> bool) -> (Room, Shelf, Vec<Arc<Pdu>>) {
    let mut room = Room::new(RoomVersion::V12);
    let state = room.state.clone();
    let mut messages = Vec::new();
    for _ in 0..length {
        messages.push(room.make(&state, ALICE, "m.room.message", None, json!({})));
    }
    let mut shelf = Shelf::of(&room);
    for (number, message) in messages.iter().enumerate() {
        let verdict = match rejected(number) {
            true => Verdict::Rejected("for the test".to_owned()),
            false => Verdict::Accepted,
        };
        shelf.put(message, verdict, &state, &state);
    }
    let last = messages.last().unwrap().event_id().to_owned();
    shelf.extremities = vec![last];
    (room, shelf, messages)
}

fn graph(room: &Room, shelf: &Shelf, limit: usize, auth_events: bool) -> RoomGraph {
    recent_graph(room.create.room_id(), limit, auth_events, &shelf.archive()).unwrap()
}

fn follows_its_previous(graph: &RoomGraph) -> bool {
    graph.events.iter().enumerate().all(|(place, event)| {
        let later = graph.events.iter().skip(place);
        let mut later = later.map(|event| &event.event.event_id);
        later.all(|later| !event.prev_events.contains(later))
    })
}

#[test]
fn the_latest_events_are_shown_each_after_those_it_follows() {
    let (room, shelf, messages) = chain(20, |_| false);
    let graph = graph(&room, &shelf, 8, false);
    let shown: Vec<_> = graph
        .events
        .iter()
        .map(|event| &*event.event.event_id)
        .collect();
    let latest: Vec<_> = messages
        .iter()
        .skip(12)
        .map(|message| message.event_id())
        .collect();
    assert_eq!(shown, latest);
    assert!(follows_its_previous(&graph));
    let ends: Vec<bool> = graph
        .events
        .iter()
        .map(|event| event.is_forward_extremity)
        .collect();
    assert_eq!(ends.iter().filter(|is_end| **is_end).count(), 1);
    assert!(ends[7]);
}

#[test]
fn what_was_refused_is_shown_with_its_reason_but_never_fills_the_picture() {
    let (room, shelf, _) = chain(40, |number| number % 4 != 3);
    let graph = graph(&room, &shelf, 9, false);
    let rejected = graph
        .events
        .iter()
        .filter(|e| e.event.standing == Standing::Rejected);
    let reasons: Vec<_> = rejected.map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("for the test"); 3]);
    assert_eq!(graph.events.len(), 9);
    assert!(follows_its_previous(&graph));
}

#[test]
fn auth_events_come_along_on_request() {
    let (room, shelf, messages) = chain(5, |_| false);
    let without = graph(&room, &shelf, 5, false);
    let with = graph(&room, &shelf, 5, true);
    let named = messages[0].auth_events().len();
    assert_eq!(with.events.len(), without.events.len() + named);
    assert!(follows_its_previous(&with));
}

/// Ids that servers choose do not keep events from following each other in a circle.
#[test]
fn a_circle_is_shown_as_well_as_may_be() {
    let mut room = Room::new(RoomVersion::V1);
    let state = room.state.clone();
    let one = room.make(&state, ALICE, "m.room.message", None, json!({}));
    let other = room.make(&state, ALICE, "m.room.message", None, json!({}));
    let mut object = one.object();
    object.insert(
        "prev_events".to_owned(),
        json!([[other.event_id(), { "sha256": "" }]]),
    );
    let one = Arc::new(Pdu::from_object(object, RoomVersion::V1).unwrap());
    assert_eq!(other.prev_events(), [one.event_id()]);
    assert_eq!(one.prev_events(), [other.event_id()]);
    let mut shelf = Shelf::of(&room);
    for event in [&one, &other] {
        shelf.put(event, Verdict::Accepted, &state, &state);
    }
    let graph = graph(&room, &shelf, 9, false);
    let shown: Vec<_> = graph
        .events
        .iter()
        .map(|event| &*event.event.event_id)
        .collect();
    assert_eq!(shown, [one.event_id(), other.event_id()]);
}
