//! Inviting: our user invites somebody ([`InviteUser`], [`AwaitCosignature`]), or somebody invites
//! our user ([`ServeInvite`]).

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    command::{CommandError, Content, Reply},
    compose::{self, NewEvent, our_room},
    delivery::{Delivery, deliver},
    invited_to,
    notice::{InviteRefusal, Question, Told},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Fate, Outcome},
        stop::{Stop, for_command, for_request},
        world::Room,
    },
    pdu::{
        Pdu, RoomVersion, acl,
        admit::{AdmitEvent, Source},
        event_type::MEMBER,
        signing,
    },
    persistence::{
        queries::Write,
        tables::{LocalMembership, StoredEvent, Verdict},
    },
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
        remote_request::{Endpoint, SignedEvent},
        remote_response::{self, RemoteError},
    },
};

/// What describes a room to somebody who is not in it (INVITE-4).
const DESCRIBING: &[&str] = &[
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
];

/// An invite to make.
#[derive(Clone, Debug)]
pub struct InviteUser {
    /// Our user.
    pub sender: OwnedUserId,
    /// Who is invited.
    pub target: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Further keys of the member event.
    pub content: Content,
}

impl InviteUser {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.invite(facts))
    }

    fn invite(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let room = our_room(&self.room_id, facts)?;
        let event = NewEvent::member(&self.sender, &self.target, "invite", &self.content);
        let event = compose::compose(room, &event, facts)?;
        let delivery = match self.target.server_name() == facts.our_name() {
            true => Delivery::of(&event),
            false => Delivery::Invited {
                description: description(room, facts)?,
            },
        };
        deliver(room, event, delivery, facts)
    }
}

/// The events that describe a room, as a JSON list.
pub fn description(room: &Room, facts: &Facts<'_>) -> Result<String, Blocked> {
    let ids: Vec<&EventId> = DESCRIBING
        .iter()
        .filter_map(|event_type| room.state.get(event_type, ""))
        .collect();
    let held = facts.all_held(ids.iter().copied())?;
    let events: Vec<_> = ids.iter().filter_map(|id| held.get(*id)).cloned().collect();
    Ok(crate::pdu::serve::list(&events))
}

/// An invite that the invited user's server has to sign.
#[derive(Clone, Debug)]
pub struct AwaitCosignature {
    /// The invite.
    pub event: Arc<Pdu>,
    /// The events that describe the room, as a JSON list.
    pub description: String,
}

#[derive(Deserialize)]
struct Cosigned<'b> {
    #[serde(borrow)]
    event: &'b RawValue,
}

impl AwaitCosignature {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.cosign(facts))
    }

    fn cosign(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let Some(Ok(target)) = self.event.state_key().map(<&UserId>::try_from) else {
            return Err(CommandError::Invalid("nobody is invited".to_owned()).into());
        };
        let server = target.server_name().to_owned();
        let answer = facts.call(&server, self.request())?;
        let is_old = [RoomVersion::V1, RoomVersion::V2].contains(&self.event.room_version());
        let cosigned = match answer {
            Ok(body) => remote_response::parse_borrowed(body),
            Err(error) if is_old && error.is_of_unknown_endpoint() => {
                match facts.call(&server, self.request_of_old())? {
                    Ok(body) => remote_response::parse_borrowed(body)
                        .map(|(_, cosigned): (u16, Cosigned<'_>)| cosigned),
                    Err(error) => Err(error.clone()),
                }
            }
            Err(error) => Err(error.clone()),
        };
        let cosigned = cosigned.and_then(|cosigned| self.cosigned(&cosigned));
        let event = cosigned.map_err(|error| CommandError::of_server(&server, &error))?;
        let keys = facts.keys_for([&event])?;
        signing::verify_event(&event, &keys)
            .map_err(|error| RemoteError::Nonsense(error.to_string()))
            .map_err(|error| CommandError::of_server(&server, &error))?;
        let then = AnswerInvite {
            event_id: event.event_id().to_owned(),
        };
        Ok(Outcome::default().then(vec![admit(event, facts).into()], then))
    }

    fn request(&self) -> Endpoint {
        let (event, version) = (&self.event, self.event.room_version());
        Endpoint::Invite(SignedEvent {
            room_id: event.room_id().to_owned(),
            event_id: event.event_id().to_owned(),
            body: format!(
                r#"{{"room_version":"{version}","event":{},"invite_room_state":{}}}"#,
                event.json(),
                self.description
            ),
        })
    }

    /// As it was before it said the room's version (INVITE-2).
    fn request_of_old(&self) -> Endpoint {
        let state: Value = serde_json::from_str(&self.description).unwrap_or_default();
        let mut event = self.event.object();
        event.insert("unsigned".to_owned(), json!({ "invite_room_state": state }));
        Endpoint::InviteOfOld(SignedEvent {
            room_id: self.event.room_id().to_owned(),
            event_id: self.event.event_id().to_owned(),
            body: Value::Object(event).to_string(),
        })
    }

    /// The same event must come back (INVITE-3).
    fn cosigned(&self, cosigned: &Cosigned<'_>) -> Result<Arc<Pdu>, RemoteError> {
        let event = Pdu::parse(cosigned.event.get(), self.event.room_version())
            .map_err(|error| RemoteError::Nonsense(error.to_string()))?;
        match event.is_same_event(&self.event) && event.has_claimed_content() {
            true => Ok(Arc::new(event)),
            false => Err(RemoteError::Nonsense("another event came back".to_owned())),
        }
    }
}

/// The room went on while the invite was away: like any event that was handed in, it is judged by
/// the state where it stands and by the current one.
fn admit(event: Arc<Pdu>, facts: &Facts<'_>) -> AdmitEvent {
    AdmitEvent {
        auth_asked: true,
        ..AdmitEvent::new(event, facts.our_name().to_owned(), Source::HandedIn)
    }
}

/// An invite that was judged.
#[derive(Clone, Debug)]
pub struct AnswerInvite {
    event_id: OwnedEventId,
}

impl AnswerInvite {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.answer(facts))
    }

    fn answer(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let forbidden = |reason: &str| CommandError::Forbidden(reason.to_owned());
        if let Some((_, reason)) = facts.fates().first().and_then(Fate::reason) {
            return Err(forbidden(reason).into());
        }
        let event = facts.event(&self.event_id)?;
        let event = event.ok_or_else(|| forbidden("the invite was not taken in"))?;
        match &event.verdict {
            Verdict::Accepted => {
                Ok(Outcome::default().with_reply(Reply::Event(self.event_id.clone())))
            }
            Verdict::Rejected(reason) | Verdict::SoftFailed(reason) => {
                Err(forbidden(reason).into())
            }
        }
    }
}

/// An invite for one of our users.
#[derive(Clone, Debug)]
pub struct ServeInvite {
    origin: OwnedServerName,
    event: Arc<Pdu>,
    target: OwnedUserId,
    stripped_state: Vec<Value>,
    /// As the first version of the endpoint has it, the answer is a list of 200 and the object.
    in_list: bool,
}

#[derive(Deserialize)]
struct Invite<'b> {
    room_version: String,
    #[serde(borrow)]
    event: &'b RawValue,
    #[serde(default)]
    invite_room_state: Vec<Value>,
}

impl ServeInvite {
    /// Reads the request (INVITE-5).
    ///
    /// # Errors
    /// 400 if it is not a well-formed invite by a user of the origin.
    pub fn new(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        event_id: OwnedEventId,
        body: &Bytes,
    ) -> Result<Self, MatrixError> {
        let invite: Invite<'_> = serde_json::from_slice(body).map_err(bad_json)?;
        let version = RoomVersion::parse(&invite.room_version).ok_or_else(|| {
            MatrixError::new(
                ErrorCode::IncompatibleRoomVersion,
                "the room version is not known",
            )
            .with("room_version", invite.room_version.as_str())
        })?;
        let event = Pdu::parse(invite.event.get(), version).map_err(bad_json)?;
        Self::of(origin, room_id, event_id, event, invite.invite_room_state)
    }

    /// Reads a request as it was before it said the room's version: that is 1 or 2, whose events
    /// look alike (INVITE-5).
    ///
    /// # Errors
    /// As [`ServeInvite::new`].
    pub fn of_old(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        event_id: OwnedEventId,
        body: &Bytes,
    ) -> Result<Self, MatrixError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            unsigned: Unsigned,
        }
        #[derive(Default, Deserialize)]
        struct Unsigned {
            #[serde(default)]
            invite_room_state: Vec<Value>,
        }
        let Body { unsigned } = serde_json::from_slice(body).map_err(bad_json)?;
        let event = Pdu::parse(body, RoomVersion::V1).map_err(bad_json)?;
        let state = unsigned.invite_room_state;
        let invite = Self::of(origin, room_id, event_id, event, state)?;
        Ok(Self {
            in_list: true,
            ..invite
        })
    }

    fn of(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        event_id: OwnedEventId,
        event: Pdu,
        said: Vec<Value>,
    ) -> Result<Self, MatrixError> {
        let invalid = |reason: &str| MatrixError::new(ErrorCode::InvalidParam, reason);
        if event.room_id() != room_id || event.event_id() != event_id {
            return Err(invalid("the event is not the one that the path names"));
        }
        if event.event_type() != MEMBER || event.membership() != Some("invite") {
            return Err(invalid("the event is no invite"));
        }
        if event.origin() != origin {
            return Err(invalid("the sender is not of your server"));
        }
        let target = event.state_key().map(OwnedUserId::try_from);
        let Some(Ok(target)) = target else {
            return Err(invalid("nobody is invited"));
        };
        let version = event.room_version();
        let stripped_state = invited_to::description(said, &room_id, version).map_err(invalid)?;
        Ok(Self {
            origin,
            event: Arc::new(event),
            target,
            stripped_state,
            in_list: false,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.serve(facts))
    }

    fn serve(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        let invalid = |reason: String| MatrixError::new(ErrorCode::InvalidParam, reason);
        if self.target.server_name() != facts.our_name() {
            return Err(invalid("the invited user is not of this server".to_owned()).into());
        }
        let room = facts.room(self.event.room_id())?;
        let room = room.filter(|room| room.has_server(facts.our_name()));
        let keys = facts.keys_for([&self.event])?;
        signing::verify_event(&self.event, &keys).map_err(|error| invalid(error.to_string()))?;
        if let Some(room) = room
            && !acl::allows(facts, room, &self.origin)?
        {
            let reason = "your server is denied by the room";
            return Err(MatrixError::new(ErrorCode::Forbidden, reason).into());
        }
        self.must_be_wanted(facts)?;
        let own = facts.own();
        let signed = self.event.signed_by(own.server_name(), own.signing_key());
        let signed = signed.map_err(|error| invalid(error.to_string()))?;
        let answer = json!({ "event": signed.object() });
        let answer = match self.in_list {
            true => json!([200, answer]),
            false => answer,
        };
        let answer = json_response(StatusCode::OK, &answer);
        let mut outcome = Outcome::respond(answer);
        if room.is_none() {
            self.note(Arc::new(signed), facts, &mut outcome);
        }
        Ok(outcome)
    }

    /// Asks the homeserver whether its user may be bothered (INVITE-7).
    fn must_be_wanted(&self, facts: &Facts<'_>) -> Result<(), Stop<MatrixError>> {
        let question = Question::Invite {
            sender: self.event.sender().to_owned(),
            target: self.target.clone(),
            room_id: self.event.room_id().to_owned(),
        };
        let (code, reason) = match facts.told(question)? {
            Told::InviteRefused(InviteRefusal::ByUser) => (
                ErrorCode::InviteBlocked,
                "the user takes no invites of yours",
            ),
            Told::InviteRefused(InviteRefusal::ByServer) => (
                ErrorCode::Forbidden,
                "this server takes no invites of yours",
            ),
            _ => return Ok(()),
        };
        Err(MatrixError::new(code, reason).into())
    }

    /// In a room that we are in the invite comes again, by transaction (INVITE-8); in any other
    /// this is all we hear of it.
    fn note(&self, event: Arc<Pdu>, facts: &Facts<'_>, outcome: &mut Outcome) {
        let (room_id, version) = (event.room_id().to_owned(), event.room_version());
        let event = Arc::new(StoredEvent::outlier(event, Verdict::Accepted));
        let membership = LocalMembership {
            user_id: self.target.clone(),
            room_id: room_id.clone(),
            membership: "invite".to_owned(),
            event: event.clone(),
            position: outcome.counters(facts).newest(),
            stripped_state: self.stripped_state.clone(),
        };
        outcome.writes.push(Write::RoomVersion(room_id, version));
        outcome.writes.push(Write::Event(event));
        outcome.note_membership(membership);
    }
}

fn bad_json(error: impl std::fmt::Display) -> MatrixError {
    MatrixError::new(ErrorCode::BadJson, error.to_string())
}
