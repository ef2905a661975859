//! The event of a room that is nearest to a time (TIMESTAMP-2).
//!
//! Our history of a room has no holes from where it begins. So others know better only if it begins
//! after that time: then they are asked, and what one of them found is taken in if it is nearer than
//! what we have. It is held by itself, without a place in the timeline, until history reaches it.

use std::sync::Arc;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};
use serde::Deserialize;

use super::{
    command::{CommandError, Reply},
    compose::our_room,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::{Pdu, answers, history, judging::judge, redacting::redact_if_asked, sources::sources},
    persistence::{
        queries::{Answer, Direction, Read, Write},
        tables::StoredEvent,
    },
    time::WallTime,
    transport::{
        remote_request::Endpoint,
        remote_response::{RemoteError, RemoteResponse, parse},
    },
};

/// How many servers are asked at once.
const SERVERS_MAX: usize = 3;

/// Our user wants to see what was said at some time.
#[derive(Clone, Debug)]
pub struct FindByTime {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The time.
    pub time: WallTime,
    /// Which way to go from it.
    pub direction: Direction,
}

/// The answer of `timestamp_to_event`.
#[derive(Deserialize)]
struct Found {
    event_id: OwnedEventId,
    origin_server_ts: i64,
}

impl FindByTime {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.find(facts))
    }

    fn find(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let room = our_room(&self.room_id, facts)?;
        let (ours, goes_back) = (self.nearest(self.direction, facts), self.goes_back(facts));
        let (ours, goes_back) = (ours?, goes_back?);
        let answer = answer(ours.as_ref().map(|event| &event.pdu));
        if goes_back {
            return Ok(answer);
        }
        let Some((server, event)) = self.ask_others(room, ours.as_deref(), facts)? else {
            return Ok(answer);
        };
        let first = history::authorising(std::slice::from_ref(&event), &server, facts)?;
        let ours = ours.map(|event| event.pdu.clone());
        Ok(Outcome::default().then(vec![first.into()], TakeFound { event, ours }))
    }

    /// The nearest of the events that we show.
    fn nearest(
        &self,
        direction: Direction,
        facts: &Facts<'_>,
    ) -> Result<Option<Arc<StoredEvent>>, Blocked> {
        let read = Read::ByTime {
            room_id: self.room_id.clone(),
            time: self.time,
            direction,
            limit: 1,
        };
        Ok(match facts.read(read)? {
            Answer::Events(events) => events.first().cloned(),
            _ => None,
        })
    }

    /// Whether our history of the room goes back to the time, or to where the room began.
    fn goes_back(&self, facts: &Facts<'_>) -> Result<bool, Blocked> {
        let earlier = self.nearest(Direction::Backward, facts);
        let ends = facts.read(Read::BackwardExtremities(self.room_id.clone()));
        let is_whole = matches!(ends?, Answer::BackwardExtremities(ends) if ends.is_empty());
        Ok(is_whole || earlier?.is_some())
    }

    /// The nearest event that other servers know, if it is nearer than ours, and who gave it.
    fn ask_others(
        &self,
        room: &Room,
        ours: Option<&StoredEvent>,
        facts: &Facts<'_>,
    ) -> Result<Option<(OwnedServerName, Arc<Pdu>)>, Blocked> {
        let endpoint = Endpoint::EventByTime {
            room_id: self.room_id.clone(),
            time: self.time,
            direction: self.direction,
        };
        let servers = sources(room, &[], SERVERS_MAX, facts);
        let answers = servers.into_iter().map(|server| {
            let answer = facts.call(&server, endpoint.clone());
            (server, answer)
        });
        let mut nearest = ours.and_then(|event| self.distance(event.pdu.origin_server_ts()));
        let mut found = None;
        for (server, answer) in answers.collect::<Vec<_>>() {
            let Ok(answer) = read(answer?) else { continue };
            let distance = self.distance(answer.origin_server_ts);
            if distance.is_some() && (nearest.is_none() || distance < nearest) {
                nearest = distance;
                found = Some((server, answer.event_id));
            }
        }
        let Some((server, event_id)) = found else {
            return Ok(None);
        };
        let answer = facts.call(&server, Endpoint::Event(event_id.clone()))?;
        let event = answer.as_ref().ok().and_then(|body| {
            let event = answers::event(body, &event_id, &self.room_id, room.version)?;
            let distance = self.distance(event.origin_server_ts());
            (distance == nearest).then_some(event)
        });
        Ok(event.map(|event| (server, event)))
    }

    /// How far an event of this time is off; `None` if it is on the wrong side.
    fn distance(&self, sent: i64) -> Option<u64> {
        let time = self.time.to_i64();
        let is_right = match self.direction {
            Direction::Forward => sent >= time,
            Direction::Backward => sent <= time,
        };
        is_right.then(|| sent.abs_diff(time))
    }
}

fn read(answer: &RemoteResponse) -> Result<Found, RemoteError> {
    parse(answer.as_ref().map_err(Clone::clone)?)
}

fn answer(event: Option<&Arc<Pdu>>) -> Outcome {
    let none = || CommandError::NotFound("no event is known from then on".to_owned());
    let event_id = event.map(|event| event.event_id().to_owned());
    Outcome::complete(event_id.map(Reply::Event).ok_or_else(none))
}

/// An event that another server gave, and what authorises it is here if it could be had.
#[derive(Clone, Debug)]
pub struct TakeFound {
    /// The event.
    pub event: Arc<Pdu>,
    /// The nearest event of ours, if this one is forged or not allowed.
    pub ours: Option<Arc<Pdu>>,
}

impl TakeFound {
    /// See [`crate::engine`]. The event may have come by another way meanwhile.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let mut judged = judge(std::slice::from_ref(&self.event), facts)?;
        let Some(event) = judged.take(&self.event) else {
            return Ok(answer(self.ours.as_ref()));
        };
        let event = redact_if_asked(StoredEvent::clone(&event), facts)?;
        let mut outcome = answer(Some(&event.pdu));
        outcome.writes.push(Write::Event(Arc::new(event)));
        Ok(outcome)
    }
}
