//! The resident server's side of joining and leaving: the template ([`MakeMembership`]), the
//! signed event ([`SendMembership`]), and the room for who joined ([`AnswerSendJoin`]).

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};
use serde_json::json;

use super::{
    command::Content,
    compose::{self, NewEvent},
    invite::description,
    restricted::authorise_join,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Fate, Outcome},
        stop::{Stop, for_request},
        world::Room,
    },
    pdu::{
        Pdu, RoomVersion, StateKey, StateMap, acl,
        admit::{Source, VerifyEvent},
        auth_content::MemberContent,
        build,
        event_type::MEMBER,
        resolution::MissingEvents,
        serve::{StateAndAuthChain, list, with_auth_chain},
        signing,
        view::View,
    },
    persistence::tables::{StoredEvent, Verdict},
    transport::{
        json::{json_bytes_response, json_response},
        matrix_error::{ErrorCode, MatrixError},
    },
};

const NAME: &str = "m.room.name";
const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// By how many members a room without a name is called (LIMIT-23).
const HEROES: usize = 5;

/// A fork that cannot be resolved for lack of events may be resolved later.
impl From<Stop<MissingEvents>> for Stop<MatrixError> {
    fn from(stop: Stop<MissingEvents>) -> Self {
        match stop {
            Stop::Blocked => Self::Blocked,
            Stop::Refused(missing) => {
                Self::Refused(MatrixError::new(ErrorCode::Unknown, missing.to_string()))
            }
        }
    }
}

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
        mut versions: Vec<String>,
    ) -> Self {
        if versions.is_empty() {
            versions.push(RoomVersion::V1.to_string());
        }
        Self {
            origin,
            room_id,
            user_id,
            membership: "join",
            versions: Some(versions),
        }
    }

    /// `GET /make_knock`. Unlike a join it must say which versions the asker knows.
    #[must_use]
    pub fn knock(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        user_id: OwnedUserId,
        versions: Vec<String>,
    ) -> Self {
        Self {
            origin,
            room_id,
            user_id,
            membership: "knock",
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

    /// See [`crate::engine`] (JOIN-9, LEAVE-2, KNOCK-2).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.make(facts))
    }

    fn make(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        let room = resident_room(&self.room_id, &self.origin, facts)?;
        if self.user_id.server_name() != self.origin {
            return Err(forbidden("the user is not of your server").into());
        }
        self.check_version(room)?;
        let content = Content::new();
        let event = NewEvent::member(&self.user_id, &self.user_id, self.membership, &content);
        let event = match self.membership {
            "join" => authorise_join(room, event, facts)?,
            _ => event,
        };
        let template = compose::template(room, &event, facts)?;
        let own = facts.own();
        let trial = build::build(template, room.version, own.server_name(), own.signing_key())
            .map_err(|error| forbidden(&error.to_string()))?;
        let view = View::of(&room.state, &trial, facts)?;
        view.check(&trial)
            .map_err(|denied| forbidden(&denied.to_string()))?;
        let mut template = trial.object();
        template.remove("signatures");
        template.remove("hashes");
        let answer = json!({ "room_version": room.version.as_str(), "event": template });
        Ok(Outcome::respond(json_response(StatusCode::OK, &answer)))
    }

    fn check_version(&self, room: &Room) -> Result<(), MatrixError> {
        let version = room.version.as_str();
        if self
            .versions
            .as_ref()
            .is_none_or(|known| known.iter().any(|known| known == version))
        {
            return Ok(());
        }
        let reason = "your server does not know the version of this room";
        let error = MatrixError::new(ErrorCode::IncompatibleRoomVersion, reason);
        Err(error.with("room_version", version))
    }
}

/// How the answer to a membership event is wished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerForm {
    /// As the first version of the endpoint has it: a list of the status and the object (JOIN-13).
    pub in_list: bool,
    /// To a join: without the members of the room (FJOIN-1).
    pub omit_members: bool,
}

/// A signed membership event that another server hands in.
#[derive(Clone, Debug)]
pub struct SendMembership {
    origin: OwnedServerName,
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    body: Bytes,
    membership: &'static str,
    form: AnswerForm,
}

impl SendMembership {
    /// `PUT /send_join`, `/send_knock` or `/send_leave`: the event has this membership.
    #[must_use]
    pub fn new(
        membership: &'static str,
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
            membership,
            form: AnswerForm::default(),
        }
    }

    /// The same, answered in another form.
    #[must_use]
    pub fn answered_as(self, form: AnswerForm) -> Self {
        Self { form, ..self }
    }

    /// See [`crate::engine`] (JOIN-10, JOIN-11, LEAVE-3, KNOCK-2).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.take(facts))
    }

    fn take(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        let room = resident_room(&self.room_id, &self.origin, facts)?;
        let event = self.event(room)?;
        if let Some(known) = facts.event(event.event_id())?
            && !event.is_same_event(&known.pdu)
        {
            let reason = "another event has that id";
            return Err(MatrixError::new(ErrorCode::InvalidParam, reason).into());
        }
        let event = self.countersigned(event, facts)?;
        let keys = facts.keys_for([&event])?;
        signing::verify_event(&event, &keys).map_err(|error| forbidden(&error.to_string()))?;
        let (event_id, from) = (event.event_id().to_owned(), self.origin.clone());
        let first = VerifyEvent {
            event,
            from,
            source: Source::HandedIn,
        };
        let then = AnswerSendJoin {
            event_id,
            membership: self.membership,
            form: self.form,
        };
        Ok(Outcome::default().then(vec![first.into()], then))
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
        let content = event.auth_content().member();
        let Some(user) = content.and_then(MemberContent::authorising_user) else {
            return Ok(event);
        };
        let user = <&UserId>::try_from(user);
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
    /// What the event says, on which depends what the answer holds.
    membership: &'static str,
    form: AnswerForm,
}

impl AnswerSendJoin {
    /// See [`crate::engine`] (JOIN-12, KNOCK-3).
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.answer(facts).map(Outcome::respond))
    }

    fn answer(&self, facts: &Facts<'_>) -> Result<Response<Bytes>, Stop<MatrixError>> {
        if let Some((_, reason)) = facts.fates().first().and_then(Fate::reason) {
            return Err(forbidden(reason).into());
        }
        let event = facts.event(&self.event_id)?;
        let event = event.ok_or_else(|| forbidden("the event was not taken in"))?;
        match &event.verdict {
            Verdict::Accepted => {}
            Verdict::Rejected(reason) | Verdict::SoftFailed(reason) => {
                return Err(forbidden(reason).into());
            }
        }
        let body = match self.membership {
            "join" => self.joined(&event, facts)?,
            "knock" => {
                let state = description(room_of(&event, facts)?, facts)?;
                format!(r#"{{"knock_room_state":{state}}}"#)
            }
            _ => "{}".to_owned(),
        };
        let body = match self.form.in_list {
            true => format!("[200,{body}]"),
            false => body,
        };
        Ok(json_bytes_response(StatusCode::OK, body.into()))
    }

    /// The room for who joined it: all of its state or, if that is wished, a state without most of
    /// the members, and which servers they are of.
    fn joined(&self, event: &StoredEvent, facts: &Facts<'_>) -> Result<String, Stop<MatrixError>> {
        let state = event
            .state
            .ok_or_else(|| forbidden("the state before it is not known"))?;
        let state = facts.state(state.before)?;
        let (shown, more) = match self.form.omit_members {
            false => (state, r#""members_omitted":false"#.to_owned()),
            true => {
                let room = room_of(event, facts)?;
                let servers = servers_without(event.pdu.sender(), room);
                let servers = json!(servers).to_string();
                let more = format!(r#""members_omitted":true,"servers_in_room":{servers}"#);
                (without_members(&state, &event.pdu, room), more)
            }
        };
        let StateAndAuthChain { state, auth_chain } = with_auth_chain(&shown, facts)?;
        Ok(format!(
            r#"{{"origin":"{}","event":{},"state":{},"auth_chain":{},{more}}}"#,
            facts.our_name(),
            event.pdu.json(),
            list(&state),
            list(&auth_chain),
        ))
    }
}

fn room_of<'f>(event: &StoredEvent, facts: &Facts<'f>) -> Result<&'f Room, Stop<MatrixError>> {
    let room = facts.room(event.pdu.room_id())?;
    Ok(room.ok_or_else(|| forbidden("the room is gone"))?)
}

/// A state without its members but for who joins, those who authorise the join and, in a room
/// without a name, those by whom it is called (FJOIN-2).
fn without_members(state: &StateMap, join: &Pdu, room: &Room) -> StateMap {
    let joining = join.sender();
    let has_name = [NAME, CANONICAL_ALIAS]
        .into_iter()
        .any(|event_type| state.get(event_type, "").is_some());
    let heroes = room.joined.iter().filter(|user_id| *user_id != joining);
    let heroes = heroes.take(if has_name { 0 } else { HEROES });
    let kept: BTreeSet<&str> = heroes.chain([joining]).map(UserId::as_str).collect();
    let entries = state.iter();
    let entries = entries.filter(|((event_type, state_key), event_id)| {
        let is_kept = kept.contains(state_key) || join.auth_events().contains(event_id);
        *event_type != MEMBER || is_kept
    });
    entries
        .map(|(key, event_id)| (StateKey::from(key), event_id.to_owned()))
        .collect()
}

/// The servers in a room, leaving out that of a user who joined just now if nobody else of it is
/// there.
fn servers_without<'r>(joined: &UserId, room: &'r Room) -> Vec<&'r ServerName> {
    let servers = room.servers.iter();
    let servers = servers.filter(|(name, users)| *name != joined.server_name() || **users > 1);
    servers.map(|(name, _)| &**name).collect()
}

/// A room that we are in, for a server that may not be (yet). Where we do not know who is in it, we
/// cannot let anybody in (FJOIN-4).
pub(super) fn resident_room<'f>(
    room_id: &RoomId,
    origin: &ServerName,
    facts: &Facts<'f>,
) -> Result<&'f Room, Stop<MatrixError>> {
    let absent = || MatrixError::new(ErrorCode::NotFound, "this server is not in the room");
    if facts.joined_in_part(room_id).is_some() {
        return Err(absent().into());
    }
    let room = facts
        .room(room_id)?
        .filter(|room| room.has_server(facts.our_name()));
    let room = room.ok_or_else(absent)?;
    match acl::allows(facts, room, origin)? {
        true => Ok(room),
        false => Err(forbidden("your server is denied by the room").into()),
    }
}

fn forbidden(reason: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Forbidden, reason)
}
