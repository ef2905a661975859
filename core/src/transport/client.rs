//! From a [`RemoteRequest`] to a signed HTTP request and where to send it.

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use serde_json::Value;

use super::{
    remote_request::RemoteRequest,
    remote_response::RemoteError,
    server_address::ServerAddress,
    x_matrix::{XMatrix, signing_object},
};
use crate::{action::Call, input::CallId, keys::OwnKeys, time::Now};

/// Makes the call for a request.
///
/// # Errors
/// [`RemoteError::NotAsked`] if the server's name or an argument cannot be put on the wire.
pub fn call(
    own: &OwnKeys,
    id: CallId,
    request: &RemoteRequest,
    now: Now,
) -> Result<Call, RemoteError> {
    let not_asked = |error: &dyn std::fmt::Display| RemoteError::NotAsked(error.to_string());
    let address = ServerAddress::of(&request.destination).map_err(|error| not_asked(&error))?;
    let endpoint = &request.endpoint;
    let uri: Uri = endpoint
        .target()
        .parse()
        .map_err(|error| not_asked(&error))?;
    let body = endpoint.body();
    let mut builder = Request::builder()
        .method(endpoint.method())
        .uri(uri.clone())
        .header(header::HOST, &address.host_header)
        .header(header::ACCEPT, "application/json");
    if body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    if endpoint.is_authenticated() {
        let header = authorization(own, request, &uri, body.as_deref())?;
        builder = builder.header(header::AUTHORIZATION, header);
    }
    let request = builder
        .body(Bytes::from(body.unwrap_or_default()))
        .map_err(|error| not_asked(&error))?;
    Ok(Call {
        id,
        address,
        request,
        deadline: now.monotonic.plus(endpoint.time_out()),
        response_limit: endpoint.response_limit(),
    })
}

/// The `Authorization` header (XMTX-1, XMTX-2).
fn authorization(
    own: &OwnKeys,
    request: &RemoteRequest,
    uri: &Uri,
    body: Option<&str>,
) -> Result<HeaderValue, RemoteError> {
    let not_asked = |error: &dyn std::fmt::Display| RemoteError::NotAsked(error.to_string());
    let content: Option<Value> = body
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error: serde_json::Error| not_asked(&error))?;
    let method = request.endpoint.method();
    let object = signing_object(
        &method,
        uri,
        own.server_name(),
        &request.destination,
        content.as_ref(),
    );
    let key = own.signing_key();
    let text = crate::pdu::canonical_json::to_canonical_string(&Value::Object(object));
    let header = XMatrix {
        origin: own.server_name().to_owned(),
        destination: Some(request.destination.clone()),
        key: key.key_id().try_into().map_err(|error| not_asked(&error))?,
        signature: key.sign(text.as_bytes()),
    };
    header.to_header_value().map_err(|error| not_asked(&error))
}
