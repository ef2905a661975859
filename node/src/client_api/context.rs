//! `context`: an event with what was said before and after it.

use comity_core::{
    messaging::command::Events,
    persistence::{queries::Direction, tables::StoredEvent},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde_json::json;

use super::{
    Handled, errors::not_found, request::Request, room_reads::Stretch, session::Session,
    token::Token,
};

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 100;

pub(super) fn context(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let event_id: OwnedEventId = request.id(1)?;
    let limit = request.query_number("limit")?.unwrap_or(LIMIT_DEFAULT);
    let limit = u32::try_from(limit.min(LIMIT_MAX) / 2).unwrap_or_default();
    let access = session.access(&room_id)?;
    let event = session.event_seen(&room_id, &access, &event_id)?;
    let position = event.position.ok_or_else(|| {
        not_found("the event is part of the room's state, but of no history that is known here")
    })?;
    let around = |from, to, direction| -> Result<Events, MatrixError> {
        let events = session.timeline(&Stretch {
            room_id: &room_id,
            from: Some(from),
            to,
            direction,
            limit,
        })?;
        session.visible(&room_id, &access, events)
    };
    let before = around(Token::before(position), None, Direction::Backward)?;
    let after = around(Token(position), access.end(), Direction::Forward)?;
    let place = |event: Option<&std::sync::Arc<StoredEvent>>| {
        event.and_then(|event| event.position).unwrap_or(position)
    };
    let last = after.last().unwrap_or(&event);
    let state = match last.state {
        Some(state) => session.snapshot_events(state.after)?,
        None => Events::new(),
    };
    Ok(json!({
        "start": Token::before(place(before.last())).to_string(),
        "end": Token(place(after.last())).to_string(),
        "event": session.client_event(&event)?,
        "events_before": session.client_events(&before)?,
        "events_after": session.client_events(&after)?,
        "state": session.state_events(&state)?,
    }))
}
