//! Responses whose body is JSON.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// A response with `body` as its JSON (server-server API, "API standards").
///
/// A body that cannot be written as JSON, such as a map with keys that are no strings, is our own
/// fault and becomes a 500 that says so.
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(body) {
        Ok(json) => json_bytes_response(status, Bytes::from(json)),
        Err(error) => {
            tracing::error!(%error, "a response body cannot be written as JSON");
            json_bytes_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                Bytes::from_static(UNWRITABLE),
            )
        }
    }
}

/// A response with `json`, which must already be JSON, as its body.
pub fn json_bytes_response(status: StatusCode, json: Bytes) -> Response<Bytes> {
    let mut response = Response::new(json);
    *response.status_mut() = status;
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    response
}

const UNWRITABLE: &[u8] =
    br#"{"errcode":"M_UNKNOWN","error":"The answer could not be written as JSON"}"#;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn gen_4_a_response_is_json_and_says_so() {
        let response = json_response(StatusCode::OK, &serde_json::json!({ "pdus": {} }));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.body(), r#"{"pdus":{}}"#);
    }

    #[test]
    fn an_unwritable_body_becomes_an_internal_error() {
        let response = json_response(StatusCode::OK, &BTreeMap::from([([1, 2], 3)]));
        assert_eq!(response.status(), 500);
        assert!(response.body().starts_with(br#"{"errcode":"M_UNKNOWN""#));
    }
}
