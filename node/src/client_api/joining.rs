//! Joining rooms, knocking at them, and leaving them.

use comity_core::{
    messaging::command::{Command, Content, Reply},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomAliasId};
use serde_json::json;

use super::{
    Handled,
    errors::{self, invalid},
    request::{Request, parse_id},
    session::Session,
};

pub(super) fn join(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let (room_id, via) = session.find_room(request)?;
    if session.is_joined(&room_id)? {
        return Ok(json!({ "room_id": room_id }));
    }
    let mut content = session.profile_content()?;
    add_reason(request, &mut content)?;
    let user_id = session.user_id.clone();
    match session.command(Command::Join {
        user_id,
        room_id,
        via,
        content,
    })? {
        Reply::Room(room_id) => {
            // What was joined in part is announced when it is whole.
            if session.is_joined(&room_id)? {
                session.announce_devices_in(&room_id)?;
            }
            Ok(json!({ "room_id": room_id }))
        }
        _ => Err(errors::unexpected_reply()),
    }
}

pub(super) fn knock(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let (room_id, via) = session.find_room(request)?;
    let mut content = session.profile_content()?;
    add_reason(request, &mut content)?;
    session.command(Command::Knock {
        user_id: session.user_id.clone(),
        room_id: room_id.clone(),
        via,
        content,
    })?;
    Ok(json!({ "room_id": room_id }))
}

pub(super) fn leave(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let mut content = Content::new();
    add_reason(request, &mut content)?;
    session.leave(request.id(0)?, content)?;
    Ok(json!({}))
}

/// Copies the `reason` of the request's body, if there is one.
pub(super) fn add_reason(request: &Request<'_>, content: &mut Content) -> Result<(), MatrixError> {
    match request.object()?.remove("reason") {
        Some(reason) if reason.is_string() => {
            content.insert("reason".to_owned(), reason);
            Ok(())
        }
        Some(_) => Err(errors::bad_json("reason is no string")),
        None => Ok(()),
    }
}

impl Session<'_> {
    /// Leaves a room, or refuses an invite to it.
    pub(super) fn leave(&self, room_id: OwnedRoomId, content: Content) -> Result<(), MatrixError> {
        let user_id = self.user_id.clone();
        self.command(Command::Leave {
            user_id,
            room_id,
            content,
        })
        .map(drop)
    }

    fn is_joined(&self, room_id: &OwnedRoomId) -> Result<bool, MatrixError> {
        let memberships = self.memberships()?;
        Ok(memberships
            .iter()
            .any(|entry| entry.room_id == *room_id && entry.membership == "join"))
    }

    /// The room that a request names by id or alias, and servers that may help to join it.
    fn find_room(
        &self,
        request: &Request<'_>,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>), MatrixError> {
        let named = request
            .query_all("via")
            .chain(request.query_all("server_name"));
        let mut via = named.map(parse_id).collect::<Result<Vec<_>, _>>()?;
        let room_id = match request.parameter(0).chars().next() {
            Some('#') => {
                let alias: ruma_common::OwnedRoomAliasId = request.id(0)?;
                self.resolve_into(&alias, &mut via)?
            }
            Some('!') => request.id(0)?,
            _ => return Err(invalid("a room id starts with ! and an alias with #")),
        };
        via.extend(room_id.server_name().map(ToOwned::to_owned));
        via.retain(|server| *server != self.api.server_name);
        Ok((room_id, without_repetition(via)))
    }

    fn resolve_into(
        &self,
        alias: &RoomAliasId,
        via: &mut Vec<OwnedServerName>,
    ) -> Result<OwnedRoomId, MatrixError> {
        let (room_id, servers) = self.api.resolve_alias(alias)?;
        via.extend(servers);
        Ok(room_id)
    }
}

fn without_repetition(servers: Vec<OwnedServerName>) -> Vec<OwnedServerName> {
    let mut distinct = Vec::new();
    for server in servers {
        if !distinct.contains(&server) {
            distinct.push(server);
        }
    }
    distinct
}
