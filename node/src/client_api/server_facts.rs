//! What the server says about itself and about whoever asks.

use comity_core::pdu::RoomVersion;
use serde_json::{Value, json};

use ruma_common::OwnedUserId;

use crate::accounts::OPENID_TOKEN_TIME;

use super::{Api, Handled, errors, request::Request, session::Session};

/// The versions of the specification whose endpoints, as far as we have them, behave so here.
const VERSIONS: [&str; 12] = [
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10",
    "v1.11",
];

pub(super) fn versions(_api: &Api, _request: &Request<'_>) -> Handled {
    Ok(json!({ "versions": VERSIONS, "unstable_features": {} }))
}

/// A token by which others may ask us who the user is.
pub(super) fn openid_token(session: &Session<'_>, request: &Request<'_>) -> Handled {
    if request.id::<OwnedUserId>(0)? != session.user_id {
        return Err(errors::forbidden("this user is somebody else"));
    }
    let token = session
        .api
        .accounts
        .add_openid_token(&session.caller.localpart);
    Ok(json!({
        "access_token": token.map_err(errors::from_accounts)?,
        "token_type": "Bearer",
        "matrix_server_name": session.api.server_name,
        "expires_in": OPENID_TOKEN_TIME.as_secs(),
    }))
}

pub(super) fn whoami(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    let device_id = &session.caller.device_id;
    Ok(json!({ "user_id": session.user_id, "device_id": device_id, "is_guest": false }))
}

pub(super) fn capabilities(_session: &Session<'_>, _request: &Request<'_>) -> Handled {
    let versions = RoomVersion::SUPPORTED
        .iter()
        .map(|version| version.as_str());
    let available: serde_json::Map<_, _> = versions
        .map(|version| (version.to_owned(), Value::from("stable")))
        .collect();
    Ok(json!({
        "capabilities": {
            "m.room_versions": { "default": RoomVersion::DEFAULT, "available": available },
            "m.change_password": { "enabled": false },
        },
    }))
}

/// Nobody is pushed anything: every kind of rule is there and empty.
pub(super) fn push_rules(_session: &Session<'_>, _request: &Request<'_>) -> Handled {
    Ok(json!({
        "global": { "override": [], "content": [], "room": [], "sender": [], "underride": [] },
    }))
}
