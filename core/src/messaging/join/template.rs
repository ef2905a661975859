//! The template of a membership event of ours, as another server made it, and what we sign of it.

use std::sync::Arc;

use bytes::Bytes;
use ruma_common::{RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    engine::facts::Facts,
    messaging::command::Content,
    pdu::{
        Pdu, RoomVersion,
        build::complete_template,
        canonical_json::{Object, parse_object},
        event_type::MEMBER,
    },
    transport::remote_response::{self, RemoteError},
};

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
