//! Every endpoint, with its method, its path and who may call it.

use bytes::Bytes;
use comity_core::transport::{
    matrix_error::{ErrorCode, MatrixError},
    path::split_path,
};
use http::{Method, Response, StatusCode};

use super::{
    Api, Handled, account_data, by_time, context, create_room, devices, directory, ephemeral,
    filters, forgetting, joining, keys, login, media, members, messages, moderation, operating,
    profile, public_rooms, request::Request, sending, server_facts, session::Session, spaces,
    state, sync, to_device,
};

/// What answers an endpoint.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Anybody may call it.
    Public(fn(&Api, &Request<'_>) -> Handled),
    /// It needs an access token.
    User(fn(&Session<'_>, &Request<'_>) -> Handled),
    /// It needs an access token and answers with a file.
    File(fn(&Session<'_>, &Request<'_>) -> Result<Response<Bytes>, MatrixError>),
}

use Handler::{File, Public, User};

type Route = (Method, &'static str, Handler);

/// The endpoints below `/_matrix/client/v3/`. `{…}` stands for one segment, possibly empty.
const ROUTES: &[Route] = &[
    (Method::GET, "login", Public(login::flows)),
    (Method::POST, "login", Public(login::log_in)),
    (Method::POST, "logout", User(devices::log_out)),
    (Method::POST, "logout/all", User(devices::log_out_all)),
    (Method::GET, "devices", User(devices::list)),
    (Method::GET, "devices/{device}", User(devices::show)),
    (Method::PUT, "devices/{device}", User(devices::rename)),
    (Method::DELETE, "devices/{device}", User(devices::remove)),
    (
        Method::POST,
        "delete_devices",
        User(devices::remove_several),
    ),
    (Method::GET, "account/whoami", User(server_facts::whoami)),
    (
        Method::GET,
        "capabilities",
        User(server_facts::capabilities),
    ),
    (Method::GET, "pushrules/", User(server_facts::push_rules)),
    (
        Method::POST,
        "user/{user}/openid/request_token",
        User(server_facts::openid_token),
    ),
    (
        Method::PUT,
        "user/{user}/account_data/{type}",
        User(account_data::set),
    ),
    (
        Method::GET,
        "user/{user}/account_data/{type}",
        User(account_data::get),
    ),
    (
        Method::PUT,
        "user/{user}/rooms/{room}/account_data/{type}",
        User(account_data::set_for_room),
    ),
    (
        Method::GET,
        "user/{user}/rooms/{room}/account_data/{type}",
        User(account_data::get_for_room),
    ),
    (Method::POST, "user/{user}/filter", User(filters::store)),
    (
        Method::GET,
        "user/{user}/filter/{filter}",
        User(filters::show),
    ),
    (Method::GET, "sync", User(sync::sync)),
    (Method::POST, "createRoom", User(create_room::create_room)),
    (Method::GET, "joined_rooms", User(members::joined_rooms)),
    (Method::POST, "join/{room or alias}", User(joining::join)),
    (Method::POST, "rooms/{room}/join", User(joining::join)),
    (Method::POST, "knock/{room or alias}", User(joining::knock)),
    (Method::POST, "rooms/{room}/leave", User(joining::leave)),
    (
        Method::POST,
        "rooms/{room}/forget",
        User(forgetting::forget),
    ),
    (
        Method::POST,
        "rooms/{room}/invite",
        User(moderation::invite),
    ),
    (Method::POST, "rooms/{room}/kick", User(moderation::kick)),
    (Method::POST, "rooms/{room}/ban", User(moderation::ban)),
    (Method::POST, "rooms/{room}/unban", User(moderation::unban)),
    (
        Method::PUT,
        "rooms/{room}/send/{type}/{transaction}",
        User(sending::send),
    ),
    (
        Method::PUT,
        "rooms/{room}/redact/{event}/{transaction}",
        User(sending::redact),
    ),
    (
        Method::PUT,
        "rooms/{room}/state/{type}",
        User(sending::set_state),
    ),
    (
        Method::PUT,
        "rooms/{room}/state/{type}/{key}",
        User(sending::set_state),
    ),
    (Method::GET, "rooms/{room}/state", User(state::whole_state)),
    (Method::GET, "rooms/{room}/state/", User(state::whole_state)),
    (
        Method::GET,
        "rooms/{room}/state/{type}",
        User(state::state_event),
    ),
    (
        Method::GET,
        "rooms/{room}/state/{type}/{key}",
        User(state::state_event),
    ),
    (
        Method::GET,
        "rooms/{room}/event/{event}",
        User(state::event),
    ),
    (
        Method::GET,
        "rooms/{room}/context/{event}",
        User(context::context),
    ),
    (
        Method::GET,
        "rooms/{room}/messages",
        User(messages::messages),
    ),
    (
        Method::GET,
        "rooms/{room}/timestamp_to_event",
        User(by_time::event_by_time),
    ),
    (Method::GET, "rooms/{room}/members", User(members::members)),
    (
        Method::GET,
        "rooms/{room}/joined_members",
        User(members::joined_members),
    ),
    (
        Method::GET,
        "directory/room/{alias}",
        Public(directory::resolve),
    ),
    (Method::PUT, "directory/room/{alias}", User(directory::add)),
    (
        Method::DELETE,
        "directory/room/{alias}",
        User(directory::remove),
    ),
    (Method::GET, "publicRooms", Public(public_rooms::list)),
    (Method::POST, "publicRooms", User(public_rooms::search)),
    (
        Method::GET,
        "directory/list/room/{room}",
        Public(public_rooms::visibility),
    ),
    (
        Method::PUT,
        "directory/list/room/{room}",
        User(public_rooms::set_visibility),
    ),
    (
        Method::GET,
        "rooms/{room}/hierarchy",
        User(spaces::hierarchy),
    ),
    (Method::GET, "profile/{user}", Public(profile::profile)),
    (
        Method::GET,
        "profile/{user}/{field}",
        Public(profile::field),
    ),
    (
        Method::PUT,
        "profile/{user}/{field}",
        User(profile::set_field),
    ),
    (
        Method::DELETE,
        "profile/{user}/{field}",
        User(profile::clear_field),
    ),
    (Method::POST, "keys/upload", User(keys::upload)),
    (Method::POST, "keys/query", User(keys::query)),
    (Method::POST, "keys/claim", User(keys::claim)),
    (Method::GET, "keys/changes", User(keys::changes)),
    (
        Method::POST,
        "keys/device_signing/upload",
        User(keys::upload_cross_signing),
    ),
    (
        Method::POST,
        "keys/signatures/upload",
        User(keys::upload_signatures),
    ),
    (
        Method::PUT,
        "sendToDevice/{type}/{transaction}",
        User(to_device::send),
    ),
    (
        Method::PUT,
        "rooms/{room}/typing/{user}",
        User(ephemeral::typing),
    ),
    (
        Method::POST,
        "rooms/{room}/receipt/{type}/{event}",
        User(ephemeral::receipt),
    ),
    (
        Method::POST,
        "rooms/{room}/read_markers",
        User(ephemeral::read_markers),
    ),
    (
        Method::GET,
        "presence/{user}/status",
        User(ephemeral::presence),
    ),
    (
        Method::PUT,
        "presence/{user}/status",
        User(ephemeral::set_presence),
    ),
    (Method::GET, operating::STATUS, User(operating::status)),
    (Method::GET, "media/config", User(media::limits)),
    (
        Method::GET,
        "media/download/{server}/{media}",
        File(media::download),
    ),
    (
        Method::GET,
        "media/download/{server}/{media}/{name}",
        File(media::download),
    ),
    (
        Method::GET,
        "media/thumbnail/{server}/{media}",
        File(media::thumbnail),
    ),
    (Method::POST, operating::RETRY, User(operating::retry)),
];

/// The endpoints below `/_matrix/media/v3/`. What is there besides needs no access token, and so is
/// not here.
const MEDIA_ROUTES: &[Route] = &[
    (Method::POST, "upload", User(media::upload)),
    (Method::GET, "config", User(media::limits)),
];

/// The one endpoint whose path has no version.
const VERSIONS: &str = "/_matrix/client/versions";

/// The versions of the API that a path may name; they mean the same here.
const PREFIXES: [(&str, &[Route]); 5] = [
    ("/_matrix/client/v3/", ROUTES),
    ("/_matrix/client/v1/", ROUTES),
    ("/_matrix/client/r0/", ROUTES),
    ("/_matrix/media/v3/", MEDIA_ROUTES),
    ("/_matrix/media/r0/", MEDIA_ROUTES),
];

/// Finds who answers a request.
///
/// Errors with 404 `M_UNRECOGNIZED` for an unknown path, 405 for a method it does not know.
pub(super) fn find(http: &http::Request<Bytes>) -> Result<(Handler, Request<'_>), MatrixError> {
    let path = http.uri().path();
    if path == VERSIONS && http.method() == Method::GET {
        return Ok((
            Public(server_facts::versions),
            Request::new(http, Vec::new()),
        ));
    }
    let below = |(prefix, routes)| Some((path.strip_prefix(prefix)?, routes));
    let (below, routes) = PREFIXES
        .into_iter()
        .find_map(below)
        .ok_or_else(unrecognised)?;
    let segments = split_path(&format!("/{below}")).map_err(|_| unrecognised())?;
    let mut status = StatusCode::NOT_FOUND;
    for (method, pattern, handler) in routes {
        match matched(pattern, &segments) {
            Some(parameters) if method == http.method() => {
                return Ok((*handler, Request::new(http, parameters)));
            }
            Some(_) => status = StatusCode::METHOD_NOT_ALLOWED,
            None => {}
        }
    }
    Err(unrecognised().with_status(status))
}

fn unrecognised() -> MatrixError {
    MatrixError::new(ErrorCode::Unrecognized, "there is no such endpoint")
}

/// What stands for the placeholders of a pattern, if it fits.
fn matched(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let pattern: Vec<_> = pattern.split('/').collect();
    let mut parameters = Vec::new();
    for (expected, segment) in pattern.iter().zip(segments) {
        if expected.starts_with('{') {
            parameters.push(segment.clone());
        } else if expected != segment {
            return None;
        }
    }
    (pattern.len() == segments.len()).then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str) -> http::Request<Bytes> {
        http::Request::builder()
            .method(method)
            .uri(uri)
            .body(Bytes::new())
            .unwrap()
    }

    #[test]
    fn parameters_are_decoded_and_may_be_empty() {
        let http = request(
            Method::GET,
            "/_matrix/client/r0/rooms/%21r%3Aa/state/m%2Fx/?format=event",
        );
        let (_, request) = find(&http).unwrap();
        assert_eq!(
            [0, 1, 2].map(|index| request.parameter(index)),
            ["!r:a", "m/x", ""]
        );
        assert_eq!(request.query("format"), Some("event"));
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        let status = |method, uri| find(&request(method, uri)).err().map(|error| error.status);
        assert_eq!(
            status(Method::GET, "/_matrix/client/v3/nothing"),
            Some(StatusCode::NOT_FOUND)
        );
        assert_eq!(
            status(Method::GET, "/_matrix/client/v9/sync"),
            Some(StatusCode::NOT_FOUND)
        );
        let sync = "/_matrix/client/v3/sync";
        assert_eq!(
            status(Method::DELETE, sync),
            Some(StatusCode::METHOD_NOT_ALLOWED)
        );
        assert_eq!(status(Method::GET, sync), None);
    }
}
