//! Small events for tests, and short ways to ask the store.

use std::sync::Arc;

use comity_core::{
    pdu::{Pdu, RoomVersion, StateKey, event_text::EventText, hash, unpadded_base64},
    persistence::{
        queries::{Answer, Batch, Query, Read, StoreError, Write},
        tables::{EventState, Position, SnapshotId, StateChange, StoredEvent, Verdict},
    },
};
use comity_store::Store;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};
use serde_json::{Value, json};

pub fn room() -> OwnedRoomId {
    "!hill:ann.example".try_into().unwrap()
}

pub fn server(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}

pub fn write_version() -> Write {
    Write::RoomVersion(room(), RoomVersion::V10)
}

/// A store that knows the version of [`room`].
pub fn store() -> Store {
    let mut store = Store::in_memory().unwrap();
    commit(&mut store, vec![write_version()]);
    store
}

/// An event of [`room`] with these fields, the others being dull.
pub fn pdu(fields: Value) -> Arc<Pdu> {
    let mut event = json!({
        "type": "m.room.message",
        "room_id": room(),
        "sender": "@ann:ann.example",
        "content": {},
        "depth": 1,
        "origin_server_ts": 1,
        "prev_events": [],
        "auth_events": [],
        "signatures": {},
    });
    let event = event.as_object_mut().unwrap();
    event.extend(fields.as_object().unwrap().clone());
    let text = EventText::from_object(event, RoomVersion::V10).unwrap();
    let hash = unpadded_base64::encode(&hash::content_hash(&text));
    event.insert("hashes".to_owned(), json!({ "sha256": hash }));
    Arc::new(Pdu::from_object(event.clone(), RoomVersion::V10).unwrap())
}

/// A message after these events.
pub fn message(body: &str, prev: &[&Arc<Pdu>]) -> Arc<Pdu> {
    let depth = prev.iter().map(|pdu| pdu.depth()).max().unwrap_or(0) + 1;
    let prev: Vec<_> = prev.iter().map(|pdu| pdu.event_id()).collect();
    pdu(json!({ "content": { "body": body }, "depth": depth, "prev_events": prev }))
}

/// `count` messages, each after the one before.
pub fn chain(count: usize) -> Vec<Arc<Pdu>> {
    let mut events: Vec<Arc<Pdu>> = Vec::new();
    for number in 0..count {
        let event = message(
            &number.to_string(),
            &events.last().into_iter().collect::<Vec<_>>(),
        );
        events.push(event);
    }
    events
}

pub fn state_event(event_type: &str, state_key: &str, content: Value) -> Arc<Pdu> {
    pdu(json!({ "type": event_type, "state_key": state_key, "content": content }))
}

/// A state event with an empty state key and these other fields.
pub fn state_event_with(event_type: &str, mut fields: Value) -> Arc<Pdu> {
    fields["type"] = event_type.into();
    fields["state_key"] = "".into();
    pdu(fields)
}

pub fn member(user: &str, membership: &str) -> Arc<Pdu> {
    state_event("m.room.member", user, json!({ "membership": membership }))
}

/// As an event of the graph with no place in the timeline.
pub fn in_graph(pdu: &Arc<Pdu>) -> StoredEvent {
    let state = EventState {
        before: SnapshotId(1),
        after: SnapshotId(1),
    };
    StoredEvent {
        state: Some(state),
        ..outlier(pdu)
    }
}

pub fn shown(pdu: &Arc<Pdu>, position: i64) -> StoredEvent {
    StoredEvent {
        position: Some(Position(position)),
        ..in_graph(pdu)
    }
}

pub fn outlier(pdu: &Arc<Pdu>) -> StoredEvent {
    StoredEvent::outlier(Arc::clone(pdu), Verdict::Accepted)
}

pub fn rejected(pdu: &Arc<Pdu>) -> StoredEvent {
    StoredEvent {
        verdict: Verdict::Rejected("not a member".to_owned()),
        ..in_graph(pdu)
    }
}

/// As one whose signatures could not be checked.
pub fn unverified(pdu: &Arc<Pdu>) -> StoredEvent {
    StoredEvent::outlier(Arc::clone(pdu), Verdict::unverified())
}

pub fn write(event: StoredEvent) -> Write {
    Write::Event(Arc::new(event))
}

/// The change that makes this state event the entry for its key.
pub fn set(pdu: &Arc<Pdu>) -> StateChange {
    StateChange {
        key: key_of(pdu),
        event_id: Some(pdu.event_id().to_owned()),
    }
}

pub fn key_of(pdu: &Arc<Pdu>) -> StateKey {
    StateKey::new(pdu.event_type(), pdu.state_key().unwrap())
}

pub fn batch(writes: Vec<Write>) -> Query {
    Query::Commit(Batch { writes })
}

pub fn commit(store: &mut Store, writes: Vec<Write>) {
    assert_eq!(store.run(&batch(writes)), Ok(Answer::Committed));
}

pub fn refused(store: &mut Store, writes: Vec<Write>) -> StoreError {
    store.run(&batch(writes)).unwrap_err()
}

pub fn read(store: &mut Store, read: Read) -> Answer {
    store.run(&Query::Read(read)).unwrap()
}

pub fn read_events(store: &mut Store, question: Read) -> Vec<StoredEvent> {
    let Answer::Events(events) = read(store, question) else {
        panic!("not an answer in events")
    };
    events
        .iter()
        .map(|event| StoredEvent::clone(event))
        .collect()
}

/// The ids of the state events that rest on these, in order; `None` if there are too many.
pub fn auth_descendants(store: &mut Store, of: &Arc<Pdu>, limit: u32) -> Option<Vec<OwnedEventId>> {
    let of = ids([of]);
    let answer = read(store, Read::AuthDescendants { of, limit });
    let Answer::AuthDescendants(events) = answer else {
        panic!("not an answer in auth descendants")
    };
    Some(ids(events?.iter().map(|event| &event.pdu)))
}

/// The ids of the events that the store answers.
pub fn read_ids(store: &mut Store, question: Read) -> Vec<OwnedEventId> {
    read_events(store, question)
        .iter()
        .map(|event| event.pdu.event_id().to_owned())
        .collect()
}

pub fn read_one(store: &mut Store, pdu: &Arc<Pdu>) -> Option<StoredEvent> {
    read_events(store, Read::Events(vec![pdu.event_id().to_owned()])).pop()
}

pub fn ids<'a>(pdus: impl IntoIterator<Item = &'a Arc<Pdu>>) -> Vec<OwnedEventId> {
    pdus.into_iter()
        .map(|pdu| pdu.event_id().to_owned())
        .collect()
}

pub fn sorted(mut ids: Vec<OwnedEventId>) -> Vec<OwnedEventId> {
    ids.sort();
    ids
}
