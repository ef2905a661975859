//! An identity server found out that an address is one of our users', whom people invited by it.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Found, is_joined};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
        stop::Stop,
        world::Room,
    },
    messaging::{command::Content, compose::NewEvent, send::SendEventJob},
    pdu::event_type::MEMBER,
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
        remote_request::Endpoint,
        remote_response::RemoteError,
    },
};

/// How many invites one message may bring: it is anybody's, and each costs a request.
const INVITES_MAX: usize = 20;

/// `PUT /3pid/onbind` (3PID-1, 3PID-2): gets one invite after the other, and answers then.
#[derive(Clone, Debug)]
pub struct ServeBinding {
    user_id: OwnedUserId,
    invites: VecDeque<Pending>,
    /// A server that could not be asked for an invite.
    unreachable: Option<OwnedServerName>,
}

/// An invite that waits.
#[derive(Clone, Debug, Deserialize)]
struct Pending {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    signed: Content,
}

impl ServeBinding {
    /// Reads the message. It proves nothing: what an identity server signed does.
    ///
    /// # Errors
    /// 400 if it is malformed or brings too much.
    pub fn read(body: &Bytes) -> Result<Self, MatrixError> {
        #[derive(Deserialize)]
        struct Binding {
            mxid: OwnedUserId,
            invites: VecDeque<Pending>,
        }
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| MatrixError::new(ErrorCode::NotJson, error.to_string()))?;
        let Binding { mxid, invites } = Binding::deserialize(&body)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        if invites.len() > INVITES_MAX {
            let reason = format!("more than {INVITES_MAX} invites");
            return Err(MatrixError::new(ErrorCode::BadJson, reason));
        }
        Ok(Self {
            user_id: mxid,
            invites,
            unreachable: None,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        if self.user_id.server_name() != facts.our_name() {
            let error = MatrixError::new(ErrorCode::InvalidParam, "the user is of another server");
            return Ok(Outcome::respond(error.into_response()));
        }
        let mut rest = self.clone();
        let Some(invite) = rest.invites.pop_front() else {
            return Ok(self.answer());
        };
        let room = facts.room(&invite.room_id)?;
        let room = room.filter(|room| room.has_server(facts.our_name()));
        let Some(room) = room else {
            if let Some(server) = invite.exchange(&self.user_id, facts)? {
                rest.unreachable = Some(server);
            }
            return Ok(Outcome::phase(rest));
        };
        let first = match invite.in_room(room, &self.user_id, facts) {
            Ok(first) => first,
            Err(Stop::Blocked) => return Err(Blocked),
            Err(Stop::Refused(error)) => {
                tracing::info!(room_id = %invite.room_id, %error, "an invite is not made");
                None
            }
        };
        let first = first.into_iter().map(Job::from).collect();
        Ok(Outcome::default().then(first, rest))
    }

    /// What could not be had yet may be another time.
    fn answer(&self) -> Outcome {
        let response = match &self.unreachable {
            None => json_response(StatusCode::OK, &json!({})),
            Some(server) => {
                let reason = format!("{server} cannot be asked for its invite");
                let error = MatrixError::new(ErrorCode::Unknown, reason);
                error.with_status(StatusCode::BAD_GATEWAY).into_response()
            }
        };
        Outcome::respond(response)
    }
}

impl Pending {
    /// We are in the room, and make the invite ourselves, in the name of who invited.
    fn in_room(
        &self,
        room: &Room,
        user_id: &OwnedUserId,
        facts: &Facts<'_>,
    ) -> Result<Option<SendEventJob>, Stop<MatrixError>> {
        if is_joined(room, user_id) {
            return Ok(None);
        }
        let found = Found {
            room,
            sender: &self.sender,
            signed: &self.signed,
        };
        let content = found.content(facts)?;
        Ok(Some(SendEventJob {
            room_id: self.room_id.clone(),
            event: NewEvent::member(&self.sender, user_id, "invite", &content),
            once: None,
        }))
    }

    /// Asks the server of who invited, then the one in the room's id. What they refuse is nobody's
    /// to make.
    ///
    /// Gives a server that could not be asked, if none made the invite.
    fn exchange(
        &self,
        user_id: &OwnedUserId,
        facts: &Facts<'_>,
    ) -> Result<Option<OwnedServerName>, Blocked> {
        let invite = json!({
            "type": MEMBER,
            "room_id": self.room_id,
            "sender": self.sender,
            "state_key": user_id,
            "content": {
                "membership": "invite",
                "third_party_invite": {
                    "display_name": user_id.localpart(),
                    "signed": self.signed,
                },
            },
        });
        let mut unreachable = None;
        for server in self.servers(facts) {
            let room_id = self.room_id.clone();
            let endpoint = Endpoint::ExchangeThirdPartyInvite(room_id, invite.to_string());
            match facts.call(&server, endpoint)? {
                Ok(_) => return Ok(None),
                Err(RemoteError::Refused { status, .. }) if *status < 500 => {}
                Err(_) => unreachable = Some(server),
            }
        }
        Ok(unreachable)
    }

    fn servers(&self, facts: &Facts<'_>) -> Vec<OwnedServerName> {
        let mut servers = vec![self.sender.server_name().to_owned()];
        let of_room = self.room_id.server_name().map(ToOwned::to_owned);
        servers.extend(of_room.filter(|server| server != self.sender.server_name()));
        servers.retain(|server| server != facts.our_name());
        servers
    }
}
