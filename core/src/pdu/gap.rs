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

use ruma_common::{EventId, OwnedEventId};

use super::{
    Pdu,
    admit::{AdmitEvent, Source, VerifyEvent},
    answers, bridge,
    import::ImportOutliers,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
        world::Room,
    },
    transport::remote_request::Endpoint,
};

/// How often what is missing before fetched events is asked for in turn; with [`WALK`] events a
/// time, how long an absence is filled without a hole.
const WALKS_MAX: u8 = 100;

/// The same for events that were fetched one by one because walking to them had failed: what fails
/// at every depth must not be tried twice at every depth.
const WALKS_AFTER_SINGLE_MAX: u8 = 3;

/// How many events are asked for at a time.
const WALK: u32 = 50;

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
        Stage::Bridge => bridge::bridges(&job.from, room, &missing, facts)?,
        Stage::GiveUp => {
            let reason = format!("the previous events {missing:?} are nowhere to be had");
            return Ok(Outcome::in_vain(job.event.event_id(), reason, facts));
        }
    };
    let then = AdmitEvent {
        gap: stage.next(job.source),
        ..job.clone()
    };
    Ok(Outcome::default().then(first, then))
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
    let mut events = answers::missing_events(body, &room.room_id, room.version);
    let held = facts.all_held(events.iter().map(|event| event.event_id()))?;
    let is_known = |event: &Pdu| {
        let held = held.get(event.event_id());
        held.is_some_and(|event| !event.is_outlier())
    };
    events.retain(|event| event.depth() >= room.least_depth && !is_known(event));
    Ok(pulled(job, WALKS_MAX, ancestors(&job.event, events)))
}

/// Those of `events` that `event` builds on, directly or by others of them: what lies behind
/// something that we know, such as our own join, is not missing. Only ancestors may hold up its
/// judgement: what builds on the event would wait for it in turn.
fn ancestors(event: &Pdu, events: Vec<Arc<Pdu>>) -> Vec<Arc<Pdu>> {
    let mut left: BTreeMap<OwnedEventId, Arc<Pdu>> = events
        .into_iter()
        .map(|event| (event.event_id().to_owned(), event))
        .collect();
    let mut ancestors: Vec<Arc<Pdu>> = Vec::new();
    let mut next: Vec<OwnedEventId> = event.prev_events().to_vec();
    while let Some(event_id) = next.pop() {
        if let Some(ancestor) = left.remove(&event_id) {
            next.extend(ancestor.prev_events().iter().map(ToOwned::to_owned));
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
                .and_then(|body| answers::event(body, event_id, &room.room_id, room.version))
        });
    Ok(pulled(job, WALKS_AFTER_SINGLE_MAX, found.collect()))
}

/// Jobs for events that were asked for. The walks that are left are shared between the ends of
/// what came, so that a wide gap is worth no more questions than a long one.
fn pulled(job: &AdmitEvent, walks_max: u8, events: Vec<Arc<Pdu>>) -> Vec<Job> {
    let left = match job.source {
        Source::Pulled(left) => left.saturating_sub(1).min(walks_max),
        Source::Pushed | Source::HandedIn => WALKS_MAX,
    };
    let share = usize::from(left) / ends(&events).max(1);
    let source = Source::Pulled(u8::try_from(share).unwrap_or(left));
    let verify = |event: Arc<Pdu>| {
        Job::from(VerifyEvent {
            event,
            from: job.from.clone(),
            source,
        })
    };
    events.into_iter().map(verify).collect()
}

/// How many of these events build on something that is not among them.
fn ends(events: &[Arc<Pdu>]) -> usize {
    let ids: BTreeSet<&EventId> = events.iter().map(|event| event.event_id()).collect();
    let is_end = |event: &&Arc<Pdu>| {
        let mut previous = event.prev_events().iter();
        previous.any(|event_id| !ids.contains(event_id))
    };
    events.iter().filter(is_end).count()
}

/// Asks for everything that authorises an event.
pub fn fetch_auth_events(job: &AdmitEvent, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
    let event = &job.event;
    if job.auth_asked {
        return Ok(Outcome::in_vain(
            event.event_id(),
            "its auth events are nowhere to be had",
            facts,
        ));
    }
    let endpoint = Endpoint::EventAuth(event.room_id().to_owned(), event.event_id().to_owned());
    let first = match facts.call(&job.from, endpoint)? {
        Ok(body) => vec![Job::from(ImportOutliers {
            events: answers::auth_chain(body, event.room_id(), event.room_version()),
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
