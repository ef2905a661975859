//! `timestamp_to_event`: the event of a room that is nearest to a time.

use std::sync::Arc;

use comity_core::{
    messaging::command::{Command, Reply},
    persistence::{queries::Direction, tables::StoredEvent},
    time::WallTime,
    transport::matrix_error::{ErrorCode, MatrixError},
};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::json;

use super::{
    Handled, access::Access, errors::not_found, messages::direction, request::Request,
    session::Session,
};

/// How many events near the time are looked at for one that the user may see.
const NEAR_MAX: u32 = 100;

pub(super) fn event_by_time(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let missing = || MatrixError::new(ErrorCode::MissingParam, "ts is missing");
    let time = WallTime(request.query_number("ts")?.ok_or_else(missing)?);
    let direction = direction(request)?;
    let access = session.access(&room_id)?;
    let ours = session.nearest(&room_id, &access, time, direction)?;
    let found = session.nearest_anywhere(&room_id, &access, time, direction)?;
    let candidates = [ours, found].into_iter().flatten();
    let nearest = candidates.min_by_key(|event| sent(event).abs_diff(time.to_i64()));
    let nearest = nearest.ok_or_else(|| not_found("no event is known from then on"))?;
    Ok(json!({
        "event_id": nearest.pdu.event_id(),
        "origin_server_ts": sent(&nearest),
    }))
}

fn sent(event: &StoredEvent) -> i64 {
    event.pdu.origin_server_ts()
}

impl Session<'_> {
    /// The nearest of the events in our history that the user may see.
    fn nearest(
        &self,
        room_id: &RoomId,
        access: &Access,
        time: WallTime,
        direction: Direction,
    ) -> Result<Option<Arc<StoredEvent>>, MatrixError> {
        for event in self.by_time(room_id, time, direction, NEAR_MAX)? {
            if self.may_show(room_id, access, &event)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The nearest event that we or other servers know, if the user may see it. Who has left is
    /// shown what we have.
    fn nearest_anywhere(
        &self,
        room_id: &RoomId,
        access: &Access,
        time: WallTime,
        direction: Direction,
    ) -> Result<Option<Arc<StoredEvent>>, MatrixError> {
        if matches!(access, Access::Left(_)) {
            return Ok(None);
        }
        let command = Command::EventByTime {
            room_id: room_id.to_owned(),
            time,
            direction,
        };
        let event = match self.command(command) {
            Ok(Reply::Event(event_id)) => self.event(&event_id)?,
            Ok(_) | Err(_) => None,
        };
        match event {
            Some(event) if self.may_show(room_id, access, &event)? => Ok(Some(event)),
            _ => Ok(None),
        }
    }
}
