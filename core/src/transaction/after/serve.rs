//! Telling another server what came after a position in our stream.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::StatusCode;
use ruma_common::{OwnedServerName, RoomId};

use super::{PAGE_EVENTS_MAX, page, position};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        registry::Identity,
        stop::{Stop, for_request},
    },
    pdu::{Pdu, gate},
    persistence::{
        queries::{Answer, EventsAfter, Read},
        tables::{Position, StoredEvent},
    },
    transport::{
        json::json_bytes_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// How many bytes of events a page holds at most, unless its first event alone is larger.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// When a peer that asks twice at once may ask again.
const ONE_AT_A_TIME: Duration = Duration::from_secs(1);

/// A question for what came after a position.
#[derive(Clone, Debug)]
pub struct ServeAfter {
    /// Who asks.
    pub origin: OwnedServerName,
    /// The position, as we sealed it; `None` asks where the stream ends.
    pub from: Option<String>,
    /// How many events are wanted at most.
    pub limit: Option<u32>,
}

impl ServeAfter {
    /// A peer gets one page at a time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::After(self.origin.clone())
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.answer(facts))
    }

    fn answer(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        if !facts.settings().serve_stream {
            let reason = "this server does not offer its stream";
            return Err(MatrixError::new(ErrorCode::Unrecognized, reason).into());
        }
        if facts.is_elsewhere(&self.identity()) {
            let reason = "another page is being made for your server";
            return Err(MatrixError::limit_exceeded(reason, ONE_AT_A_TIME).into());
        }
        let newest = newest_position(facts)?;
        let Some(from) = &self.from else {
            return Ok(self.page(&[], newest, newest, facts));
        };
        let from = position::open(from, &self.origin, facts.own());
        let from = from
            .filter(|from| *from <= newest)
            .ok_or_else(no_position)?;
        let part = self.events_after(from, facts)?;
        let (events, through) = within_bytes(&part);
        let events = self.entitled(events, facts)?;
        Ok(self.page(&events, through, part.newest, facts))
    }

    fn events_after(&self, position: Position, facts: &Facts<'_>) -> Result<EventsAfter, Blocked> {
        let limit = self.limit.unwrap_or(PAGE_EVENTS_MAX);
        let read = Read::EventsAfter {
            server: self.origin.clone(),
            position,
            limit: limit.clamp(1, PAGE_EVENTS_MAX),
        };
        Ok(match facts.read(read)? {
            Answer::EventsAfter(part) => part.clone(),
            _ => EventsAfter::default(),
        })
    }

    /// These events as far as they pass the gate of everything that other servers read.
    fn entitled(
        &self,
        events: &[Arc<StoredEvent>],
        facts: &Facts<'_>,
    ) -> Result<Vec<Arc<Pdu>>, Blocked> {
        let rooms: BTreeSet<&RoomId> = events.iter().map(|event| event.pdu.room_id()).collect();
        let may_enter = |room_id| match gate::enter(room_id, &self.origin, facts) {
            Ok(_) => Ok(Some(room_id)),
            Err(Stop::Refused(_)) => Ok(None),
            Err(Stop::Blocked) => Err(Blocked),
        };
        let entered: Vec<_> = rooms.into_iter().map(may_enter).collect();
        let entered = entered.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        let entered: BTreeSet<&RoomId> = entered.into_iter().flatten().collect();
        let events = events
            .iter()
            .filter(|event| entered.contains(event.pdu.room_id()));
        let events: Vec<Arc<StoredEvent>> = events.cloned().collect();
        gate::shown(&events, &self.origin, facts)
    }

    fn page(
        &self,
        events: &[Arc<Pdu>],
        through: Position,
        newest: Position,
        facts: &Facts<'_>,
    ) -> Outcome {
        let events = events.iter().map(|event| event.json());
        let position = position::seal(through, &self.origin, facts.own());
        let body = page::write(events, &position, through < newest);
        Outcome::respond(json_bytes_response(StatusCode::OK, body.into()))
    }
}

fn newest_position(facts: &Facts<'_>) -> Result<Position, Blocked> {
    Ok(match facts.read(Read::NewestPosition)? {
        Answer::Position(newest) => *newest,
        _ => Position::default(),
    })
}

/// The first events of these that fit into a page, and the position that they lead to.
fn within_bytes(part: &EventsAfter) -> (&[Arc<StoredEvent>], Position) {
    let mut bytes = 0;
    let fits = |event: &&Arc<StoredEvent>| {
        bytes += event.pdu.json().len();
        bytes <= PAGE_BYTES_MAX
    };
    let fitting = part.events.iter().take_while(fits).count().max(1);
    match part.events.split_at_checked(fitting) {
        Some((events, [_, ..])) => {
            let last = events.last().and_then(|event| event.position);
            (events, last.unwrap_or(part.through))
        }
        Some(_) | None => (&part.events, part.through),
    }
}

fn no_position() -> MatrixError {
    let reason = "this is no position in this server's stream; begin anew without one";
    MatrixError::new(ErrorCode::InvalidParam, reason)
}
