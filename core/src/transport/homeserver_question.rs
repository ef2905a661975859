//! Questions to another homeserver as requests.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ruma_common::ServerName;
use serde_json::json;

use super::remote_request::{FEDERATION_V1, path, query};
use crate::messaging::{
    media::{MEDIA_BYTES_MAX, WantedMedia},
    notice::Question,
};

/// How many bytes go round a file.
const MULTIPART_BYTES_MAX: usize = 1 << 16;

/// How many bytes of keys to accept.
const KEYS_BYTES_MAX: usize = 10 << 20;

pub(super) fn method(question: &Question) -> Method {
    match question {
        Question::Keys(_) | Question::OneTimeKeys { .. } => Method::POST,
        Question::Directory(_)
        | Question::Profile(_)
        | Question::Devices(_)
        | Question::OpenIdUser(_)
        | Question::Media(_)
        | Question::PublishedRooms
        | Question::Invite { .. } => Method::GET,
    }
}

pub(super) fn target(question: &Question) -> String {
    let v1 = |name: &str, segments: &[&str]| path(FEDERATION_V1, name, segments);
    match question {
        Question::Directory(alias) => {
            v1("query/directory", &[]) + &query(&[("room_alias", alias.as_str())])
        }
        Question::Profile(user_id) => {
            v1("query/profile", &[]) + &query(&[("user_id", user_id.as_str())])
        }
        Question::Keys(_) => v1("user/keys/query", &[]),
        Question::OneTimeKeys { .. } => v1("user/keys/claim", &[]),
        Question::Devices(user_id) => v1("user/devices", &[user_id.as_str()]),
        Question::OpenIdUser(token) => {
            v1("openid/userinfo", &[]) + &query(&[("access_token", token.as_str())])
        }
        Question::Media(wanted) => media(FEDERATION_V1, "media", &[], wanted),
        Question::PublishedRooms => v1("publicRooms", &[]),
        Question::Invite { .. } => v1("invite", &[]),
    }
}

pub(super) fn body(question: &Question) -> Option<Bytes> {
    let body = match question {
        Question::Keys(wanted) => json!({ "device_keys": wanted }),
        Question::OneTimeKeys { wanted, .. } => json!({ "one_time_keys": wanted }),
        Question::Directory(_)
        | Question::Profile(_)
        | Question::Devices(_)
        | Question::OpenIdUser(_)
        | Question::Media(_)
        | Question::PublishedRooms
        | Question::Invite { .. } => return None,
    };
    Some(body.to_string().into())
}

pub(super) fn response_limit(question: &Question) -> usize {
    match question {
        Question::Keys(_) | Question::OneTimeKeys { .. } | Question::Devices(_) => KEYS_BYTES_MAX,
        Question::Media(_) => MEDIA_BYTES_MAX + MULTIPART_BYTES_MAX,
        Question::Directory(_)
        | Question::Profile(_)
        | Question::OpenIdUser(_)
        | Question::PublishedRooms
        | Question::Invite { .. } => 1 << 20,
    }
}

pub(super) fn time_out(question: &Question) -> Duration {
    match question {
        Question::Media(_) => Duration::from_secs(60),
        Question::Keys(_)
        | Question::OneTimeKeys { .. }
        | Question::Directory(_)
        | Question::Profile(_)
        | Question::Devices(_)
        | Question::OpenIdUser(_)
        | Question::PublishedRooms
        | Question::Invite { .. } => Duration::from_secs(10),
    }
}

/// Where a file is that anybody may get, on servers of old. The server is not to ask others for it.
pub(super) fn open_media(server: &ServerName, wanted: &WantedMedia) -> String {
    let target = media("/_matrix/media", "v3", &[server.as_str()], wanted);
    let more = if target.contains('?') { '&' } else { '?' };
    format!("{target}{more}allow_remote=false")
}

/// Where a file is, or a small picture of it.
fn media(prefix: &str, name: &str, before: &[&str], wanted: &WantedMedia) -> String {
    let segments: Vec<&str> = before.iter().copied().chain([&*wanted.media_id]).collect();
    let at = |what: &str| path(prefix, &format!("{name}/{what}"), &segments);
    let Some(thumbnail) = wanted.thumbnail else {
        return at("download");
    };
    let (width, height) = (thumbnail.width.to_string(), thumbnail.height.to_string());
    let method = if thumbnail.is_cropped {
        "crop"
    } else {
        "scale"
    };
    let animated = thumbnail.animated.to_string();
    at("thumbnail")
        + &query(&[
            ("width", &*width),
            ("height", &*height),
            ("method", method),
            ("animated", &*animated),
        ])
}
