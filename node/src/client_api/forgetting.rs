//! Rooms that the user has left and wants to hear no more of.

use comity_core::{
    persistence::tables::LocalMembership,
    transport::matrix_error::{ErrorCode, MatrixError},
};
use http::StatusCode;
use ruma_common::OwnedRoomId;
use serde_json::json;

use super::{Handled, errors, request::Request, session::Session};

pub(super) fn forget(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let mut memberships = session.memberships()?.into_iter();
    let Some(membership) = memberships.find(|membership| membership.room_id == room_id) else {
        return Ok(json!({}));
    };
    if !is_over(&membership) {
        let error = MatrixError::new(ErrorCode::Unknown, "you have not left this room");
        return Err(error.with_status(StatusCode::BAD_REQUEST));
    }
    let (localpart, position) = (&session.caller.localpart, membership.position.0);
    let accounts = &session.api.accounts;
    let forgotten = accounts.forget_room(localpart, room_id.as_str(), position);
    forgotten.map_err(errors::from_accounts)?;
    Ok(json!({}))
}

fn is_over(membership: &LocalMembership) -> bool {
    ["leave", "ban"].contains(&membership.membership.as_str())
}

impl Session<'_> {
    /// Of memberships, those that the user has not forgotten.
    pub(super) fn without_forgotten(
        &self,
        mut memberships: Vec<LocalMembership>,
    ) -> Result<Vec<LocalMembership>, MatrixError> {
        let forgotten = self.api.accounts.forgotten_rooms(&self.caller.localpart);
        let forgotten = forgotten.map_err(errors::from_accounts)?;
        memberships.retain(|membership| {
            let since = forgotten.get(membership.room_id.as_str());
            since.is_none_or(|since| membership.position.0 > *since)
        });
        Ok(memberships)
    }
}
