//! What belongs to a homeserver and not to federation: asked of other homeservers for our users,
//! and of ours for other servers.
//!
//! **Contract.** A [`Question`] is for one homeserver. [`ask`] puts it to that one, ours or
//! another, and gives what it [tells](Told) as far as it may speak of it. [`AnswerQuestion`]
//! answers another server's if it is about ours.

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    device_keys::{DeviceList, OneTimeKeys, UserKeys, WantedKeys, WantedOneTimeKeys},
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
        multipart,
        remote_request::Endpoint,
        remote_response::{RemoteBody, RemoteError, parse},
    },
};

/// Asks a homeserver.
///
/// # Errors
/// `Ok(Err(_))` if it is another and gave no answer.
pub fn ask(
    server: &ServerName,
    question: &Question,
    facts: &Facts<'_>,
) -> Result<Result<Told, RemoteError>, Blocked> {
    if server == facts.our_name() {
        return Ok(Ok(facts.told(question.clone())?.clone()));
    }
    let answer = facts.call(server, Endpoint::Question(question.clone()))?;
    Ok(match answer {
        Ok(body) => read(question, body),
        Err(error) => Err(error.clone()),
    })
}

/// The answer of `query/directory`.
#[derive(Deserialize, Serialize)]
struct Directory {
    room_id: OwnedRoomId,
    servers: Vec<OwnedServerName>,
}

/// The answer of `openid/userinfo`.
#[derive(Deserialize, Serialize)]
struct UserInfo {
    sub: OwnedUserId,
}

/// Reads another server's answer. What was not asked is left out, as is what it has no right to
/// speak of.
fn read(question: &Question, body: &RemoteBody) -> Result<Told, RemoteError> {
    Ok(match question {
        Question::Directory(_) => {
            let Directory { room_id, servers } = parse(body)?;
            Told::Directory { room_id, servers }
        }
        Question::Profile(_) => Told::Profile(parse(body)?),
        Question::Keys(wanted) => Told::Keys(parse::<UserKeys>(body)?.credible(wanted)),
        Question::OneTimeKeys { wanted, .. } => {
            Told::OneTimeKeys(parse::<OneTimeKeys>(body)?.credible(wanted))
        }
        Question::Devices(user_id) => parse::<DeviceList>(body)?
            .credible(user_id)
            .map_or(Told::NotFound, Told::Devices),
        Question::OpenIdUser(_) => Told::OpenIdUser(parse::<UserInfo>(body)?.sub),
        Question::Media(_) => Told::Media(multipart::read(body)?),
        Question::PublishedRooms | Question::Invite { .. } => Told::NotFound,
    })
}

/// Another server asks what only our homeserver knows.
#[derive(Clone, Debug)]
pub struct AnswerQuestion {
    /// What.
    pub question: Question,
    /// The one field of a profile that is wanted, if not all.
    pub field: Option<String>,
}

impl From<Question> for AnswerQuestion {
    fn from(question: Question) -> Self {
        Self {
            question,
            field: None,
        }
    }
}

impl AnswerQuestion {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.question.is_about_others(facts.our_name()) {
            let error = MatrixError::new(ErrorCode::InvalidParam, "that is of another server");
            return Ok(Outcome::respond(error.into_response()));
        }
        let mut question = self.question.clone();
        if let Question::OneTimeKeys { claim, .. } = &mut question {
            *claim = facts.job_number();
        }
        let told = facts.told(question)?;
        let answer = match told {
            Told::Media(media) => Ok(multipart::response(media, &new_boundary(facts))),
            told => self.respond(told),
        };
        Ok(Outcome::respond(
            answer.unwrap_or_else(MatrixError::into_response),
        ))
    }

    fn respond(&self, told: &Told) -> Result<Response<Bytes>, MatrixError> {
        let ok = StatusCode::OK;
        Ok(match told {
            Told::Directory { room_id, servers } => {
                json_response(ok, &json!({ "room_id": room_id, "servers": servers }))
            }
            Told::Profile(fields) => match &self.field {
                None => json_response(ok, fields),
                Some(name) => {
                    let value = fields.get(name).ok_or_else(not_found)?;
                    json_response(ok, &json!({ name: value }))
                }
            },
            Told::Keys(keys) => json_response(ok, keys),
            Told::OneTimeKeys(keys) => json_response(ok, keys),
            Told::Devices(list) => json_response(ok, list),
            Told::OpenIdUser(user_id) => {
                let sub = user_id.clone();
                json_response(ok, &UserInfo { sub })
            }
            Told::PublishedRooms(_) | Told::Media(_) | Told::InviteRefused(_) => {
                return Err(not_found());
            }
            Told::NoThumbnail => {
                let reason = "there is no small picture of this file";
                let error = MatrixError::new(ErrorCode::Unknown, reason);
                return Err(error.with_status(StatusCode::BAD_REQUEST));
            }
            Told::NotFound => match &self.question {
                Question::Keys(_) => json_response(ok, &UserKeys::default()),
                Question::OneTimeKeys { .. } => json_response(ok, &OneTimeKeys::default()),
                Question::OpenIdUser(_) => {
                    let reason = "the token is unknown or has expired";
                    return Err(MatrixError::new(ErrorCode::UnknownToken, reason));
                }
                Question::Directory(_)
                | Question::Profile(_)
                | Question::Devices(_)
                | Question::Media(_)
                | Question::PublishedRooms
                | Question::Invite { .. } => {
                    return Err(not_found());
                }
            },
        })
    }
}

impl Question {
    /// The question in the body of `user/keys/query` (DEV-3).
    ///
    /// # Errors
    /// 400 `M_BAD_JSON` if it is malformed or asks for too much.
    pub fn keys(body: &Bytes) -> Result<Self, MatrixError> {
        #[derive(Deserialize)]
        struct Body {
            device_keys: WantedKeys,
        }
        let Body { device_keys } = read_body(body)?;
        let devices = device_keys.values().map(Vec::len).sum();
        must_be_few(device_keys.len(), devices)?;
        Ok(Self::Keys(device_keys))
    }

    /// The question in the body of `user/keys/claim` (DEV-4).
    ///
    /// # Errors
    /// 400 `M_BAD_JSON` if it is malformed or asks for too much.
    pub fn one_time_keys(body: &Bytes) -> Result<Self, MatrixError> {
        #[derive(Deserialize)]
        struct Body {
            one_time_keys: WantedOneTimeKeys,
        }
        let Body {
            one_time_keys: wanted,
        } = read_body(body)?;
        let devices = wanted.values().map(|devices| devices.len()).sum();
        must_be_few(wanted.len(), devices)?;
        Ok(Self::OneTimeKeys { wanted, claim: 0 })
    }

    /// Whether it is about something that is not `server`'s to tell.
    fn is_about_others(&self, server: &ServerName) -> bool {
        let is_other = |user_id: &OwnedUserId| user_id.server_name() != server;
        match self {
            Self::Directory(alias) => alias.server_name() != server,
            Self::Profile(user_id) | Self::Devices(user_id) => is_other(user_id),
            Self::Keys(wanted) => wanted.keys().any(is_other),
            Self::OneTimeKeys { wanted, .. } => wanted.keys().any(is_other),
            Self::Invite { target, .. } => is_other(target),
            Self::OpenIdUser(_) | Self::Media(_) | Self::PublishedRooms => false,
        }
    }
}

/// A line that nobody who uploads a file can have put into it.
fn new_boundary(facts: &Facts<'_>) -> String {
    let lot = facts.lot("boundary");
    lot.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_body<'b, T: Deserialize<'b>>(body: &'b Bytes) -> Result<T, MatrixError> {
    serde_json::from_slice(body)
        .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))
}

fn must_be_few(users: usize, devices: usize) -> Result<(), MatrixError> {
    use super::device_keys::{DEVICES_MAX, USERS_MAX};
    match users > USERS_MAX || devices > DEVICES_MAX {
        true => Err(MatrixError::new(
            ErrorCode::BadJson,
            "too many keys are asked for",
        )),
        false => Ok(()),
    }
}

fn not_found() -> MatrixError {
    MatrixError::new(ErrorCode::NotFound, "there is no such thing here")
}
