//! Reading a room's state, and single events.

use std::sync::Arc;

use comity_core::{
    messaging::command::Events, pdu::StateKey, persistence::tables::StoredEvent,
    transport::matrix_error::MatrixError,
};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use serde_json::Value;

use super::{Handled, access::Access, errors::not_found, request::Request, session::Session};

pub(super) fn whole_state(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let state = session.state_seen(&room_id, &session.access(&room_id)?)?;
    Ok(Value::Array(session.state_events(&state)?))
}

pub(super) fn state_event(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let (event_type, state_key) = (request.parameter(1), request.parameter(2));
    let access = session.access(&room_id)?;
    let event = session.state_event_seen(&room_id, &access, event_type, state_key)?;
    let event = event.ok_or_else(|| not_found("the room has no such state"))?;
    match request.query("format") {
        Some("event") => session.client_event(&event),
        _ => Ok(Value::Object(event.pdu.content())),
    }
}

pub(super) fn event(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let event_id: OwnedEventId = request.id(1)?;
    let access = session.access(&room_id)?;
    session.client_event(&*session.event_seen(&room_id, &access, &event_id)?)
}

impl Session<'_> {
    /// An event of the room.
    ///
    /// Errors with `M_NOT_FOUND` if there is none of this id that the user may see.
    pub(super) fn event_seen(
        &self,
        room_id: &RoomId,
        access: &Access,
        event_id: &EventId,
    ) -> Result<Arc<StoredEvent>, MatrixError> {
        let unseen = || not_found("there is no such event in the room, or you may not see it");
        let event = self.event(event_id)?.ok_or_else(unseen)?;
        let is_here = event.pdu.room_id() == room_id && !event.verdict.is_rejected();
        if is_here && self.may_show(room_id, access, &event)? {
            Ok(event)
        } else {
            Err(unseen())
        }
    }

    /// The room's state, as of leaving it if the user has left.
    pub(super) fn state_seen(
        &self,
        room_id: &RoomId,
        access: &Access,
    ) -> Result<Events, MatrixError> {
        match access {
            Access::Joined(_) => self.current_state(room_id),
            Access::Left(departure) => self.snapshot_events(departure.state),
        }
    }

    /// Whether an event may be shown by itself: as part of the timeline, as part of a state that
    /// came without the history that led to it, or as a piece of the past from before our history
    /// begins.
    pub(super) fn may_show(
        &self,
        room_id: &RoomId,
        access: &Access,
        event: &StoredEvent,
    ) -> Result<bool, MatrixError> {
        let Some(position) = event.position else {
            let is_joined = matches!(access, Access::Joined(_));
            if event.is_outlier() && is_joined && self.sees(room_id, access, event)? {
                return Ok(true);
            }
            let state_key = event.pdu.state_key().unwrap_or_default();
            let shown =
                self.state_event_seen(room_id, access, event.pdu.event_type(), state_key)?;
            return Ok(shown.is_some_and(|shown| shown.pdu.event_id() == event.pdu.event_id()));
        };
        let is_before_the_end = access.end().is_none_or(|end| position <= end.0);
        Ok(is_before_the_end && self.sees(room_id, access, event)?)
    }

    /// One event of the room's state, as of leaving it if the user has left.
    fn state_event_seen(
        &self,
        room_id: &RoomId,
        access: &Access,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>, MatrixError> {
        match access {
            Access::Joined(_) => {
                self.current_state_event(room_id, StateKey::new(event_type, state_key))
            }
            Access::Left(departure) => self.snapshot_event(departure.state, event_type, state_key),
        }
    }
}
