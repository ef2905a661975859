//! The resident server's side of joining and leaving: the template ([`MakeMembership`]), the
//! signed event ([`SendMembership`]), and the room for who joined ([`AnswerSendJoin`]).

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use super::{
    command::CommandError,
    compose::{self, NewEvent},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Fate, Outcome},
        world::Room,
    },
    pdu::{
        Pdu, StateKey, acl,
        admit::{Source, VerifyEvent},
        authorisation::{NamedLevel, PowerLevel},
        build,
        event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
        serve::{StateAndAuthChain, list, with_auth_chain},
        signing,
        view::View,
    },
    persistence::tables::Verdict,
    transport::{
        json::{json_bytes_response, json_response},
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// A wish for the template of a membership event.
#[derive(Clone, Debug)]
pub struct MakeMembership {
    origin: OwnedServerName,
    room_id: OwnedRoomId,
    user_id: OwnedUserId,
    membership: &'static str,
    /// The room versions that the asker knows; leaving asks for none.
    versions: Option<Vec<String>>,
}

impl MakeMembership {
    /// `GET /make_join`. Without `ver` the asker knows version 1 only (LIMIT-21).
    #[must_use]
    pub fn join(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        user_id: OwnedUserId,
        versions: Vec<String>,
    ) -> Self {
        Self {
            origin,
            room_id,
            user_id,
            membership: "join",
            versions: Some(versions),
        }
    }

    /// `GET /make_leave`.
    #[must_use]
    pub fn leave(origin: OwnedServerName, room_id: OwnedRoomId, user_id: OwnedUserId) -> Self {
        Self {
            origin,
            room_id,
            user_id,
            membership: "leave",
            versions: None,
        }
    }

    /// See [`crate::engine`] (JOIN-9, LEAVE-2).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        Ok(Outcome::respond(match self.template(facts)? {
            Ok(template) => json_response(StatusCode::OK, &template),
            Err(error) => error.into_response(),
        }))
    }

    fn template(&self, facts: &Facts<'_>) -> Result<Result<Value, MatrixError>, Blocked> {
        let room = match resident_room(&self.room_id, &self.origin, facts)? {
            Ok(room) => room,
            Err(error) => return Ok(Err(error)),
        };
        if self.user_id.server_name() != self.origin {
            return Ok(Err(forbidden("the user is not of your server")));
        }
        let version = room.version.as_str();
        if self
            .versions
            .as_ref()
            .is_some_and(|known| !known.iter().any(|known| known == version))
        {
            let error = MatrixError::new(
                ErrorCode::IncompatibleRoomVersion,
                "your server does not know the version of this room",
            );
            return Ok(Err(error.with("room_version", version)));
        }
        let content = super::command::Content::new();
        let event = NewEvent::member(&self.user_id, &self.user_id, self.membership, &content);
        let event = match self.membership {
            "join" => match authorise_join(room, event, facts)? {
                Ok(event) => event,
                Err(error) => return Ok(Err(error)),
            },
            _ => event,
        };
        let template = match compose::template(room, &event, facts)? {
            Ok(template) => template,
            Err(error) => return Ok(Err(forbidden(&error.to_string()))),
        };
        let own = facts.own();
        let trial = build::build(template, room.version, own.server_name(), own.signing_key());
        let Ok(trial) = trial else {
            return Ok(Err(forbidden("no valid event comes of it")));
        };
        let view = View::of(&room.state, &trial, facts)?;
        if let Err(denied) = view.check(&trial) {
            return Ok(Err(forbidden(&denied.to_string())));
        }
        let mut template = trial.object();
        template.remove("signatures");
        template.remove("hashes");
        Ok(Ok(json!({ "room_version": version, "event": template })))
    }
}

/// Where a room lets the members of other rooms in, finds one of our users who may say so
/// (RJOIN-1, RJOIN-2), and names them in the event.
pub fn authorise_join(
    room: &Room,
    mut event: NewEvent,
    facts: &Facts<'_>,
) -> Result<Result<NewEvent, MatrixError>, Blocked> {
    let keys = vec![
        StateKey::new(CREATE, ""),
        StateKey::new(JOIN_RULES, ""),
        StateKey::new(POWER_LEVELS, ""),
        StateKey::new(MEMBER, event.sender.as_str()),
    ];
    let view = View::with_keys(&room.state, keys, facts)?;
    let rules = view.event(JOIN_RULES, "").map(|event| event.content());
    let rule = rules
        .and_then(|rules| rules.get("join_rule"))
        .and_then(Value::as_str);
    let member = view
        .event(MEMBER, event.sender.as_str())
        .and_then(|member| member.membership());
    if !matches!(rule, Some("restricted" | "knock_restricted"))
        || matches!(member, Some("join" | "invite"))
    {
        return Ok(Ok(event));
    }
    let allow = rules
        .and_then(|rules| rules.get("allow"))
        .and_then(Value::as_array);
    let rooms = allow.into_iter().flatten().filter_map(|condition| {
        let of_room = condition.get("type")?.as_str()? == "m.room_membership";
        let room_id = <&RoomId>::try_from(condition.get("room_id")?.as_str()?).ok()?;
        of_room.then_some(room_id)
    });
    let rooms: Vec<_> = rooms
        .take(ALLOWED_ROOMS_MAX)
        .map(|room_id| facts.room(room_id))
        .collect();
    let rooms = rooms.into_iter().collect::<Result<Vec<_>, _>>()?;
    let ours = |room: &&Room| room.has_server(facts.our_name());
    let met = rooms
        .iter()
        .flatten()
        .copied()
        .filter(ours)
        .any(|room| room.joined.contains(&event.sender));
    if !met {
        let verifiable = !rooms.is_empty() && rooms.iter().all(|room| room.filter(ours).is_some());
        return Ok(Err(match verifiable {
            true => forbidden("you are in none of the rooms whose members may join"),
            false => MatrixError::new(
                ErrorCode::UnableToAuthoriseJoin,
                "this server is not in the rooms whose members may join",
            ),
        }));
    }
    let may_invite = |user: &&OwnedUserId| {
        user.server_name() == facts.our_name()
            && view.power_levels().is_some_and(|levels| {
                levels.of_user(user) >= PowerLevel::Level(levels.named(NamedLevel::Invite))
            })
    };
    let Some(user) = room.joined.iter().find(may_invite) else {
        let error = MatrixError::new(
            ErrorCode::UnableToGrantJoin,
            "nobody on this server may let you in",
        );
        return Ok(Err(error));
    };
    let key = "join_authorised_via_users_server".to_owned();
    event.content.insert(key, user.as_str().into());
    Ok(Ok(event))
}

/// How many rooms whose members may join are looked at.
const ALLOWED_ROOMS_MAX: usize = 10;

impl From<MatrixError> for CommandError {
    fn from(error: MatrixError) -> Self {
        Self::Forbidden(error.error)
    }
}

/// A signed membership event that another server hands in.
#[derive(Clone, Debug)]
pub struct SendMembership {
    origin: OwnedServerName,
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    body: Bytes,
    membership: &'static str,
}

impl SendMembership {
    /// `PUT /v2/send_join`.
    #[must_use]
    pub fn join(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        event_id: OwnedEventId,
        body: Bytes,
    ) -> Self {
        Self {
            origin,
            room_id,
            event_id,
            body,
            membership: "join",
        }
    }

    /// `PUT /v2/send_leave`.
    #[must_use]
    pub fn leave(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        event_id: OwnedEventId,
        body: Bytes,
    ) -> Self {
        Self {
            origin,
            room_id,
            event_id,
            body,
            membership: "leave",
        }
    }

    /// See [`crate::engine`] (JOIN-10, JOIN-11, LEAVE-3).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let room = match resident_room(&self.room_id, &self.origin, facts)? {
            Ok(room) => room,
            Err(error) => return Ok(Outcome::respond(error.into_response())),
        };
        let event = match self.event(room) {
            Ok(event) => event,
            Err(error) => return Ok(Outcome::respond(error.into_response())),
        };
        let event = match self.countersigned(event, facts) {
            Ok(event) => event,
            Err(error) => return Ok(Outcome::respond(error.into_response())),
        };
        let keys = facts.keys_for([&event])?;
        if let Err(error) = signing::verify_event(&event, &keys) {
            return Ok(Outcome::respond(
                forbidden(&error.to_string()).into_response(),
            ));
        }
        let event_id = event.event_id().to_owned();
        let first = VerifyEvent {
            event,
            from: self.origin.clone(),
            source: Source::HandedIn,
        };
        let answer = AnswerSendJoin {
            event_id,
            with_state: self.membership == "join",
        };
        Ok(Outcome::default().then(vec![first.into()], answer))
    }

    fn event(&self, room: &Room) -> Result<Arc<Pdu>, MatrixError> {
        let invalid = |reason: &str| MatrixError::new(ErrorCode::InvalidParam, reason);
        let event = Pdu::parse(&self.body, room.version)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        if event.room_id() != self.room_id || event.event_id() != self.event_id {
            return Err(invalid("the event is not the one that the path names"));
        }
        if event.event_type() != MEMBER || event.membership() != Some(self.membership) {
            return Err(invalid("the event has another membership"));
        }
        if event.origin() != self.origin {
            return Err(invalid("the sender is not of your server"));
        }
        if event.state_key() != Some(event.sender().as_str()) {
            return Err(invalid("the event is about another user"));
        }
        Ok(Arc::new(event))
    }

    /// A join that one of our users authorises needs our signature (RJOIN-3).
    fn countersigned(&self, event: Arc<Pdu>, facts: &Facts<'_>) -> Result<Arc<Pdu>, MatrixError> {
        let Some(user) = event.content().get("join_authorised_via_users_server") else {
            return Ok(event);
        };
        let user = <&UserId>::try_from(user.as_str().unwrap_or_default());
        if !user.is_ok_and(|user| user.server_name() == facts.our_name()) {
            return Err(MatrixError::new(
                ErrorCode::InvalidParam,
                "the join is authorised by another server",
            ));
        }
        let own = facts.own();
        event
            .signed_by(own.server_name(), own.signing_key())
            .map(Arc::new)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))
    }
}

/// A membership event that was judged.
#[derive(Clone, Debug)]
pub struct AnswerSendJoin {
    event_id: OwnedEventId,
    /// Whether the answer holds the room's state.
    with_state: bool,
}

impl AnswerSendJoin {
    /// See [`crate::engine`] (JOIN-12).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let answer = self.answer(facts)?;
        Ok(Outcome::respond(
            answer.unwrap_or_else(MatrixError::into_response),
        ))
    }

    fn answer(&self, facts: &Facts<'_>) -> Result<Result<Response<Bytes>, MatrixError>, Blocked> {
        if let Some(Fate::Failed(_, reason)) = facts.fates().first() {
            return Ok(Err(forbidden(reason)));
        }
        let Some(event) = facts.event(&self.event_id)? else {
            return Ok(Err(forbidden("the event was not taken in")));
        };
        match &event.verdict {
            Verdict::Accepted => {}
            Verdict::Rejected(reason) | Verdict::SoftFailed(reason) => {
                return Ok(Err(forbidden(reason)));
            }
        }
        if !self.with_state {
            return Ok(Ok(json_response(StatusCode::OK, &json!({}))));
        }
        let Some(state) = event.state else {
            return Ok(Err(forbidden("the state before the event is not known")));
        };
        let state = facts.state(state.before)?;
        let StateAndAuthChain { state, auth_chain } = with_auth_chain(&state, facts)?;
        let body = format!(
            r#"{{"origin":"{}","event":{},"state":{},"auth_chain":{},"members_omitted":false}}"#,
            facts.our_name(),
            event.pdu.json(),
            list(&state),
            list(&auth_chain),
        );
        Ok(Ok(json_bytes_response(StatusCode::OK, body.into())))
    }
}

/// A room that we are in, for a server that may not be (yet).
fn resident_room<'f>(
    room_id: &RoomId,
    origin: &OwnedServerName,
    facts: &Facts<'f>,
) -> Result<Result<&'f Room, MatrixError>, Blocked> {
    let room = facts
        .room(room_id)?
        .filter(|room| room.has_server(facts.our_name()));
    let Some(room) = room else {
        return Ok(Err(MatrixError::new(
            ErrorCode::NotFound,
            "this server is not in the room",
        )));
    };
    let allowed = acl::allows(facts, room, origin)?;
    Ok(if allowed {
        Ok(room)
    } else {
        Err(forbidden("your server is denied by the room"))
    })
}

fn forbidden(reason: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Forbidden, reason)
}
