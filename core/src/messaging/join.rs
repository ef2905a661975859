//! Joining a room: by ourselves if we are in it, else by `make_join` and `send_join` with one
//! candidate after the other (JOIN-1 to JOIN-8).
//!
//! The phases: [`JoinRoom`] gets a template and signs it; [`SendJoin`] hands it in;
//! [`ImportEvent`] takes in the room that comes back.

use std::sync::Arc;

use bytes::Bytes;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    command::{CommandError, Content, Reply},
    compose::{self, NewEvent},
    delivery::{Delivery, deliver},
    restricted::authorise_join,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::{
        Pdu, RoomVersion,
        answers::events_of,
        build::complete_template,
        canonical_json::{Object, parse_object},
        event_type::{CREATE, MEMBER},
        import::{ImportEvent, Purpose},
    },
    persistence::queries::{Answer, Read},
    transport::{
        remote_request::{Endpoint, SignedEvent},
        remote_response::{self, RemoteError},
    },
};

/// How many servers are tried.
const CANDIDATES_MAX: usize = 10;

/// A join up to the point where there is a signed event.
#[derive(Clone, Debug)]
pub struct JoinRoom {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers to ask, best first.
    pub via: Vec<OwnedServerName>,
    /// Further keys of the member event.
    pub content: Content,
    /// How many candidates have been tried in vain, and why the last one was.
    pub tried: usize,
    /// See `tried`.
    pub last_error: Option<CommandError>,
}

impl JoinRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.join(facts))
    }

    fn join(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        if self.user_id.server_name() != facts.our_name() {
            let reason = "the user is of another server".to_owned();
            return Err(CommandError::Invalid(reason).into());
        }
        let room = facts.room(&self.room_id)?;
        match room.filter(|room| room.has_server(facts.our_name())) {
            Some(room) => self.join_locally(room, facts),
            None => self.ask_next_candidate(facts),
        }
    }

    fn join_locally(&self, room: &Room, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let event = NewEvent::member(&self.user_id, &self.user_id, "join", &self.content);
        let event = authorise_join(room, event, facts)?;
        let event = compose::compose(room, &event, facts)?;
        let delivery = Delivery::Room {
            also: None,
            once: None,
            reply: Reply::Room(self.room_id.clone()),
        };
        deliver(room, event, delivery, facts)
    }

    fn ask_next_candidate(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let candidates = self.candidates(facts)?;
        let Some(server) = candidates.get(self.tried) else {
            let nobody = format!("no server is known to be in {}", self.room_id);
            let error = self.last_error.clone();
            return Err(error.unwrap_or(CommandError::NotFound(nobody)).into());
        };
        let endpoint = Endpoint::MakeJoin(self.room_id.clone(), self.user_id.clone());
        let answer = match facts.call(server, endpoint)? {
            Ok(body) => {
                let (room_id, user_id) = (&self.room_id, &self.user_id);
                signed_membership(body, room_id, user_id, "join", &self.content, facts)
            }
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok(event) => Ok(Outcome::phase(SendJoin {
                user_id: self.user_id.clone(),
                room_id: self.room_id.clone(),
                server: server.clone(),
                event,
                retry: self.next_candidate(server, &RemoteError::NotAsked("no answer".to_owned())),
            })),
            Err(error) if error.try_another_server() => {
                Ok(Outcome::phase(self.next_candidate(server, &error)))
            }
            Err(error) => Err(command_error(server, &error).into()),
        }
    }

    /// The servers to ask: those given, then the one that invited us.
    fn candidates(&self, facts: &Facts<'_>) -> Result<Vec<OwnedServerName>, Blocked> {
        let mut candidates = self.via.clone();
        if let Answer::Memberships(known) = facts.read(Read::Memberships(self.user_id.clone()))? {
            let invite = known.iter().find(|known| known.room_id == self.room_id);
            candidates.extend(invite.map(|invite| invite.event.pdu.origin().to_owned()));
        }
        candidates.extend(self.room_id.server_name().map(ToOwned::to_owned));
        let mut seen = std::collections::BTreeSet::new();
        candidates.retain(|server| server != facts.our_name() && seen.insert(server.clone()));
        candidates.truncate(CANDIDATES_MAX);
        Ok(candidates)
    }

    fn next_candidate(&self, server: &OwnedServerName, error: &RemoteError) -> Self {
        Self {
            tried: self.tried + 1,
            last_error: Some(command_error(server, error)),
            ..self.clone()
        }
    }
}

#[derive(Deserialize)]
struct Template<'b> {
    room_version: Option<String>,
    #[serde(borrow)]
    event: &'b RawValue,
}

/// Checks the template in an answer to `make_join` or `make_leave`, completes it with `content` and
/// signs it (JOIN-3, JOIN-4).
///
/// # Errors
/// If the answer makes no sense, or wants us to sign something else than was asked for.
pub fn signed_membership(
    body: &Bytes,
    room_id: &RoomId,
    user_id: &UserId,
    membership: &str,
    content: &Content,
    facts: &Facts<'_>,
) -> Result<Arc<Pdu>, RemoteError> {
    let (template, version) = membership_template(body)?;
    let event = sign_template(template, content, version, facts)?;
    check_membership(&event, room_id, user_id, membership)?;
    Ok(event)
}

/// Reads an answer to `make_join` or `make_leave`.
///
/// # Errors
/// If it makes no sense, or is of a room version that we do not know.
fn membership_template(body: &Bytes) -> Result<(Object, RoomVersion), RemoteError> {
    let nonsense = |reason: String| RemoteError::Nonsense(reason);
    let template: Template<'_> = remote_response::parse_borrowed(body)?;
    let name = template.room_version.unwrap_or_else(|| "1".to_owned());
    let version = RoomVersion::parse(&name)
        .ok_or_else(|| nonsense(format!("room version {name} is not supported")))?;
    let event = parse_object(template.event.get().as_bytes())
        .map_err(|error| nonsense(error.to_string()))?;
    Ok((event, version))
}

/// Completes a template with `content` and signs it.
///
/// # Errors
/// If no valid event comes of it.
fn sign_template(
    mut template: Object,
    content: &Content,
    version: RoomVersion,
    facts: &Facts<'_>,
) -> Result<Arc<Pdu>, RemoteError> {
    if let Some(serde_json::Value::Object(given)) = template.get_mut("content") {
        for (key, value) in content {
            given.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    let own = facts.own();
    let now = facts.begun().wall.to_i64();
    complete_template(template, now, version, own.server_name(), own.signing_key())
        .map(Arc::new)
        .map_err(|error| RemoteError::Nonsense(error.to_string()))
}

/// Checks that a template was for what was asked (JOIN-3).
///
/// # Errors
/// If another server wants us to sign something else.
fn check_membership(
    event: &Pdu,
    room_id: &RoomId,
    user_id: &UserId,
    membership: &str,
) -> Result<(), RemoteError> {
    let as_asked = event.room_id() == room_id
        && event.event_type() == MEMBER
        && event.sender() == user_id
        && event.state_key() == Some(user_id.as_str())
        && event.membership() == Some(membership);
    match as_asked {
        true => Ok(()),
        false => Err(RemoteError::Nonsense(
            "the template is of something else".to_owned(),
        )),
    }
}

/// What a client is told when another server could not help or refused.
#[must_use]
pub fn command_error(server: &OwnedServerName, error: &RemoteError) -> CommandError {
    match error {
        RemoteError::Refused {
            status,
            errcode,
            error,
        } => CommandError::Refused {
            server: server.clone(),
            status: *status,
            errcode: errcode.clone(),
            error: error.clone(),
        },
        RemoteError::Unreachable(_) | RemoteError::NotAsked(_) | RemoteError::Nonsense(_) => {
            CommandError::Unreachable(format!("{server}: {error}"))
        }
    }
}

/// A signed join on its way in.
#[derive(Clone, Debug)]
pub struct SendJoin {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The server that made the template.
    pub server: OwnedServerName,
    /// The join.
    pub event: Arc<Pdu>,
    /// What to do if this server does not take it.
    pub retry: JoinRoom,
}

#[derive(Deserialize)]
struct Joined<'b> {
    #[serde(borrow)]
    state: Vec<&'b RawValue>,
    #[serde(borrow)]
    auth_chain: Vec<&'b RawValue>,
    #[serde(borrow)]
    event: Option<&'b RawValue>,
}

impl SendJoin {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let endpoint = Endpoint::SendJoin(SignedEvent {
            room_id: self.room_id.clone(),
            event_id: self.event.event_id().to_owned(),
            body: self.event.json().to_owned(),
        });
        let taken = match facts.call(&self.server, endpoint)? {
            Ok(body) => self.import(body),
            Err(error) => Err(error.clone()),
        };
        Ok(match taken {
            Ok(import) => Outcome::phase(import),
            Err(error) if error.try_another_server() => {
                let last_error = Some(command_error(&self.server, &error));
                Outcome::phase(JoinRoom {
                    last_error,
                    ..self.retry.clone()
                })
            }
            Err(error) => Outcome::complete(Err(command_error(&self.server, &error))),
        })
    }

    /// Reads the room that comes back (JOIN-6): it must have its create event, of the version
    /// that was announced, and our event must be the one that we sent.
    fn import(&self, body: &Bytes) -> Result<ImportEvent, RemoteError> {
        let joined: Joined<'_> = remote_response::parse_borrowed(body)?;
        let version = self.event.room_version();
        let event = match joined.event {
            None => self.event.clone(),
            Some(json) => events_of(&[json], &self.room_id, version)
                .pop()
                .filter(|event| event.is_same_event(&self.event))
                .ok_or_else(|| RemoteError::Nonsense("another event came back".to_owned()))?,
        };
        let state = events_of(&joined.state, &self.room_id, version);
        let auth_chain = events_of(&joined.auth_chain, &self.room_id, version);
        let creates = state.iter().filter(|event| event.event_type() == CREATE);
        let announced = |event: &&Arc<Pdu>| {
            event
                .content()
                .get("room_version")
                .and_then(|v| v.as_str())
                .unwrap_or("1")
                == version.as_str()
        };
        if creates.filter(announced).count() != 1 {
            return Err(RemoteError::Nonsense(
                "no create event of that version".to_owned(),
            ));
        }
        Ok(ImportEvent {
            from: self.server.clone(),
            event,
            state,
            auth_chain,
            purpose: Purpose::Join(self.user_id.clone()),
        })
    }
}
