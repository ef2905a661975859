//! From a request's method and path to what it asks for.

mod query;

use http::Method;
use ruma_common::{
    OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedTransactionId, OwnedUserId,
};

use self::query::{Query, argument, both};
use super::{
    matrix_error::{ErrorCode, MatrixError},
    path::split_path,
};
use crate::{
    messaging::{media::WantedMedia, public_rooms::WantedRooms, resident::AnswerForm},
    persistence::queries::Direction,
    time::WallTime,
};

/// What a request asks for, with the arguments of its path and query.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// `GET /.well-known/matrix/server`
    WellKnown,
    /// `GET /_matrix/federation/v1/version`
    Version,
    /// `GET /_matrix/key/v2/server`
    ServerKeys,
    /// `GET /_matrix/key/v2/query/{serverName}`, with the time until which they should be valid.
    KeysOf(OwnedServerName, Option<WallTime>),
    /// `POST /_matrix/key/v2/query`
    KeysOfSeveral,
    /// `PUT /_matrix/federation/v1/3pid/onbind`
    Binding,
    /// `GET /_matrix/federation/v1/openid/userinfo`, with the token.
    OpenIdUser(String),
    /// Everything that only an authenticated server may ask.
    Authenticated(ServerRoute),
}

/// What an authenticated server asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerRoute {
    /// `PUT /send/{txnId}`
    Send(OwnedTransactionId),
    /// `GET /make_join/{roomId}/{userId}`, with the room versions that the asker knows.
    MakeJoin(OwnedRoomId, OwnedUserId, Vec<String>),
    /// `PUT /send_join/{roomId}/{eventId}`, of either version.
    SendJoin(OwnedRoomId, OwnedEventId, AnswerForm),
    /// `GET /make_knock/{roomId}/{userId}`, with the room versions that the asker knows.
    MakeKnock(OwnedRoomId, OwnedUserId, Vec<String>),
    /// `PUT /send_knock/{roomId}/{eventId}`
    SendKnock(OwnedRoomId, OwnedEventId),
    /// `GET /make_leave/{roomId}/{userId}`
    MakeLeave(OwnedRoomId, OwnedUserId),
    /// `PUT /send_leave/{roomId}/{eventId}`, of either version.
    SendLeave(OwnedRoomId, OwnedEventId, AnswerForm),
    /// `PUT /v2/invite/{roomId}/{eventId}`
    Invite(OwnedRoomId, OwnedEventId),
    /// `PUT /v1/invite/{roomId}/{eventId}`
    InviteOfOld(OwnedRoomId, OwnedEventId),
    /// `PUT /exchange_third_party_invite/{roomId}`
    ExchangeThirdPartyInvite(OwnedRoomId),
    /// `GET /event/{eventId}`
    Event(OwnedEventId),
    /// `GET /state/{roomId}`
    State(OwnedRoomId, OwnedEventId),
    /// `GET /state_ids/{roomId}`
    StateIds(OwnedRoomId, OwnedEventId),
    /// `GET /event_auth/{roomId}/{eventId}`
    EventAuth(OwnedRoomId, OwnedEventId),
    /// `GET /backfill/{roomId}`, with the events to start from and the limit.
    Backfill(OwnedRoomId, Vec<OwnedEventId>, u32),
    /// `POST /get_missing_events/{roomId}`
    MissingEvents(OwnedRoomId),
    /// `GET /timestamp_to_event/{roomId}`, with the time and the way to go from it.
    EventByTime(OwnedRoomId, WallTime, Direction),
    /// `GET /query/directory`
    Directory(OwnedRoomAliasId),
    /// `GET /query/profile`, perhaps for one field only.
    Profile(OwnedUserId, Option<String>),
    /// `GET /publicRooms`, or `POST` without what its body says.
    PublicRooms(Option<WantedRooms>),
    /// `GET /hierarchy/{roomId}`, perhaps with suggested rooms only.
    Hierarchy(OwnedRoomId, bool),
    /// `POST /user/keys/query`
    QueryKeys,
    /// `POST /user/keys/claim`
    ClaimKeys,
    /// `GET /user/devices/{userId}`
    Devices(OwnedUserId),
    /// `GET /media/download/{mediaId}` and `GET /media/thumbnail/{mediaId}`
    Media(WantedMedia),
    /// `GET /_matrix/federation/unstable/org.comity/after`, with the position and the limit.
    After(Option<String>, Option<u32>),
}

/// Finds what a request asks for.
///
/// # Errors
/// 404 `M_UNRECOGNIZED` for an unknown path, 405 for a known one with another method (GEN-5), 400
/// for arguments that are missing or malformed.
pub fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Route, MatrixError> {
    let segments = split_path(path)
        .map_err(|error| MatrixError::new(ErrorCode::InvalidParam, error.to_string()))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (expected, route) = match segments.as_slice() {
        [".well-known", "matrix", "server"] => (Method::GET, Ok(Route::WellKnown)),
        ["_matrix", "key", "v2", "server"] | ["_matrix", "key", "v2", "server", _] => {
            (Method::GET, Ok(Route::ServerKeys))
        }
        ["_matrix", "key", "v2", "query"] => (Method::POST, Ok(Route::KeysOfSeveral)),
        ["_matrix", "key", "v2", "query", server]
        | ["_matrix", "key", "v2", "query", server, _] => {
            (Method::GET, Query(query.unwrap_or("")).keys_of(server))
        }
        ["_matrix", "federation", "v1", "version"] => (Method::GET, Ok(Route::Version)),
        ["_matrix", "federation", "v1", "3pid", "onbind"] => (Method::PUT, Ok(Route::Binding)),
        ["_matrix", "federation", "v1", "openid", "userinfo"] => {
            (Method::GET, Query(query.unwrap_or("")).openid_token())
        }
        ["_matrix", "federation", version, rest @ ..] => {
            let (expected, route) =
                server_route(method, version, rest, &Query(query.unwrap_or("")))?;
            (expected, route.map(Route::Authenticated))
        }
        _ => return Err(unrecognised()),
    };
    if *method == expected {
        route
    } else {
        Err(
            MatrixError::new(ErrorCode::Unrecognized, "this endpoint has another method")
                .with_status(http::StatusCode::METHOD_NOT_ALLOWED),
        )
    }
}

type Found = (Method, Result<ServerRoute, MatrixError>);

/// The outer error is for an unknown path; the inner, for bad arguments, counts only if the
/// method is right.
fn server_route(
    method: &Method,
    version: &str,
    segments: &[&str],
    query: &Query<'_>,
) -> Result<Found, MatrixError> {
    use ServerRoute as R;
    let found = match (version, segments) {
        ("v1", ["send", id]) => (Method::PUT, Ok(R::Send((*id).into()))),
        ("v1", ["make_join", room, user]) => (
            Method::GET,
            both(room, user).map(|(room, user)| R::MakeJoin(room, user, query.all("ver"))),
        ),
        ("v1" | "v2", ["send_join", room, event]) => (
            Method::PUT,
            both(room, event).map(|(r, e)| R::SendJoin(r, e, query.answer_form(version))),
        ),
        ("v1", ["make_knock", room, user]) => (Method::GET, query.make_knock(room, user)),
        ("v1", ["send_knock", room, event]) => (
            Method::PUT,
            both(room, event).map(|(r, e)| R::SendKnock(r, e)),
        ),
        ("v1", ["make_leave", room, user]) => (
            Method::GET,
            both(room, user).map(|(r, u)| R::MakeLeave(r, u)),
        ),
        ("v1" | "v2", ["send_leave", room, event]) => (
            Method::PUT,
            both(room, event).map(|(r, e)| R::SendLeave(r, e, query.answer_form(version))),
        ),
        ("v2", ["invite", room, event]) => {
            (Method::PUT, both(room, event).map(|(r, e)| R::Invite(r, e)))
        }
        ("v1", ["invite", room, event]) => (
            Method::PUT,
            both(room, event).map(|(r, e)| R::InviteOfOld(r, e)),
        ),
        ("v1", ["exchange_third_party_invite", room]) => {
            (Method::PUT, argument(room).map(R::ExchangeThirdPartyInvite))
        }
        ("v1", ["event", event]) => (Method::GET, argument(event).map(R::Event)),
        ("v1", ["state", room]) => (
            Method::GET,
            query.event_of(room).map(|(r, e)| R::State(r, e)),
        ),
        ("v1", ["state_ids", room]) => (
            Method::GET,
            query.event_of(room).map(|(r, e)| R::StateIds(r, e)),
        ),
        ("v1", ["event_auth", room, event]) => (
            Method::GET,
            both(room, event).map(|(r, e)| R::EventAuth(r, e)),
        ),
        ("v1", ["backfill", room]) => (Method::GET, query.backfill(room)),
        ("v1", ["get_missing_events", room]) => {
            (Method::POST, argument(room).map(R::MissingEvents))
        }
        ("v1", ["timestamp_to_event", room]) => (Method::GET, query.event_by_time(room)),
        ("v1", ["query", what]) => query_route(what, query)?,
        ("v1", ["publicRooms"]) if *method == Method::POST => {
            (Method::POST, Ok(R::PublicRooms(None)))
        }
        ("v1", ["publicRooms"]) => (Method::GET, query.public_rooms()),
        ("v1", ["hierarchy", room]) => {
            let suggested_only = query.flag("suggested_only");
            (
                Method::GET,
                argument(room).map(|room| R::Hierarchy(room, suggested_only)),
            )
        }
        ("v1", ["user", rest @ ..]) => user_route(rest)?,
        ("v1", ["media", rest @ ..]) => (Method::GET, query.media(rest)?),
        ("unstable", ["org.comity", "after"]) => (Method::GET, query.after()),
        _ => return Err(unrecognised()),
    };
    Ok(found)
}

/// Everything below `/query/`.
fn query_route(what: &str, query: &Query<'_>) -> Result<Found, MatrixError> {
    let route = match what {
        "directory" => query.required("room_alias").map(ServerRoute::Directory),
        "profile" => {
            let field = query.all("field").into_iter().next();
            let user_id = query.required("user_id");
            user_id.map(|user_id| ServerRoute::Profile(user_id, field))
        }
        _ => return Err(unrecognised()),
    };
    Ok((Method::GET, route))
}

/// Everything below `/user/`.
fn user_route(segments: &[&str]) -> Result<Found, MatrixError> {
    Ok(match segments {
        ["keys", "query"] => (Method::POST, Ok(ServerRoute::QueryKeys)),
        ["keys", "claim"] => (Method::POST, Ok(ServerRoute::ClaimKeys)),
        ["devices", user] => (Method::GET, argument(user).map(ServerRoute::Devices)),
        _ => return Err(unrecognised()),
    })
}

pub(crate) fn unrecognised() -> MatrixError {
    MatrixError::new(ErrorCode::Unrecognized, "there is no such endpoint")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn status(method: Method, target: &str) -> StatusCode {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        match route(&method, path, query) {
            Ok(_) => StatusCode::OK,
            Err(error) => error.into_response().status(),
        }
    }

    /// ERR-1, QUERY-3.
    #[test]
    fn gen_5_an_unknown_path_is_404_and_a_known_one_with_another_method_405() {
        let unknown = [
            "/",
            "/_matrix",
            "/_matrix/federation/v1/nothing",
            "/_matrix/federation/v3/send/1",
            "/_matrix/federation/v1/send/1/2",
            "/_matrix/federation/v1/query/weather",
        ];
        for target in unknown {
            assert_eq!(
                status(Method::GET, target),
                StatusCode::NOT_FOUND,
                "{target}"
            );
        }
        let known = [
            (Method::POST, "/_matrix/federation/v1/version"),
            (Method::GET, "/_matrix/federation/v1/send/1"),
            (Method::PUT, "/_matrix/key/v2/server"),
            (Method::GET, "/_matrix/federation/v2/invite/!r:one/$e"),
            (Method::PUT, "/_matrix/federation/v1/state/nonsense"),
        ];
        for (method, target) in known {
            let found = status(method, target);
            assert_eq!(found, StatusCode::METHOD_NOT_ALLOWED, "{target}");
        }
    }

    #[test]
    fn gen_9_segments_are_decoded_once() {
        let path = "/_matrix/federation/v1/event_auth/!room:one/%24a%2Fb%2Bc%2525";
        let found = route(&Method::GET, path, None).unwrap();
        let expected = ServerRoute::EventAuth(
            "!room:one".try_into().unwrap(),
            "$a/b+c%25".try_into().unwrap(),
        );
        assert_eq!(found, Route::Authenticated(expected));
    }

    /// ERR-7.
    #[test]
    fn arguments_that_are_missing_or_malformed_are_400() {
        for target in [
            "/_matrix/federation/v1/state/!room:one",
            "/_matrix/federation/v1/state/room?event_id=$e",
            "/_matrix/federation/v1/backfill/!room:one?v=$e",
            "/_matrix/federation/v1/backfill/!room:one?limit=5",
            "/_matrix/federation/v1/backfill/!room:one?v=$e&limit=many",
            "/_matrix/federation/v1/query/profile?user_id=ann",
            "/_matrix/federation/v1/make_join/!room:one/ann",
            "/_matrix/federation/unstable/org.comity/after?limit=many",
        ] {
            assert_eq!(
                status(Method::GET, target),
                StatusCode::BAD_REQUEST,
                "{target}"
            );
        }
    }

    #[test]
    fn join_2_every_version_of_the_query_counts() {
        let path = "/_matrix/federation/v1/make_join/!room:one/@ann:two";
        let found = route(&Method::GET, path, Some("ver=10&ver=11&other=12")).unwrap();
        let versions = vec!["10".to_owned(), "11".to_owned()];
        let expected = ServerRoute::MakeJoin(
            "!room:one".try_into().unwrap(),
            "@ann:two".try_into().unwrap(),
            versions,
        );
        assert_eq!(found, Route::Authenticated(expected));
    }
}
