//! Answering other servers' requests for events and state.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::json;

use super::{Pdu, StateMap, gate, view};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_request},
    },
    persistence::{
        queries::{Ancestors, Answer, Direction, Read},
        tables::StoredEvent,
    },
    time::WallTime,
    transport::{
        json::json_bytes_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// How many events one `backfill` answer holds at most (BACKFILL-3).
const BACKFILL_MAX: u32 = 100;

/// How many events one `get_missing_events` answer holds at most.
const MISSING_MAX: u32 = 50;

/// How many events near a time are looked at for one that the asker may see.
const NEAR_MAX: u32 = 100;

/// How many ids one question may name.
const IDS_MAX: usize = 100;

/// A question for events.
#[derive(Clone, Debug)]
pub struct ServeEvents {
    /// Who asks.
    pub origin: OwnedServerName,
    /// The room the question names; one event alone is asked for without.
    pub room_id: Option<OwnedRoomId>,
    /// What is asked.
    pub asked: Asked,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// One event (EVENT-1).
    Event(OwnedEventId),
    /// The state before an event, with what authorises it (STATEREQ-1).
    State(OwnedEventId),
    /// The same by ids.
    StateIds(OwnedEventId),
    /// All that authorises an event (EVENTAUTH-1).
    EventAuth(OwnedEventId),
    /// These events and what came before, so many (BACKFILL-1).
    Backfill(Vec<OwnedEventId>, u32),
    /// What lies between events (MISSING-1).
    Missing(MissingEvents),
    /// The event nearest to a time, in a direction (TIMESTAMP-1).
    ByTime(WallTime, Direction),
}

/// The body of `get_missing_events`.
#[derive(Clone, Debug, Deserialize)]
pub struct MissingEvents {
    #[serde(default = "ten")]
    limit: u32,
    #[serde(default)]
    min_depth: u64,
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
}

/// The default limit (LIMIT-14).
fn ten() -> u32 {
    10
}

impl Asked {
    /// Reads the body of `get_missing_events`.
    ///
    /// # Errors
    /// 400 `M_BAD_JSON`.
    pub fn missing_events(body: &Bytes) -> Result<Self, MatrixError> {
        let bad = |reason: String| MatrixError::new(ErrorCode::BadJson, reason);
        let question: MissingEvents =
            serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let named = question
            .earliest_events
            .len()
            .max(question.latest_events.len());
        if named > IDS_MAX {
            return Err(bad("too many events are named".to_owned()));
        }
        Ok(Self::Missing(question))
    }
}

impl ServeEvents {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let respond = |json: String| json_bytes_response(StatusCode::OK, json.into());
        for_request(
            self.answer(facts)
                .map(|json| Outcome::respond(respond(json))),
        )
    }

    fn answer(&self, facts: &Facts<'_>) -> Result<String, Stop<MatrixError>> {
        if let Some(room_id) = &self.room_id {
            gate::enter(room_id, &self.origin, facts)?;
        }
        match &self.asked {
            Asked::Event(event_id) => self.event(event_id, facts),
            Asked::State(event_id) => {
                let StateAndAuthChain { state, auth_chain } = self.state(event_id, facts)?;
                let (state, auth_chain) = (list(&state), list(&auth_chain));
                Ok(format!(r#"{{"pdus":{state},"auth_chain":{auth_chain}}}"#))
            }
            Asked::StateIds(event_id) => {
                let StateAndAuthChain { state, auth_chain } = self.state(event_id, facts)?;
                let (state, auth_chain) = (ids(&state), ids(&auth_chain));
                Ok(format!(
                    r#"{{"pdu_ids":{state},"auth_chain_ids":{auth_chain}}}"#
                ))
            }
            Asked::EventAuth(event_id) => self.event_auth(event_id, facts),
            Asked::Backfill(from, limit) => {
                let limit = (*limit).min(BACKFILL_MAX);
                let events = self.ancestors(from, &[], true, limit, facts)?;
                let events = gate::shown(&events, &self.origin, facts)?;
                Ok(transaction(facts.our_name(), facts.now().wall, &events))
            }
            Asked::Missing(question) => self.missing(question, facts),
            Asked::ByTime(time, direction) => self.by_time(*time, *direction, facts),
        }
    }

    fn event(
        &self,
        event_id: &OwnedEventId,
        facts: &Facts<'_>,
    ) -> Result<String, Stop<MatrixError>> {
        let event = facts.held(event_id)?.ok_or_else(not_for_you)?;
        match gate::enter(event.pdu.room_id(), &self.origin, facts) {
            Err(Stop::Refused(_)) => return Err(not_for_you().into()),
            entered => entered?,
        };
        let shown = gate::shown(&[event], &self.origin, facts)?;
        let shown = shown.first().ok_or_else(not_for_you)?.clone();
        Ok(transaction(facts.our_name(), facts.now().wall, &[shown]))
    }

    fn state(
        &self,
        event_id: &OwnedEventId,
        facts: &Facts<'_>,
    ) -> Result<StateAndAuthChain, Stop<MatrixError>> {
        let event = self.event_of_room(event_id, facts)?;
        let state = event.state.ok_or_else(unknown_event)?;
        let state = facts.state(state.before)?;
        Ok(with_auth_chain(&state, facts)?)
    }

    fn event_auth(
        &self,
        event_id: &OwnedEventId,
        facts: &Facts<'_>,
    ) -> Result<String, Stop<MatrixError>> {
        let event = self.event_of_room(event_id, facts)?;
        let mut named = event.pdu.auth_events().to_vec();
        named.extend(view::create_event_named_by_room(&event.pdu));
        let chain: Vec<_> = facts.auth_chain(named)?.values().cloned().collect();
        Ok(format!(r#"{{"auth_chain":{}}}"#, list(&chain)))
    }

    fn missing(
        &self,
        question: &MissingEvents,
        facts: &Facts<'_>,
    ) -> Result<String, Stop<MatrixError>> {
        let limit = question.limit.min(MISSING_MAX);
        let (from, stop_at) = (&question.latest_events, &question.earliest_events);
        let mut events = self.ancestors(from, stop_at, false, limit, facts)?;
        events.retain(|event| event.pdu.depth() >= question.min_depth);
        events.reverse();
        let events = gate::shown(&events, &self.origin, facts)?;
        Ok(format!(r#"{{"events":{}}}"#, list_of(&events)))
    }

    /// Only what the asker may see whole is near: it could do nothing with the rest.
    fn by_time(
        &self,
        time: WallTime,
        direction: Direction,
        facts: &Facts<'_>,
    ) -> Result<String, Stop<MatrixError>> {
        let Some(room_id) = self.room_id.clone() else {
            return Err(unknown_event().into());
        };
        let read = Read::ByTime {
            room_id,
            time,
            direction,
            limit: NEAR_MAX,
        };
        let near = match facts.read(read)? {
            Answer::Events(events) => events.as_slice(),
            _ => &[],
        };
        let seen = gate::whole(near, &self.origin, facts)?;
        let nearest = seen.first().ok_or_else(none_near)?;
        Ok(json!({
            "event_id": nearest.pdu.event_id(),
            "origin_server_ts": nearest.pdu.origin_server_ts(),
        })
        .to_string())
    }

    fn event_of_room(
        &self,
        event_id: &OwnedEventId,
        facts: &Facts<'_>,
    ) -> Result<Arc<StoredEvent>, Stop<MatrixError>> {
        let event = facts.held(event_id)?;
        let room_id = self.room_id.as_deref();
        let of_room = event.filter(|event| Some(event.pdu.room_id()) == room_id);
        Ok(of_room.ok_or_else(unknown_event)?)
    }

    /// Deepest first.
    fn ancestors(
        &self,
        from: &[OwnedEventId],
        stop_at: &[OwnedEventId],
        include_from: bool,
        limit: u32,
        facts: &Facts<'_>,
    ) -> Result<Vec<Arc<StoredEvent>>, Blocked> {
        let Some(room_id) = self.room_id.clone() else {
            return Ok(Vec::new());
        };
        let (from, stop_at) = (from.to_vec(), stop_at.to_vec());
        let read = Read::Ancestors(Ancestors {
            room_id,
            from,
            include_from,
            stop_at,
            limit,
        });
        match facts.read(read)? {
            Answer::Events(events) => Ok(events.clone()),
            _ => Ok(Vec::new()),
        }
    }
}

/// The events of a state, and everything that authorises them.
pub struct StateAndAuthChain {
    /// The events of the state.
    pub state: Vec<Arc<StoredEvent>>,
    /// The events that authorise them.
    pub auth_chain: Vec<Arc<StoredEvent>>,
}

/// Looks up the events of a state, and everything that authorises them.
pub fn with_auth_chain(state: &StateMap, facts: &Facts<'_>) -> Result<StateAndAuthChain, Blocked> {
    let ids: Vec<OwnedEventId> = state.iter().map(|(_, id)| id.to_owned()).collect();
    let all = facts.auth_chain(ids.clone())?;
    let named: BTreeSet<&EventId> = all
        .values()
        .flat_map(|event| event.pdu.auth_events())
        .collect();
    let create = all
        .values()
        .find_map(|event| view::create_event_named_by_room(&event.pdu));
    let in_chain = |event: &&Arc<StoredEvent>| {
        let event_id = event.pdu.event_id();
        named.contains(event_id) || create.as_deref() == Some(event_id)
    };
    let state = ids.iter().filter_map(|id| all.get(id)).cloned().collect();
    let auth_chain = all.values().filter(in_chain).cloned().collect();
    Ok(StateAndAuthChain { state, auth_chain })
}

/// Events as a JSON list.
#[must_use]
pub fn list(events: &[Arc<StoredEvent>]) -> String {
    joined(events.iter().map(|event| event.pdu.json()))
}

fn list_of(events: &[Arc<Pdu>]) -> String {
    joined(events.iter().map(|event| event.json()))
}

fn joined<'e>(texts: impl Iterator<Item = &'e str>) -> String {
    format!("[{}]", texts.collect::<Vec<_>>().join(","))
}

fn ids(events: &[Arc<StoredEvent>]) -> String {
    let mut ids = String::from("[");
    for (index, event) in events.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(ids, "{comma}\"{}\"", event.pdu.event_id());
    }
    ids.push(']');
    ids
}

fn transaction(origin: &ServerName, now: WallTime, events: &[Arc<Pdu>]) -> String {
    format!(
        r#"{{"origin":"{origin}","origin_server_ts":{now},"pdus":{}}}"#,
        list_of(events)
    )
}

fn unknown_event() -> MatrixError {
    MatrixError::new(
        ErrorCode::NotFound,
        "the event, or the state before it, is not known here",
    )
}

fn none_near() -> MatrixError {
    MatrixError::new(ErrorCode::NotFound, "no event is known from then on")
}

/// An event alone is asked for without its room: whoever may not see it learns nothing by asking.
fn not_for_you() -> MatrixError {
    let reason = "the event is not known here, or not for your server";
    MatrixError::new(ErrorCode::Forbidden, reason)
}
