//! Inputs as they are kept.

use bytes::Bytes;
use comity_core::{
    Input,
    engine::compute::ComputationResult,
    input::{
        CallError, CallId, CommandId, ComputationId, LookupId, QueryId, QuestionId, RequestId,
    },
    messaging::{command::Command, notice::Told},
    pdu::unpadded_base64,
    persistence::queries::{Answer, StoreError},
    transport::{
        endpoint_name::endpoint_name,
        names::{Found, LookupError},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

/// What stands in the place of a token.
const HIDDEN: &str = "hidden";

/// An [`Input`] that can be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// [`Input::Request`]
    Request(RequestId, WrittenRequest),
    /// [`Input::Response`]
    Response(CallId, Result<WrittenResponse, CallError>),
    /// [`Input::Found`]
    Found(LookupId, Result<Found, LookupError>),
    /// [`Input::Answer`]
    Answer(QueryId, Result<Answer, StoreError>),
    /// [`Input::Computed`], without the result.
    Computed(ComputationId),
    /// [`Input::Command`]
    Command(CommandId, Command),
    /// [`Input::Told`]
    Told(QuestionId, Told),
    /// [`Input::Tick`]
    Tick,
}

/// A request in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrittenRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

/// A response in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrittenResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    Base64(String),
}

/// A line of a log is not what a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log holds something that is no request or response")]
pub struct Illegible;

impl Heard {
    pub(super) fn of(input: &Input) -> Self {
        match input {
            Input::Request(id, request) => Self::Request(*id, WrittenRequest::of(request)),
            Input::Response(id, Ok(response)) => {
                Self::Response(*id, Ok(WrittenResponse::of(response)))
            }
            Input::Response(id, Err(error)) => Self::Response(*id, Err(error.clone())),
            Input::Found(id, found) => Self::Found(*id, found.clone()),
            Input::Answer(id, answer) => Self::Answer(*id, answer.clone()),
            Input::Computed(id, _) => Self::Computed(*id),
            Input::Command(id, Command::OpenIdUser { server, .. }) => {
                let (server, token) = (server.clone(), HIDDEN.to_owned());
                Self::Command(*id, Command::OpenIdUser { server, token })
            }
            Input::Command(id, command) => Self::Command(*id, command.clone()),
            Input::Told(id, told) => Self::Told(*id, told.clone()),
            Input::Tick => Self::Tick,
        }
    }

    /// The input again. `compute` knows what a computation comes to.
    ///
    /// # Errors
    /// When what is written makes no request or response, or no such computation was asked for.
    pub fn input(
        self,
        compute: impl FnOnce(ComputationId) -> Option<ComputationResult>,
    ) -> Result<Input, Illegible> {
        Ok(match self {
            Self::Request(id, request) => Input::Request(id, request.read()?),
            Self::Response(id, Ok(response)) => Input::Response(id, Ok(response.read()?)),
            Self::Response(id, Err(error)) => Input::Response(id, Err(error)),
            Self::Found(id, found) => Input::Found(id, found),
            Self::Answer(id, answer) => Input::Answer(id, answer),
            Self::Computed(id) => Input::Computed(id, compute(id).ok_or(Illegible)?),
            Self::Command(id, command) => Input::Command(id, command),
            Self::Told(id, told) => Input::Told(id, told),
            Self::Tick => Input::Tick,
        })
    }
}

impl WrittenRequest {
    fn of(request: &Request<Bytes>) -> Self {
        let uri = request.uri();
        let target = match endpoint_name(uri.path()) {
            "openid/userinfo" => format!("{}?access_token={HIDDEN}", uri.path()),
            _ => uri.to_string(),
        };
        Self {
            method: request.method().to_string(),
            target,
            headers: written(request.headers()),
            body: Body::of(request.body()),
        }
    }

    fn read(self) -> Result<Request<Bytes>, Illegible> {
        let request = Request::builder()
            .method(self.method.as_str())
            .uri(self.target);
        let mut request = request.body(self.body.read()?).map_err(|_| Illegible)?;
        *request.headers_mut() = read(self.headers)?;
        Ok(request)
    }
}

impl WrittenResponse {
    fn of(response: &Response<Bytes>) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: written(response.headers()),
            body: Body::of(response.body()),
        }
    }

    fn read(self) -> Result<Response<Bytes>, Illegible> {
        let mut response = Response::new(self.body.read()?);
        *response.status_mut() = StatusCode::from_u16(self.status).map_err(|_| Illegible)?;
        *response.headers_mut() = read(self.headers)?;
        Ok(response)
    }
}

impl Body {
    fn of(body: &Bytes) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(unpadded_base64::encode(body)),
        }
    }

    fn read(self) -> Result<Bytes, Illegible> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Base64(text) => {
                let bytes = unpadded_base64::decode(&text).ok_or(Illegible)?;
                Ok(bytes.into())
            }
        }
    }
}

/// A byte of a value becomes the character of that number, so that every value can be written.
fn written(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn read(headers: Vec<(String, String)>) -> Result<HeaderMap, Illegible> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|_| Illegible)?;
        let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
        let value = HeaderValue::from_bytes(&bytes.map_err(|_| Illegible)?);
        map.append(name, value.map_err(|_| Illegible)?);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_down(input: &Input) -> String {
        serde_json::to_string(&Heard::of(input)).unwrap()
    }

    fn read_again(input: &Input) -> Input {
        let heard: Heard = serde_json::from_str(&written_down(input)).unwrap();
        heard.input(|_| None).unwrap()
    }

    #[test]
    fn a_request_is_the_same_again_to_the_byte() {
        let request = Request::put("/_matrix/federation/v1/send/a%2Fb?x=%20")
            .header("authorization", "X-Matrix origin=a")
            .header("x-odd", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .body(Bytes::from_static(b"{\"\xff\0"))
            .unwrap();
        let Input::Request(id, again) = read_again(&Input::Request(RequestId(7), request.clone()))
        else {
            unreachable!("it was a request");
        };
        assert_eq!(id, RequestId(7));
        assert_eq!(again.method(), request.method());
        assert_eq!(again.uri(), request.uri());
        assert_eq!(again.headers(), request.headers());
        assert_eq!(again.body(), request.body());
    }

    #[test]
    fn tokens_are_not_written_down() {
        let token = "a-secret-token";
        let asked = format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
        let request = Request::get(asked).body(Bytes::new()).unwrap();
        let command = Command::OpenIdUser {
            server: "there.example".try_into().unwrap(),
            token: token.to_owned(),
        };
        for input in [
            Input::Request(RequestId(1), request),
            Input::Command(CommandId(2), command),
        ] {
            let line = written_down(&input);
            assert!(!line.contains(token), "{line}");
            assert_eq!(read_again(&input).kind(), input.kind());
        }
    }
}
