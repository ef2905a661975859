//! A request, taken apart as far as every endpoint needs it.

use bytes::Bytes;
use comity_core::{
    messaging::command::Content,
    transport::matrix_error::{ErrorCode, MatrixError},
};
use http::{HeaderName, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::errors::{bad_json, invalid};

/// One request to an endpoint.
pub(super) struct Request<'a> {
    http: &'a http::Request<Bytes>,
    /// What stands for the `{…}` of the route, in order.
    parameters: Vec<String>,
    query: Vec<(String, String)>,
}

impl<'a> Request<'a> {
    pub(super) fn new(http: &'a http::Request<Bytes>, parameters: Vec<String>) -> Self {
        let pairs = http.uri().query().unwrap_or_default().split('&');
        let query = pairs
            .filter(|pair| !pair.is_empty())
            .map(decode_pair)
            .collect();
        Self {
            http,
            parameters,
            query,
        }
    }

    /// The text of one `{…}` of the route.
    pub(super) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    /// One `{…}` of the route as an identifier.
    pub(super) fn id<T: for<'s> TryFrom<&'s str>>(&self, index: usize) -> Result<T, MatrixError> {
        parse_id(self.parameter(index))
    }

    /// The first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query_all(name).next()
    }

    /// All values of a query parameter.
    pub(super) fn query_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a number.
    pub(super) fn query_number(&self, name: &str) -> Result<Option<u64>, MatrixError> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| invalid(format!("{name} is no number")))
        };
        self.query(name).map(parse).transpose()
    }

    /// Whether a query parameter is `true`.
    pub(super) fn query_flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// The access token, from the header or, as old clients have it, the query.
    pub(super) fn access_token(&self) -> Option<&str> {
        let header = self
            .http
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        header
            .and_then(|value| value.strip_prefix("Bearer "))
            .or(self.query("access_token"))
    }

    /// A header, if it is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.http.headers().get(name)?.to_str().ok()
    }

    /// The body as it came.
    pub(super) fn bytes(&self) -> &Bytes {
        self.http.body()
    }

    /// The body, a JSON object; no body at all is an empty one.
    pub(super) fn object(&self) -> Result<Content, MatrixError> {
        if self.http.body().is_empty() {
            return Ok(Content::new());
        }
        match serde_json::from_slice(self.http.body()) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(bad_json("the body is no JSON object")),
            Err(error) => Err(MatrixError::new(ErrorCode::NotJson, error.to_string())),
        }
    }

    /// The body as what the endpoint takes.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        let object = Value::Object(self.object()?);
        serde_json::from_value(object).map_err(|error| bad_json(error.to_string()))
    }
}

/// Text as an identifier.
pub(super) fn parse_id<T: for<'s> TryFrom<&'s str>>(text: &str) -> Result<T, MatrixError> {
    T::try_from(text).map_err(|_| invalid(format!("{text:?} is no identifier of the right kind")))
}

fn decode_pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(name), decode(value))
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}
