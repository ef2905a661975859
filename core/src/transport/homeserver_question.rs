//! Questions to another homeserver as requests.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::remote_request::{FEDERATION_V1, path, query};
use crate::messaging::notice::Question;

/// How many bytes of keys to accept.
const KEYS_BYTES_MAX: usize = 10 << 20;

pub(super) fn method(question: &Question) -> Method {
    match question {
        Question::Keys(_) | Question::OneTimeKeys { .. } => Method::POST,
        Question::Directory(_)
        | Question::Profile(_)
        | Question::Devices(_)
        | Question::OpenIdUser(_)
        | Question::PublishedRooms => Method::GET,
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
        Question::PublishedRooms => v1("publicRooms", &[]),
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
        | Question::PublishedRooms => return None,
    };
    Some(body.to_string().into())
}

pub(super) fn response_limit(question: &Question) -> usize {
    match question {
        Question::Keys(_) | Question::OneTimeKeys { .. } | Question::Devices(_) => KEYS_BYTES_MAX,
        Question::Directory(_)
        | Question::Profile(_)
        | Question::OpenIdUser(_)
        | Question::PublishedRooms => 1 << 20,
    }
}
