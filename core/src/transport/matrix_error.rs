//! The one place where failures become Matrix errors on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::http1::{BadRequest, CodingError, FramingError};
use super::json::json_response;

/// An error response: `errcode` and `error`, and whatever else the code calls for
/// (client-server API, "Standard error response").
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{} ({status}): {error}", .errcode.as_str())]
pub struct MatrixError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What went wrong, for programs.
    pub errcode: ErrorCode,
    /// What went wrong, for people.
    pub error: String,
    /// Further keys of the body, such as `room_version`.
    pub extra: Map<String, Value>,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $status:ident;)*) => {
        /// The error codes that we send, with the status each usually goes with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* #[doc = concat!("`", $wire, "`")] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The HTTP status that the code goes with unless an endpoint says otherwise.
            pub fn usual_status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
        }
    };
}

error_codes! {
    /// The endpoint is unknown (404) or does not know the method (405):
    Unrecognized = "M_UNRECOGNIZED", NOT_FOUND;
    /// The request's authentication is missing, malformed or wrong:
    Unauthorized = "M_UNAUTHORIZED", UNAUTHORIZED;
    /// The sender may not do this:
    Forbidden = "M_FORBIDDEN", FORBIDDEN;
    /// The room, event, alias, user or other thing is unknown:
    NotFound = "M_NOT_FOUND", NOT_FOUND;
    /// The body is no JSON:
    NotJson = "M_NOT_JSON", BAD_REQUEST;
    /// The body is JSON of the wrong shape:
    BadJson = "M_BAD_JSON", BAD_REQUEST;
    /// A parameter is missing:
    MissingParam = "M_MISSING_PARAM", BAD_REQUEST;
    /// A parameter is wrong:
    InvalidParam = "M_INVALID_PARAM", BAD_REQUEST;
    /// The other server does not support the room's version; `room_version` tells it:
    IncompatibleRoomVersion = "M_INCOMPATIBLE_ROOM_VERSION", BAD_REQUEST;
    /// We do not support the room version:
    UnsupportedRoomVersion = "M_UNSUPPORTED_ROOM_VERSION", BAD_REQUEST;
    /// No condition of a restricted room can be checked here:
    UnableToAuthoriseJoin = "M_UNABLE_TO_AUTHORISE_JOIN", BAD_REQUEST;
    /// No user of ours may admit the one who joins:
    UnableToGrantJoin = "M_UNABLE_TO_GRANT_JOIN", BAD_REQUEST;
    /// The invited user blocks invites:
    InviteBlocked = "M_INVITE_BLOCKED", FORBIDDEN;
    /// Too many requests; see [`MatrixError::limit_exceeded`]:
    LimitExceeded = "M_LIMIT_EXCEEDED", TOO_MANY_REQUESTS;
    /// The access token is unknown:
    UnknownToken = "M_UNKNOWN_TOKEN", UNAUTHORIZED;
    /// No access token was given:
    MissingToken = "M_MISSING_TOKEN", UNAUTHORIZED;
    /// The request or what it asks for is too large:
    TooLarge = "M_TOO_LARGE", PAYLOAD_TOO_LARGE;
    /// The media is reserved, but its bytes did not come in time:
    NotYetUploaded = "M_NOT_YET_UPLOADED", GATEWAY_TIMEOUT;
    /// None of the others; the HTTP status tells more:
    Unknown = "M_UNKNOWN", INTERNAL_SERVER_ERROR;
    /// The server has run out of a resource; `admin_contact` tells whom to ask:
    ResourceLimitExceeded = "M_RESOURCE_LIMIT_EXCEEDED", FORBIDDEN;
    /// We have joined the room only partly and cannot answer yet:
    UnableDueToPartialState = "ORG.MATRIX.MSC3895_UNABLE_DUE_TO_PARTIAL_STATE", FORBIDDEN;
    /// The alias is taken:
    RoomInUse = "M_ROOM_IN_USE", BAD_REQUEST;
    /// The initial state asked for makes no valid room:
    InvalidRoomState = "M_INVALID_ROOM_STATE", BAD_REQUEST;
}

/// The body key that tells milliseconds to wait, beside the `Retry-After` header.
const RETRY_AFTER_MS: &str = "retry_after_ms";

impl MatrixError {
    /// An error with the status that usually goes with its code.
    pub fn new(errcode: ErrorCode, error: impl Into<String>) -> Self {
        Self {
            status: errcode.usual_status(),
            errcode,
            error: error.into(),
            extra: Map::new(),
        }
    }

    /// `M_LIMIT_EXCEEDED`, asking the peer to come back after `wait`.
    pub fn limit_exceeded(error: impl Into<String>, wait: Duration) -> Self {
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::new(ErrorCode::LimitExceeded, error).with(RETRY_AFTER_MS, milliseconds)
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same error with a further key in its body.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// The response. If the body tells `retry_after_ms`, the `Retry-After` header tells the same
    /// in whole seconds, rounded up.
    pub fn into_response(self) -> Response<Bytes> {
        let wait = self.extra.get(RETRY_AFTER_MS).and_then(Value::as_u64);
        let mut body = self.extra;
        body.insert("errcode".to_owned(), self.errcode.as_str().into());
        body.insert("error".to_owned(), self.error.into());
        let mut response = json_response(self.status, &body);
        if let Some(milliseconds) = wait {
            let seconds = HeaderValue::from(milliseconds.div_ceil(1000));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<BadRequest> for MatrixError {
    fn from(bad: BadRequest) -> Self {
        let (code, status) = match &bad {
            BadRequest::Framing(framing) => framing_code(framing),
            BadRequest::Host | BadRequest::Target => (ErrorCode::Unknown, StatusCode::BAD_REQUEST),
            BadRequest::Coding(CodingError::Unsupported) => {
                (ErrorCode::Unknown, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            BadRequest::Coding(CodingError::Malformed) => {
                (ErrorCode::Unknown, StatusCode::BAD_REQUEST)
            }
            BadRequest::Coding(CodingError::TooLarge) => {
                (ErrorCode::TooLarge, StatusCode::PAYLOAD_TOO_LARGE)
            }
            BadRequest::Expectation => (ErrorCode::Unknown, StatusCode::EXPECTATION_FAILED),
        };
        Self::new(code, bad.to_string()).with_status(status)
    }
}

fn framing_code(framing: &FramingError) -> (ErrorCode, StatusCode) {
    match framing {
        FramingError::BodyTooLarge => (ErrorCode::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
        FramingError::HeadTooLong
        | FramingError::TooManyHeaders
        | FramingError::TrailersTooLong => (
            ErrorCode::TooLarge,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        FramingError::UnsupportedVersion => {
            (ErrorCode::Unknown, StatusCode::HTTP_VERSION_NOT_SUPPORTED)
        }
        FramingError::UnsupportedTransferEncoding => {
            (ErrorCode::Unknown, StatusCode::NOT_IMPLEMENTED)
        }
        FramingError::BareLineFeed
        | FramingError::MalformedHead(_)
        | FramingError::MalformedContentLength
        | FramingError::RepeatedContentLength
        | FramingError::AmbiguousLength
        | FramingError::MalformedChunk
        | FramingError::MalformedTrailer => (ErrorCode::Unknown, StatusCode::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn gen_7_an_error_carries_code_text_and_extra_keys() {
        let error = MatrixError::new(ErrorCode::IncompatibleRoomVersion, "Too new")
            .with("room_version", "12");
        let response = error.into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/json");
        let expected = json!({
            "errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "Too new", "room_version": "12",
        });
        assert_eq!(body(&response), expected);
    }

    #[test]
    fn gen_5_a_wrong_method_is_unrecognised_with_its_own_status() {
        let error = MatrixError::new(ErrorCode::Unrecognized, "Wrong method");
        assert_eq!(error.clone().into_response().status(), 404);
        let response = error
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .into_response();
        assert_eq!(
            (response.status().as_u16(), &body(&response)["errcode"]),
            (405, &json!("M_UNRECOGNIZED"))
        );
    }

    #[test]
    fn gen_8_a_limit_tells_when_to_come_back_in_header_and_body() {
        let wait = Duration::from_millis(1_001);
        let response = MatrixError::limit_exceeded("Slow down", wait).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(body(&response)["retry_after_ms"], 1_001);
        assert_eq!(body(&response)["errcode"], "M_LIMIT_EXCEEDED");
    }

    #[test]
    fn the_extra_keys_cannot_replace_the_code() {
        let error = MatrixError::new(ErrorCode::Forbidden, "No").with("errcode", "M_OK");
        assert_eq!(body(&error.into_response())["errcode"], "M_FORBIDDEN");
    }

    #[test]
    fn no_two_codes_share_a_spelling() {
        let spellings: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(spellings.len(), ErrorCode::ALL.len());
    }

    /// ERR-16.
    #[test]
    fn requests_that_cannot_be_read_get_the_status_that_http_has_for_them() {
        let table = [
            (BadRequest::Host, 400),
            (BadRequest::Target, 400),
            (BadRequest::Expectation, 417),
            (CodingError::Unsupported.into(), 415),
            (CodingError::TooLarge.into(), 413),
            (FramingError::BodyTooLarge.into(), 413),
            (FramingError::HeadTooLong.into(), 431),
            (FramingError::AmbiguousLength.into(), 400),
            (FramingError::UnsupportedTransferEncoding.into(), 501),
            (FramingError::UnsupportedVersion.into(), 505),
        ];
        for (bad, status) in table {
            assert_eq!(MatrixError::from(bad.clone()).status, status, "{bad}");
        }
    }
}
