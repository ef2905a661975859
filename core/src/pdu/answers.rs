//! Reading the events in other servers' answers.
//!
//! Everything that is malformed or of another room than the one asked about is left out (PDU-19);
//! what is left has passed check 1 and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use ruma_common::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Pdu, RoomVersion};
use crate::transport::remote_response::{self, RemoteError};

/// How many events are looked at of an answer that has reason to be small.
const FEW: usize = 100;

/// How many events those of a history may name together.
const NAMED_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Events<'b> {
    #[serde(borrow)]
    events: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct Pdus<'b> {
    #[serde(borrow)]
    pdus: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct AuthChain<'b> {
    #[serde(borrow)]
    auth_chain: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct State<'b> {
    #[serde(borrow)]
    pdus: Vec<&'b RawValue>,
    #[serde(borrow)]
    auth_chain: Vec<&'b RawValue>,
}

/// How many events a state and what authorises it may be: of the largest rooms there are, several
/// times as much.
const STATE_MAX: usize = 1_000_000;

/// A state and what authorises it, by id.
#[derive(Clone, Debug, Deserialize)]
pub struct StateIds {
    /// The events of the state.
    pub pdu_ids: Vec<OwnedEventId>,
    /// The events that authorise them.
    pub auth_chain_ids: Vec<OwnedEventId>,
}

/// The answer to `state_ids`.
///
/// # Errors
/// If it is no such answer, or too large.
pub fn state_ids(body: &Bytes) -> Result<StateIds, RemoteError> {
    let answer: StateIds = remote_response::parse(body)?;
    within_bound(answer.pdu_ids.len(), answer.auth_chain_ids.len())?;
    Ok(answer)
}

/// Bounds a state and what authorises it.
///
/// # Errors
/// If they are too many events.
pub fn within_bound(state: usize, auth_chain: usize) -> Result<(), RemoteError> {
    match state.saturating_add(auth_chain) <= STATE_MAX {
        true => Ok(()),
        false => Err(RemoteError::Nonsense(
            "no room has so much state".to_owned(),
        )),
    }
}

/// A state and what authorises it, by value.
#[derive(Clone, Debug)]
pub struct WholeState {
    /// The events of the state.
    pub state: Vec<Arc<Pdu>>,
    /// The events that authorise them.
    pub auth_chain: Vec<Arc<Pdu>>,
}

/// The answer to `get_missing_events`.
#[must_use]
pub fn missing_events(body: &Bytes, room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let answer: Result<Events<'_>, _> = serde_json::from_slice(body);
    few(
        &answer.map(|answer| answer.events).unwrap_or_default(),
        room_id,
        version,
    )
}

/// The answer to `backfill`, where it fills a gap: what goes into the graph is as is demanded of
/// events today.
#[must_use]
pub fn backfill(body: &Bytes, room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let answer: Result<Pdus<'_>, _> = serde_json::from_slice(body);
    few(
        &answer.map(|answer| answer.pdus).unwrap_or_default(),
        room_id,
        version,
    )
}

/// The answer to `backfill`, where it is history: an event may name more events than may be named
/// today (BACKFILL-2). Of all of them together so many are looked at.
#[must_use]
pub fn history(body: &Bytes, room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let answer: Result<Pdus<'_>, _> = serde_json::from_slice(body);
    let events = answer.map(|answer| answer.pdus).unwrap_or_default();
    let events = events.iter().take(FEW);
    let parsed = events.filter_map(|json| Pdu::parse_history(json.get(), version).ok());
    let mut named = 0;
    let mut is_within_bound = |event: &Pdu| {
        named += event.prev_events().iter().count() + event.auth_events().iter().count();
        named <= NAMED_MAX
    };
    of_room(parsed.take_while(|event| is_within_bound(event)), room_id)
}

/// The event asked for in an answer to `event` (EVENT-2).
#[must_use]
pub fn event(
    body: &Bytes,
    event_id: &EventId,
    room_id: &RoomId,
    version: RoomVersion,
) -> Option<Arc<Pdu>> {
    let events = backfill(body, room_id, version);
    events
        .into_iter()
        .find(|event| event.event_id() == event_id)
}

/// The answer to `event_auth`.
#[must_use]
pub fn auth_chain(body: &Bytes, room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let answer: Result<AuthChain<'_>, _> = serde_json::from_slice(body);
    let events = answer.map(|answer| answer.auth_chain).unwrap_or_default();
    events_of(&events, room_id, version)
}

/// The answer to `state`.
///
/// # Errors
/// If it is no such answer, or too large.
pub fn state(
    body: &Bytes,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<WholeState, RemoteError> {
    let answer: State<'_> = remote_response::parse_borrowed(body)?;
    within_bound(answer.pdus.len(), answer.auth_chain.len())?;
    Ok(WholeState {
        state: events_of(&answer.pdus, room_id, version),
        auth_chain: events_of(&answer.auth_chain, room_id, version),
    })
}

/// Each event once, of an answer that its size alone bounds.
#[must_use]
pub fn events_of(events: &[&RawValue], room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let parsed = events
        .iter()
        .filter_map(|json| Pdu::parse(json.get(), version).ok());
    of_room(parsed, room_id)
}

/// Those of a room, each once.
fn of_room(events: impl Iterator<Item = Pdu>, room_id: &RoomId) -> Vec<Arc<Pdu>> {
    let mut seen = BTreeSet::new();
    events
        .filter(|event| event.room_id() == room_id && seen.insert(event.event_id().to_owned()))
        .map(Arc::new)
        .collect()
}

/// Those of `events` to which the previous events of one another lead from these ids: the rest is
/// no answer to a question for what came before.
#[must_use]
pub fn reachable(from: &[OwnedEventId], events: Vec<Arc<Pdu>>) -> Vec<Arc<Pdu>> {
    let mut left: BTreeMap<OwnedEventId, Arc<Pdu>> = events
        .into_iter()
        .map(|event| (event.event_id().to_owned(), event))
        .collect();
    let mut reached: Vec<Arc<Pdu>> = Vec::new();
    let mut next: Vec<OwnedEventId> = from.to_vec();
    while let Some(event_id) = next.pop() {
        if let Some(event) = left.remove(&event_id) {
            next.extend(event.prev_events().iter().map(ToOwned::to_owned));
            reached.push(event);
        }
    }
    reached
}

fn few(events: &[&RawValue], room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    events_of(events.get(..FEW).unwrap_or(events), room_id, version)
}
