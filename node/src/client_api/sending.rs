//! Sending messages, redactions and state.
//!
//! A transaction id makes a request repeatable: the federation remembers, on disk, what was sent
//! for the same device, path and transaction.

use comity_core::{
    messaging::command::{Command, Content, Reply, SendEvent},
    pdu::event_type::{MEMBER, REDACTION},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, bad_json},
    request::{Request, parse_id},
    session::Session,
};

pub(super) fn send(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let (event_type, transaction) = (request.parameter(1), request.parameter(2));
    let content = request.object()?;
    let once = Some(session.once(&["send", room_id.as_str(), event_type, transaction]));
    let command = match (event_type, content.get("redacts")) {
        (REDACTION, Some(redacts)) => session.redaction(&room_id, redacts, &content, once)?,
        _ => session.sending(&room_id, event_type, None, content, once),
    };
    session.send_in_transaction(command, transaction)
}

pub(super) fn redact(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let (event_id, transaction) = (request.parameter(1), request.parameter(2));
    let once = Some(session.once(&["redact", room_id.as_str(), event_id, transaction]));
    let redacts = Value::from(event_id);
    let command = session.redaction(&room_id, &redacts, &request.object()?, once)?;
    session.send_in_transaction(command, transaction)
}

pub(super) fn set_state(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let (event_type, state_key) = (request.parameter(1), request.parameter(2));
    let content = request.object()?;
    let command = match event_type {
        MEMBER => session.member_command(&room_id, state_key, content)?,
        _ => session.sending(&room_id, event_type, Some(state_key), content, None),
    };
    Ok(json!({ "event_id": session.send_now(command)? }))
}

impl Session<'_> {
    fn once(&self, path: &[&str]) -> String {
        let mut key = vec![self.user_id.as_str(), &self.caller.device_id];
        key.extend(path);
        Value::from(key).to_string()
    }

    fn sending(
        &self,
        room_id: &RoomId,
        event_type: &str,
        state_key: Option<&str>,
        content: Content,
        once: Option<String>,
    ) -> Command {
        Command::Send(Box::new(SendEvent {
            sender: self.user_id.clone(),
            room_id: room_id.to_owned(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            content,
            once,
        }))
    }

    fn redaction(
        &self,
        room_id: &RoomId,
        redacts: &Value,
        content: &Content,
        once: Option<String>,
    ) -> Result<Command, MatrixError> {
        let redacts = redacts
            .as_str()
            .ok_or_else(|| bad_json("redacts is no string"))?;
        let reason = content
            .get("reason")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        let (sender, redacts) = (self.user_id.clone(), parse_id(redacts)?);
        Ok(Command::Redact {
            sender,
            room_id: room_id.to_owned(),
            redacts,
            reason,
            once,
        })
    }

    /// A membership set as state is the same as by its own endpoint.
    fn member_command(
        &self,
        room_id: &RoomId,
        state_key: &str,
        mut content: Content,
    ) -> Result<Command, MatrixError> {
        let target: OwnedUserId = parse_id(state_key)?;
        let membership = content
            .get("membership")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        Ok(match membership.as_deref() {
            Some("invite") => {
                content.remove("membership");
                Command::Invite {
                    sender: self.user_id.clone(),
                    target,
                    room_id: room_id.to_owned(),
                    content,
                }
            }
            Some("leave") if target == self.user_id => {
                content.remove("membership");
                Command::Leave {
                    user_id: target,
                    room_id: room_id.to_owned(),
                    content,
                }
            }
            _ => self.sending(room_id, MEMBER, Some(state_key), content, None),
        })
    }

    /// Sends, and remembers for the sender's own `sync` which transaction it was.
    fn send_in_transaction(&self, command: Command, transaction: &str) -> Handled {
        let event_id = self.send_now(command)?;
        let sent = self
            .api
            .accounts
            .add_sent(&self.caller, transaction, event_id.as_str());
        sent.map_err(errors::from_accounts)?;
        Ok(json!({ "event_id": event_id }))
    }

    fn send_now(&self, command: Command) -> Result<OwnedEventId, MatrixError> {
        match self.command(command)? {
            Reply::Event(event_id) => Ok(event_id),
            _ => Err(errors::unexpected_reply()),
        }
    }
}
