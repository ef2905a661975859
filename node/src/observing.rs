//! What machines that watch over the server ask, on a listener of its own: it tells more than
//! strangers should know, and answers without a token.

use bytes::Bytes;
use comity_core::{
    messaging::command::{Command, CommandError},
    persistence::queries::Read,
    transport::json::json_response,
};
use comity_sync::METRICS_TYPE;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::json;

use crate::homeserver::Homeserver;

/// Answers `GET /metrics` and `GET /health`.
///
/// Healthy is a server whose engine takes a command and whose database answers it; 503 tells what
/// is wrong with another.
pub fn answer(homeserver: &dyn Homeserver, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n");
    }
    match request.uri().path() {
        "/metrics" => match homeserver.metrics() {
            Ok(text) => plain(StatusCode::OK, METRICS_TYPE, text),
            Err(error) => unwell(&error),
        },
        "/health" => match homeserver.command(Command::Read(Read::NewestPosition)) {
            Ok(_) => json_response(StatusCode::OK, &json!({ "status": "ok" })),
            Err(error) => unwell(&error),
        },
        _ => plain(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there are /metrics and /health\n",
        ),
    }
}

fn unwell(error: &CommandError) -> Response<Bytes> {
    let body = json!({ "status": "failing", "reason": error.to_string() });
    json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
