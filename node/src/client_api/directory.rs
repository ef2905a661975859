//! Room aliases.

use std::sync::{MutexGuard, PoisonError};

use comity_core::{
    messaging::command::{Command, Reply},
    transport::matrix_error::{ErrorCode, MatrixError},
};
use http::StatusCode;
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId};
use serde_json::{Value, json};

use super::{
    Api, Handled,
    errors::{self, bad_json, forbidden, invalid, not_found},
    request::{Request, parse_id},
    session::Session,
};

pub(super) fn resolve(api: &Api, request: &Request<'_>) -> Handled {
    let alias: OwnedRoomAliasId = request.id(0)?;
    let (room_id, servers) = api.resolve_alias(&alias)?;
    Ok(json!({ "room_id": room_id, "servers": servers }))
}

pub(super) fn add(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = match request.object()?.get("room_id") {
        Some(Value::String(room_id)) => parse_id(room_id)?,
        _ => return Err(bad_json("room_id is missing or no string")),
    };
    let alias = own_alias(session, request)?;
    session.must_be_joined(&room_id)?;
    let taken = |error: MatrixError| MatrixError {
        errcode: ErrorCode::Unknown,
        ..error.with_status(StatusCode::CONFLICT)
    };
    AliasReservation::new(session, alias)
        .map_err(taken)?
        .fulfil(&room_id)?;
    Ok(json!({}))
}

pub(super) fn remove(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let alias = own_alias(session, request)?;
    let accounts = &session.api.accounts;
    let known = accounts.alias(&alias).map_err(errors::from_accounts)?;
    let known = known.ok_or_else(|| not_found("there is no such alias"))?;
    if known.creator != session.user_id.as_str() {
        return Err(forbidden("somebody else made this alias"));
    }
    accounts
        .remove_alias(&alias)
        .map_err(errors::from_accounts)?;
    Ok(json!({}))
}

fn own_alias(
    session: &Session<'_>,
    request: &Request<'_>,
) -> Result<OwnedRoomAliasId, MatrixError> {
    let alias: OwnedRoomAliasId = request.id(0)?;
    match alias.server_name() == session.api.server_name {
        true => Ok(alias),
        false => Err(invalid("the alias belongs to another server")),
    }
}

impl Api {
    /// What an alias of any server stands for, and servers in that room.
    pub(super) fn resolve_alias(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>), MatrixError> {
        if alias.server_name() == self.server_name {
            let known = self.accounts.alias(alias).map_err(errors::from_accounts)?;
            let known = known.ok_or_else(|| not_found("there is no such alias"))?;
            return Ok((known.room_id, vec![self.server_name.clone()]));
        }
        match self.command(Command::ResolveAlias(alias.to_owned()))? {
            Reply::Directory { room_id, servers } => Ok((room_id, servers)),
            _ => Err(errors::unexpected_reply()),
        }
    }

    fn reserved_aliases(&self) -> MutexGuard<'_, std::collections::BTreeSet<OwnedRoomAliasId>> {
        self.reserved_aliases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An alias that nobody else can take while its room is being made.
pub(super) struct AliasReservation<'a> {
    session: &'a Session<'a>,
    alias: OwnedRoomAliasId,
}

impl<'a> AliasReservation<'a> {
    /// Errors with `M_ROOM_IN_USE` if the alias is taken.
    pub(super) fn new(
        session: &'a Session<'a>,
        alias: OwnedRoomAliasId,
    ) -> Result<Self, MatrixError> {
        let taken = || MatrixError::new(ErrorCode::RoomInUse, format!("{alias} is taken"));
        if !session.api.reserved_aliases().insert(alias.clone()) {
            return Err(taken());
        }
        let reservation = Self {
            session,
            alias: alias.clone(),
        };
        match session
            .api
            .accounts
            .alias(&alias)
            .map_err(errors::from_accounts)?
        {
            None => Ok(reservation),
            Some(_) => Err(taken()),
        }
    }

    pub(super) fn alias(&self) -> &RoomAliasId {
        &self.alias
    }

    /// Makes the alias stand for the room.
    pub(super) fn fulfil(self, room_id: &RoomId) -> Result<(), MatrixError> {
        let Session { api, user_id, .. } = self.session;
        let added = api.accounts.add_alias(&self.alias, room_id, user_id);
        added.map(drop).map_err(errors::from_accounts)
    }
}

impl Drop for AliasReservation<'_> {
    fn drop(&mut self) {
        self.session.api.reserved_aliases().remove(&self.alias);
    }
}
