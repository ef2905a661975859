//! What clients keep with their user's account, for all rooms or for one.

use comity_core::transport::matrix_error::{ErrorCode, MatrixError};
use http::StatusCode;
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, forbidden, not_found},
    request::Request,
    session::Session,
};

/// How far the user has fully read.
pub(super) const FULLY_READ: &str = "m.fully_read";

/// What has an endpoint of its own.
const ELSEWHERE: [&str; 2] = [FULLY_READ, "m.push_rules"];

/// How large a piece may be, as JSON text.
const BYTES_MAX: usize = 1 << 16;

pub(super) fn set(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    session.keep(request, None, request.parameter(1))
}

pub(super) fn set_for_room(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    let room_id: OwnedRoomId = request.id(1)?;
    session.keep(request, Some(&room_id), request.parameter(2))
}

pub(super) fn get(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    session.kept(None, request.parameter(1))
}

pub(super) fn get_for_room(session: &Session<'_>, request: &Request<'_>) -> Handled {
    must_be_own(session, request)?;
    let room_id: OwnedRoomId = request.id(1)?;
    session.kept(Some(&room_id), request.parameter(2))
}

fn must_be_own(session: &Session<'_>, request: &Request<'_>) -> Result<(), MatrixError> {
    match request.id::<OwnedUserId>(0)? == session.user_id {
        true => Ok(()),
        false => Err(forbidden("account data are private to their user")),
    }
}

impl Session<'_> {
    fn keep(&self, request: &Request<'_>, room_id: Option<&RoomId>, data_type: &str) -> Handled {
        if ELSEWHERE.contains(&data_type) {
            let reason = format!("{data_type} is set by its own endpoint");
            let error = MatrixError::new(ErrorCode::BadJson, reason);
            return Err(error.with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let content = Value::Object(request.object()?);
        if content.to_string().len() > BYTES_MAX {
            return Err(MatrixError::new(ErrorCode::TooLarge, "that is too much"));
        }
        self.set_account_data(room_id, data_type, &content)?;
        Ok(json!({}))
    }

    pub(super) fn set_account_data(
        &self,
        room_id: Option<&RoomId>,
        data_type: &str,
        content: &Value,
    ) -> Result<(), MatrixError> {
        let (localpart, room_id) = (&self.caller.localpart, room_id.map(RoomId::as_str));
        let accounts = &self.api.accounts;
        let set = accounts.set_account_data(localpart, room_id, data_type, content);
        set.map_err(errors::from_accounts)?;
        self.api.news.publish();
        Ok(())
    }

    fn kept(&self, room_id: Option<&RoomId>, data_type: &str) -> Handled {
        let (localpart, room_id) = (&self.caller.localpart, room_id.map(RoomId::as_str));
        let kept = self
            .api
            .accounts
            .account_data(localpart, room_id, data_type);
        let kept = kept.map_err(errors::from_accounts)?;
        kept.ok_or_else(|| not_found("there is nothing of this type"))
    }
}
