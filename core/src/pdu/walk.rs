//! Asking one server for the events that another event lacks.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{EventId, OwnedEventId, OwnedServerName};

use super::{
    Pdu,
    admit::{Source, VerifyEvent},
    answers,
    format::MAX_PREV_EVENTS,
    gap::{Found, SeekEvents},
    import::ImportOutliers,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        world::Room,
    },
    transport::remote_request::Endpoint,
};

/// How often what is missing before fetched events is asked for in turn; with [`LIMIT`] events a
/// time, how long an absence is filled without a hole.
const WALKS_MAX: u8 = 100;

/// The same for events that were fetched one by one because walking to them had failed: what fails
/// at every depth must not be tried twice at every depth.
const WALKS_AFTER_SINGLE_MAX: u8 = 3;

/// How many events are asked for at a time.
const LIMIT: u32 = 50;

/// Asks for what lies between an event and the ends of our graph.
pub fn walk(
    seek: &SeekEvents,
    server: &OwnedServerName,
    room: &Room,
    facts: &Facts<'_>,
) -> Result<Found, Blocked> {
    let has_event = *server == seek.from;
    let endpoint = match has_event {
        true => missing_events(seek, room),
        false => backfill(seek, room),
    };
    let answer = facts.call(server, endpoint)?;
    let Ok(body) = answer else {
        return Ok(Found::nothing(answer));
    };
    let mut events = match has_event {
        true => answers::missing_events(body, &room.room_id, room.version),
        false => answers::backfill(body, &room.room_id, room.version),
    };
    let held = facts.all_held(events.iter().map(|event| event.event_id()))?;
    let is_known = |event: &Pdu| {
        let held = held.get(event.event_id());
        held.is_some_and(|event| !event.is_outlier())
    };
    events.retain(|event| event.depth() >= room.least_depth && !is_known(event));
    // What lies behind something that we know, such as our own join, is not missing. Only ancestors
    // may hold up the event's judgement: what builds on it would wait for it in turn.
    let events = answers::reachable(&seek.of.prev_events().to_vec(), events);
    Ok(pulled(seek, server, WALKS_MAX, events))
}

fn missing_events(seek: &SeekEvents, room: &Room) -> Endpoint {
    let earliest = room.extremities.iter().take(MAX_PREV_EVENTS);
    Endpoint::MissingEvents {
        room_id: room.room_id.clone(),
        earliest: earliest.cloned().collect(),
        latest: vec![seek.of.event_id().to_owned()],
        limit: LIMIT,
        min_depth: room.least_depth,
    }
}

fn backfill(seek: &SeekEvents, room: &Room) -> Endpoint {
    Endpoint::Backfill {
        room_id: room.room_id.clone(),
        from: seek.missing.clone(),
        limit: LIMIT,
    }
}

/// Asks for each missing event with `event`.
pub fn singles(
    seek: &SeekEvents,
    server: &OwnedServerName,
    room: &Room,
    facts: &Facts<'_>,
) -> Result<Found, Blocked> {
    let ask = |event_id: &OwnedEventId| facts.call(server, Endpoint::Event(event_id.clone()));
    let answers: Vec<_> = seek.missing.iter().map(ask).collect();
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let answered = answers.iter().all(|answer| Found::nothing(answer).answered);
    let found = seek.missing.iter().zip(answers);
    let found = found.filter_map(|(event_id, answer)| {
        let body = answer.as_ref().ok()?;
        answers::event(body, event_id, &room.room_id, room.version)
    });
    let found = pulled(seek, server, WALKS_AFTER_SINGLE_MAX, found.collect());
    Ok(Found { answered, ..found })
}

/// Asks for everything that authorises an event with `event_auth`.
pub fn auth_chain(
    seek: &SeekEvents,
    server: &OwnedServerName,
    facts: &Facts<'_>,
) -> Result<Found, Blocked> {
    let (room_id, version) = (seek.of.room_id(), seek.of.room_version());
    let endpoint = Endpoint::EventAuth(room_id.to_owned(), seek.of.event_id().to_owned());
    let answer = facts.call(server, endpoint)?;
    let Ok(body) = answer else {
        return Ok(Found::nothing(answer));
    };
    let events = answers::auth_chain(body, room_id, version);
    Ok(Found {
        events: events.len(),
        jobs: vec![ImportOutliers { events }.into()],
        answered: true,
    })
}

/// Jobs for events that were asked for. The walks that are left are shared between the ends of
/// what came, so that a wide gap is worth no more questions than a long one.
fn pulled(
    seek: &SeekEvents,
    server: &OwnedServerName,
    walks_max: u8,
    events: Vec<Arc<Pdu>>,
) -> Found {
    let left = match seek.source {
        Source::Pulled(left) => left.saturating_sub(1).min(walks_max),
        Source::Pushed | Source::HandedIn => WALKS_MAX,
    };
    let share = usize::from(left) / ends(&events).max(1);
    let source = Source::Pulled(u8::try_from(share).unwrap_or(left));
    let verify = |event: Arc<Pdu>| {
        Job::from(VerifyEvent {
            event,
            from: server.clone(),
            source,
        })
    };
    Found {
        events: events.len(),
        jobs: events.into_iter().map(verify).collect(),
        answered: true,
    }
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
