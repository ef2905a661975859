//! Aliases and profiles: asked of other servers for our users, and of the application for other
//! servers (QUERY-1, QUERY-2).

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    command::{CommandError, Content, Reply},
    join::command_error,
    notice::{Question, Told},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
        remote_request::Endpoint,
        remote_response,
    },
};

/// How many servers of an alias are looked at.
const SERVERS_MAX: usize = 50;

/// Our user wants to know what an alias stands for.
#[derive(Clone, Debug)]
pub struct ResolveAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
}

#[derive(Clone, Deserialize)]
struct Directory {
    room_id: OwnedRoomId,
    servers: Vec<OwnedServerName>,
}

impl ResolveAlias {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let not_found = || CommandError::NotFound(format!("{} is not known", self.alias));
        let server = self.alias.server_name();
        let found = if server == facts.our_name() {
            match facts.told(Question::Directory(self.alias.clone()))? {
                Told::Directory { room_id, servers } => Ok(Directory {
                    room_id: room_id.clone(),
                    servers: servers.clone(),
                }),
                Told::Profile(_) | Told::NotFound => Err(not_found()),
            }
        } else {
            let answer = facts.call(server, Endpoint::Directory(self.alias.clone()))?;
            let parsed = answer
                .clone()
                .and_then(|body| remote_response::parse(&body));
            parsed.map_err(|error| command_error(&server.to_owned(), &error))
        };
        Ok(Outcome::complete(found.map(
            |Directory {
                 room_id,
                 mut servers,
             }| {
                servers.truncate(SERVERS_MAX);
                Reply::Directory { room_id, servers }
            },
        )))
    }
}

/// Our user wants to see a profile.
#[derive(Clone, Debug)]
pub struct UserProfile {
    /// Whose.
    pub user_id: OwnedUserId,
}

impl UserProfile {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let server = self.user_id.server_name();
        let profile: Result<Content, CommandError> = if server == facts.our_name() {
            match facts.told(Question::Profile(self.user_id.clone()))? {
                Told::Profile(fields) => Ok(fields.clone().into_iter().collect()),
                Told::Directory { .. } | Told::NotFound => Err(CommandError::NotFound(format!(
                    "{} is not known",
                    self.user_id
                ))),
            }
        } else {
            let answer = facts.call(server, Endpoint::Profile(self.user_id.clone()))?;
            let parsed = answer
                .clone()
                .and_then(|body| remote_response::parse(&body));
            parsed.map_err(|error| command_error(&server.to_owned(), &error))
        };
        Ok(Outcome::complete(profile.map(Reply::Profile)))
    }
}

/// Another server wants to know what one of our aliases stands for.
#[derive(Clone, Debug)]
pub struct ServeDirectory {
    /// The alias.
    pub alias: OwnedRoomAliasId,
}

impl ServeDirectory {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.alias.server_name() != facts.our_name() {
            let error = MatrixError::new(ErrorCode::InvalidParam, "the alias is of another server");
            return Ok(Outcome::respond(error.into_response()));
        }
        let told = facts.told(Question::Directory(self.alias.clone()))?;
        Ok(Outcome::respond(match told {
            Told::Directory { room_id, servers } => json_response(
                StatusCode::OK,
                &json!({ "room_id": room_id, "servers": servers }),
            ),
            Told::Profile(_) | Told::NotFound => not_found("there is no such alias here"),
        }))
    }
}

/// Another server wants to see the profile of one of our users.
#[derive(Clone, Debug)]
pub struct ServeProfile {
    /// Whose.
    pub user_id: OwnedUserId,
    /// The one field that is wanted, if not all.
    pub field: Option<String>,
}

impl ServeProfile {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.user_id.server_name() != facts.our_name() {
            let error = MatrixError::new(ErrorCode::InvalidParam, "the user is of another server");
            return Ok(Outcome::respond(error.into_response()));
        }
        let Told::Profile(fields) = facts.told(Question::Profile(self.user_id.clone()))? else {
            return Ok(Outcome::respond(not_found("there is no such user here")));
        };
        let wanted = |name: &String| self.field.as_ref().is_none_or(|field| field == name);
        let shown: serde_json::Map<String, Value> = fields
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        Ok(Outcome::respond(json_response(StatusCode::OK, &shown)))
    }
}

fn not_found(reason: &str) -> Response<Bytes> {
    MatrixError::new(ErrorCode::NotFound, reason).into_response()
}
