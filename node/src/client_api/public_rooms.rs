//! Directories of rooms: ours, and those of other servers.

use comity_core::{
    messaging::{
        command::{Command, Reply},
        public_rooms::WantedRooms,
    },
    pdu::{
        StateKey,
        event_type::{CREATE, POWER_LEVELS},
    },
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId};
use serde_json::{Value, json};

use super::{
    Api, Handled,
    errors::{self, bad_json, forbidden},
    request::{Request, parse_id},
    session::Session,
};

pub(super) fn list(api: &Api, request: &Request<'_>) -> Handled {
    let limit = request.query_number("limit")?;
    let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    let wanted = WantedRooms {
        limit,
        since: request.query("since").map(ToOwned::to_owned),
        ..WantedRooms::default()
    };
    api.public_rooms(request, wanted)
}

pub(super) fn search(session: &Session<'_>, request: &Request<'_>) -> Handled {
    session.api.public_rooms(request, request.body()?)
}

/// Whether a room is in our directory.
pub(super) fn visibility(api: &Api, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let published = api.accounts.published().map_err(errors::from_accounts)?;
    let visibility = match published.contains(&room_id) {
        true => "public",
        false => "private",
    };
    Ok(json!({ "visibility": visibility }))
}

/// Puts a room into our directory or takes it out, at the word of somebody who may say what the
/// room is called.
pub(super) fn set_visibility(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let is_public = match request.object()?.get("visibility").map(Value::as_str) {
        None | Some(Some("public")) => true,
        Some(Some("private")) => false,
        Some(_) => return Err(bad_json("visibility is neither public nor private")),
    };
    session.must_be_joined(&room_id)?;
    if !session.may_name(&room_id)? {
        return Err(forbidden("you may not say what the room's aliases are"));
    }
    let published = session.api.accounts.publish(&room_id, is_public);
    published.map_err(errors::from_accounts)?;
    Ok(json!({}))
}

/// The power that state needs which the room says nothing of.
const STATE_DEFAULT: i64 = 50;

impl Session<'_> {
    /// Whether the user made the room, or has the power to set its main alias.
    fn may_name(&self, room_id: &RoomId) -> Result<bool, MatrixError> {
        let create = self.current_state_event(room_id, StateKey::new(CREATE, ""))?;
        if create.is_some_and(|create| create.pdu.sender() == self.user_id) {
            return Ok(true);
        }
        let levels = self.current_state_event(room_id, StateKey::new(POWER_LEVELS, ""))?;
        let Some(levels) = levels.map(|levels| Value::Object(levels.pdu.content())) else {
            return Ok(false);
        };
        let level = |path: &[&str]| {
            let mut value = &levels;
            for key in path {
                value = value.get(key)?;
            }
            value.as_i64()
        };
        let own = level(&["users", self.user_id.as_str()]).or(level(&["users_default"]));
        let needed = level(&["events", "m.room.canonical_alias"]).or(level(&["state_default"]));
        Ok(own.unwrap_or_default() >= needed.unwrap_or(STATE_DEFAULT))
    }
}

impl Api {
    /// The directory that a request names as `server`, or ours.
    fn public_rooms(&self, request: &Request<'_>, wanted: WantedRooms) -> Handled {
        let server: OwnedServerName = match request.query("server") {
            Some(server) => parse_id(server)?,
            None => self.server_name.clone(),
        };
        match self.command(Command::PublicRooms { server, wanted })? {
            Reply::PublicRooms(page) => Ok(json!(page)),
            _ => Err(errors::unexpected_reply()),
        }
    }
}
