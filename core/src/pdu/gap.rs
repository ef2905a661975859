//! Filling gaps: what an event builds on and we do not hold (PDU-15, PDU-16).
//!
//! Each event goes through [`Stage`]s, one question to its sender each; every question's answer
//! becomes jobs that are done before the event is looked at again. Nothing here recurses: what is
//! found missing before a fetched event is a gap of that event, and how deep that may go is data
//! in the job ([`Source::Pulled`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use ruma_common::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Pdu, RoomVersion,
    admit::{AdmitEvent, Source, VerifyEvent},
    import::{ImportEvent, ImportOutliers, Purpose},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
        world::Room,
    },
    transport::{
        remote_request::Endpoint,
        remote_response::{self, RemoteError},
    },
};

/// How often what is missing before fetched events is asked for in turn; with [`WALK`] events a
/// time, how long an absence is filled without a hole.
const WALKS_MAX: u8 = 100;

/// How many events are asked for at a time.
const WALK: u32 = 50;

/// How many events of one answer are looked at.
const ANSWER_MAX: usize = 100;

/// What is tried next for the missing previous events of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `get_missing_events`.
    Walk,
    /// The missing events one by one.
    Single,
    /// The missing events with the state before each of them: for events whose history lies
    /// before our time in the room, and for fetched ones, where it may well do so.
    Bridge,
    /// Nothing: the event is not taken in.
    GiveUp,
}

impl Stage {
    /// Where to begin with an event that came this way.
    #[must_use]
    pub fn for_source(source: Source) -> Self {
        match source {
            Source::Pushed | Source::Pulled(1..) => Self::Walk,
            Source::Pulled(0) => Self::Bridge,
            Source::HandedIn => Self::GiveUp,
        }
    }

    fn next(self, source: Source) -> Self {
        match (self, source) {
            (Self::Walk, _) => Self::Single,
            (Self::Single, Source::Pulled(_)) => Self::Bridge,
            (Self::Single, Source::Pushed | Source::HandedIn)
            | (Self::Bridge | Self::GiveUp, _) => Self::GiveUp,
        }
    }
}

/// Asks for the missing previous events of an event.
pub fn fill(
    job: &AdmitEvent,
    room: &Room,
    missing: Vec<OwnedEventId>,
    facts: &Facts<'_>,
) -> Result<Outcome, Blocked> {
    let before_our_time = job.event.depth() <= room.least_depth;
    let stage = match job.gap {
        Stage::Walk if before_our_time => Stage::Bridge,
        stage => stage,
    };
    let first = match stage {
        Stage::Walk => walk(job, room, facts)?,
        Stage::Single => singles(job, room, &missing, facts)?,
        Stage::Bridge => bridges(job, room, &missing, facts)?,
        Stage::GiveUp => {
            let reason = format!("the previous events {missing:?} are nowhere to be had");
            return Ok(Outcome::failed(job.event.event_id(), reason));
        }
    };
    let then = AdmitEvent {
        gap: stage.next(job.source),
        ..job.clone()
    };
    Ok(Outcome::default().then(first, then))
}

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

fn walk(job: &AdmitEvent, room: &Room, facts: &Facts<'_>) -> Result<Vec<Job>, Blocked> {
    let endpoint = Endpoint::MissingEvents {
        room_id: room.room_id.clone(),
        earliest: room.extremities.iter().cloned().collect(),
        latest: vec![job.event.event_id().to_owned()],
        limit: WALK,
        min_depth: room.least_depth,
    };
    let Ok(body) = facts.call(&job.from, endpoint)? else {
        return Ok(Vec::new());
    };
    let answer: Result<Events<'_>, _> = serde_json::from_slice(body);
    let events = answer.map(|answer| answer.events).unwrap_or_default();
    let mut events = parse(&events, &room.room_id, room.version);
    events.retain(|event| event.depth() >= room.least_depth);
    Ok(pulled(job, ancestors(&job.event, events)))
}

/// Those of `events` that `event` builds on. Only they may hold up its judgement: what builds on
/// the event would wait for it in turn.
fn ancestors(event: &Pdu, events: Vec<Arc<Pdu>>) -> Vec<Arc<Pdu>> {
    let mut left: BTreeMap<OwnedEventId, Arc<Pdu>> = events
        .into_iter()
        .map(|event| (event.event_id().to_owned(), event))
        .collect();
    let mut ancestors: Vec<Arc<Pdu>> = Vec::new();
    let mut next: Vec<OwnedEventId> = event.prev_events().to_vec();
    while let Some(event_id) = next.pop() {
        if let Some(ancestor) = left.remove(&event_id) {
            next.extend(ancestor.prev_events().iter().cloned());
            ancestors.push(ancestor);
        }
    }
    ancestors
}

fn singles(
    job: &AdmitEvent,
    room: &Room,
    missing: &[OwnedEventId],
    facts: &Facts<'_>,
) -> Result<Vec<Job>, Blocked> {
    let answers: Vec<_> = missing
        .iter()
        .map(|id| facts.call(&job.from, Endpoint::Event(id.clone())))
        .collect();
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let found = missing
        .iter()
        .zip(answers)
        .filter_map(|(event_id, answer)| {
            answer
                .as_ref()
                .ok()
                .and_then(|body| single(event_id, body, room))
        });
    Ok(pulled(job, found.collect()))
}

/// The event asked for in an answer to `GET /event` (EVENT-2).
fn single(event_id: &EventId, body: &Bytes, room: &Room) -> Option<Arc<Pdu>> {
    let answer: Result<Pdus<'_>, _> = serde_json::from_slice(body);
    let events = parse(&answer.ok()?.pdus, &room.room_id, room.version);
    events
        .into_iter()
        .find(|event| event.event_id() == event_id)
}

fn pulled(job: &AdmitEvent, events: Vec<Arc<Pdu>>) -> Vec<Job> {
    let source = match job.source {
        Source::Pulled(left) => Source::Pulled(left.saturating_sub(1)),
        Source::Pushed | Source::HandedIn => Source::Pulled(WALKS_MAX),
    };
    let verify = |event: Arc<Pdu>| {
        Job::from(VerifyEvent {
            event,
            from: job.from.clone(),
            source,
        })
    };
    events.into_iter().map(verify).collect()
}

/// The missing events with the state before them, as their sender says it was.
fn bridges(
    job: &AdmitEvent,
    room: &Room,
    missing: &[OwnedEventId],
    facts: &Facts<'_>,
) -> Result<Vec<Job>, Blocked> {
    let asked: Vec<_> = missing
        .iter()
        .map(|id| {
            let state = Endpoint::State(room.room_id.clone(), id.clone());
            (
                facts.call(&job.from, Endpoint::Event(id.clone())),
                facts.call(&job.from, state),
            )
        })
        .collect();
    let mut jobs = Vec::new();
    for (id, (event, state)) in missing.iter().zip(asked) {
        let (Ok(event), Ok(state)) = (event?, state?) else {
            continue;
        };
        let (Some(event), Ok((state, auth_chain))) = (
            single(id, event, room),
            parse_state(state, &room.room_id, room.version),
        ) else {
            continue;
        };
        jobs.push(Job::from(ImportEvent {
            from: job.from.clone(),
            event,
            state,
            auth_chain,
            purpose: Purpose::Bridge,
        }));
    }
    Ok(jobs)
}

/// Events by value: a room's state and what authorises it.
pub type StateAndAuthChain = (Vec<Arc<Pdu>>, Vec<Arc<Pdu>>);

/// Reads an answer to `GET /state`, leaving out what is malformed or of another room.
///
/// # Errors
/// If it is no such answer at all.
pub fn parse_state(
    body: &Bytes,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<StateAndAuthChain, RemoteError> {
    let answer: State<'_> = remote_response::parse_borrowed(body)?;
    Ok((
        parse_any_number(&answer.pdus, room_id, version),
        parse_any_number(&answer.auth_chain, room_id, version),
    ))
}

/// Asks for everything that authorises an event.
pub fn fetch_auth_events(job: &AdmitEvent, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
    let event = &job.event;
    if job.auth_asked {
        return Ok(Outcome::failed(
            event.event_id(),
            "its auth events are nowhere to be had",
        ));
    }
    let endpoint = Endpoint::EventAuth(event.room_id().to_owned(), event.event_id().to_owned());
    let first = match facts.call(&job.from, endpoint)? {
        Ok(body) => vec![Job::from(ImportOutliers {
            events: parse_auth_chain(body, event.room_id(), event.room_version()),
        })],
        Err(_) => Vec::new(),
    };
    Ok(Outcome::default().then(
        first,
        AdmitEvent {
            auth_asked: true,
            ..job.clone()
        },
    ))
}

/// Reads an answer to `GET /event_auth`, leaving out what is malformed or of another room.
#[must_use]
pub fn parse_auth_chain(body: &Bytes, room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let answer: Result<AuthChain<'_>, _> = serde_json::from_slice(body);
    let events = answer.map(|answer| answer.auth_chain).unwrap_or_default();
    parse_any_number(&events, room_id, version)
}

/// Reads a few events, leaving out what is malformed or of another room (PDU-19).
#[must_use]
pub fn parse(events: &[&RawValue], room_id: &RoomId, version: RoomVersion) -> Vec<Arc<Pdu>> {
    let few = events.get(..ANSWER_MAX).unwrap_or(events);
    parse_any_number(few, room_id, version)
}

/// As [`parse`], for answers that are bounded by their size alone: states and auth chains.
#[must_use]
pub fn parse_any_number(
    events: &[&RawValue],
    room_id: &RoomId,
    version: RoomVersion,
) -> Vec<Arc<Pdu>> {
    let mut seen = BTreeSet::new();
    let parsed = events
        .iter()
        .filter_map(|json| Pdu::parse(json.get(), version).ok());
    parsed
        .filter(|event| event.room_id() == room_id && seen.insert(event.event_id().to_owned()))
        .map(Arc::new)
        .collect()
}
