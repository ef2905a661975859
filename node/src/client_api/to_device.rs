//! Messages of users to devices.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use comity_core::{
    messaging::command::{Command, EduAudience},
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Handled, errors, event_format::object, request::Request, session::Session};
use crate::accounts::DeviceMessage;

/// How many bytes of messages go into one EDU, which may have 64 KiB in all.
const EDU_BYTES_MAX: usize = 48 * 1024;

/// How many letters of a transaction's digest name its messages. With a number they are at most 32.
const NAME_LETTERS: usize = 24;

#[derive(Deserialize)]
struct Body {
    messages: BTreeMap<OwnedUserId, BTreeMap<String, Value>>,
}

/// By user, then by device.
type Messages = Map<String, Value>;

pub(super) fn send(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let (event_type, transaction) = (request.parameter(0), request.parameter(1));
    let Body { messages } = request.body()?;
    let mut ours = Vec::new();
    let mut others: BTreeMap<OwnedServerName, Vec<Messages>> = BTreeMap::new();
    for (user_id, devices) in messages {
        let is_ours = user_id.server_name() == session.api.server_name;
        for (device_id, content) in devices {
            match is_ours {
                true => ours.push(DeviceMessage {
                    localpart: user_id.localpart().to_owned(),
                    device_id: (device_id != "*").then_some(device_id),
                    event: json!({
                        "type": event_type, "sender": session.user_id, "content": content,
                    }),
                }),
                false => {
                    let edus = others.entry(user_id.server_name().to_owned()).or_default();
                    add(edus, &user_id, device_id, content);
                }
            }
        }
    }
    session.send_to_servers(event_type, transaction, others)?;
    let accounts = &session.api.accounts;
    let kept = accounts.add_device_messages(&session.caller, transaction, &ours);
    kept.map_err(errors::from_accounts)?;
    session.api.news.publish();
    Ok(json!({}))
}

/// Puts a message into the last EDU of a server, or into a new one if that is full.
fn add(edus: &mut Vec<Messages>, user_id: &OwnedUserId, device_id: String, content: Value) {
    let size = content.to_string().len();
    let is_full = |edu: &Messages| {
        let length = Value::Object(edu.clone()).to_string().len();
        length + size > EDU_BYTES_MAX
    };
    if edus.last().is_none_or(is_full) {
        edus.push(Messages::new());
    }
    let Some(edu) = edus.last_mut() else {
        return;
    };
    let of_user = edu.entry(user_id.as_str()).or_insert_with(|| json!({}));
    if let Some(devices) = of_user.as_object_mut() {
        devices.insert(device_id, content);
    }
}

impl Session<'_> {
    /// The names are made of the transaction, so that whoever gets the messages twice drops them.
    fn send_to_servers(
        &self,
        event_type: &str,
        transaction: &str,
        edus: BTreeMap<OwnedServerName, Vec<Messages>>,
    ) -> Result<(), MatrixError> {
        let user = self.user_id.as_str();
        let key = json!([user, self.caller.device_id, transaction]).to_string();
        let mut name = URL_SAFE_NO_PAD.encode(Sha256::digest(key));
        name.truncate(NAME_LETTERS);
        for (server, edus) in edus {
            for (number, messages) in edus.into_iter().enumerate() {
                let content = object(json!({
                    "sender": self.user_id,
                    "type": event_type,
                    "message_id": format!("{name}-{number}"),
                    "messages": messages,
                }));
                self.command(Command::SendEdu {
                    to: EduAudience::Servers([server.clone()].into()),
                    edu_type: "m.direct_to_device".to_owned(),
                    content,
                })?;
            }
        }
        Ok(())
    }
}
