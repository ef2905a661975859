//! One of our users invited an address, and the server of whose it is wants the invite.

use bytes::Bytes;
use http::StatusCode;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Found, is_joined};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_request},
    },
    messaging::{command::Content, invite::InviteUser, resident::resident_room},
    pdu::event_type::MEMBER,
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
    },
};

/// `PUT /exchange_third_party_invite/{roomId}` (3PID-3).
#[derive(Clone, Debug)]
pub struct ServeExchange {
    origin: OwnedServerName,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    target: OwnedUserId,
    signed: Content,
}

/// The invite that is wished, of which we use no more than we check.
#[derive(Deserialize)]
struct Wish {
    #[serde(rename = "type")]
    event_type: String,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    #[serde(rename = "state_key")]
    target: OwnedUserId,
    content: WishedContent,
}

#[derive(Deserialize)]
struct WishedContent {
    membership: String,
    third_party_invite: WishedInvite,
}

#[derive(Deserialize)]
struct WishedInvite {
    signed: Content,
}

impl ServeExchange {
    /// Reads the request.
    ///
    /// # Errors
    /// 400 if it asks for no invite to that room.
    pub fn new(
        origin: OwnedServerName,
        room_id: OwnedRoomId,
        body: &Bytes,
    ) -> Result<Self, MatrixError> {
        let wish: Wish = serde_json::from_slice(body)
            .map_err(|error| MatrixError::new(ErrorCode::BadJson, error.to_string()))?;
        let invalid = |reason: &str| MatrixError::new(ErrorCode::InvalidParam, reason);
        if wish.event_type != MEMBER || wish.content.membership != "invite" {
            return Err(invalid("that is no invite"));
        }
        if wish.room_id != room_id {
            return Err(invalid("the room is not the one that the path names"));
        }
        let signed = wish.content.third_party_invite.signed;
        if signed.get("mxid").and_then(Value::as_str) != Some(wish.target.as_str()) {
            return Err(invalid("the address is another user's"));
        }
        if wish.target.server_name() != origin {
            return Err(invalid("the invited user is not of your server"));
        }
        Ok(Self {
            origin,
            room_id,
            sender: wish.sender,
            target: wish.target,
            signed,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_request(self.serve(facts))
    }

    /// From here on it is an invite like any other: composed, judged (AUTH-10), signed by the
    /// invited user's server, and sent to the room. The request is answered when it is there.
    fn serve(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<MatrixError>> {
        let room = resident_room(&self.room_id, &self.origin, facts)?;
        if self.sender.server_name() != facts.our_name() {
            let reason = "who invited is not of this server";
            return Err(MatrixError::new(ErrorCode::InvalidParam, reason).into());
        }
        if is_joined(room, &self.target) {
            return Ok(Outcome::respond(json_response(StatusCode::OK, &json!({}))));
        }
        let found = Found {
            room,
            sender: &self.sender,
            signed: &self.signed,
        };
        Ok(Outcome::phase(InviteUser {
            sender: self.sender.clone(),
            target: self.target.clone(),
            room_id: self.room_id.clone(),
            content: found.content(facts)?,
        }))
    }
}
