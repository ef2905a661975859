//! What other servers answer, reduced to what a decision wants to know.

use std::ops::Deref;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::input::CallError;

/// The outcome of a request to another server: what is in a 2xx answer, or why there is none.
pub type RemoteResponse = Result<RemoteBody, RemoteError>;

/// What is in an answer. Nearly always the body is all that matters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteBody {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Deref for RemoteBody {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.body
    }
}

/// Why a request to another server brought nothing usable; tells whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It was not reached, or the connection broke.
    #[error(transparent)]
    Unreachable(#[from] CallError),
    /// We have reason not to try at all.
    #[error("not asked: {0}")]
    NotAsked(String),
    /// It answered with an error.
    #[error("{status} {errcode}: {error}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The Matrix error code; `M_UNKNOWN` if it gave none.
        errcode: String,
        /// Its explanation.
        error: String,
    },
    /// It answered 2xx with something that makes no sense.
    #[error("nonsense: {0}")]
    Nonsense(String),
}

impl RemoteError {
    /// Whether the server itself has answered, if only with a refusal: asking it the same again
    /// soon is a waste. Who does not know our key has not looked at what we asked: it may know a new
    /// one a little later.
    #[must_use]
    pub fn is_an_answer(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NotAsked(_) => false,
            Self::Nonsense(_) => true,
            Self::Refused { status, .. } => {
                let put_off = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
                *status < 500 && put_off.iter().all(|it| it.as_u16() != *status)
            }
        }
    }

    /// Whether the server does not know what it was asked for (GEN-6): neither the endpoint nor, if
    /// it says nothing in Matrix's words, that it is a Matrix endpoint.
    #[must_use]
    pub fn is_of_unknown_endpoint(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NotAsked(_) | Self::Nonsense(_) => false,
            Self::Refused {
                status, errcode, ..
            } => match status {
                404 | 405 => matches!(errcode.as_str(), "M_UNRECOGNIZED" | "M_UNKNOWN"),
                400 => errcode == "M_UNRECOGNIZED",
                _ => false,
            },
        }
    }

    /// Whether the same question may get another answer from another server (JOIN-8): false only
    /// for a refusal that speaks of the request itself.
    #[must_use]
    pub fn try_another_server(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NotAsked(_) | Self::Nonsense(_) => true,
            Self::Refused {
                status, errcode, ..
            } => {
                *status >= 500
                    || *status == StatusCode::NOT_FOUND.as_u16()
                    || *status == StatusCode::TOO_MANY_REQUESTS.as_u16()
                    || *status == StatusCode::UNAUTHORIZED.as_u16()
                    || matches!(
                        errcode.as_str(),
                        "M_UNABLE_TO_AUTHORISE_JOIN" | "M_UNABLE_TO_GRANT_JOIN"
                    )
            }
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errcode: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Sorts an HTTP response, or its absence, into a [`RemoteResponse`].
///
/// # Errors
/// See [`RemoteError`].
pub fn sort(result: Result<Response<Bytes>, CallError>) -> RemoteResponse {
    let response = result?;
    if response.status().is_success() {
        let (parts, body) = response.into_parts();
        let headers = parts.headers;
        return Ok(RemoteBody { headers, body });
    }
    let body = serde_json::from_slice(response.body()).unwrap_or(ErrorBody {
        errcode: None,
        error: None,
    });
    Err(RemoteError::Refused {
        status: response.status().as_u16(),
        errcode: body.errcode.unwrap_or_else(|| "M_UNKNOWN".to_owned()),
        error: body.error.unwrap_or_default(),
    })
}

/// Reads a body as the JSON that an endpoint promises.
///
/// # Errors
/// [`RemoteError::Nonsense`] if it is anything else.
pub fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| RemoteError::Nonsense(error.to_string()))
}

/// As [`parse`], for types that borrow from the body.
///
/// # Errors
/// [`RemoteError::Nonsense`] if it is anything else.
pub fn parse_borrowed<'b, T: Deserialize<'b>>(body: &'b Bytes) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| RemoteError::Nonsense(error.to_string()))
}
