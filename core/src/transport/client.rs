//! From a [`RemoteRequest`] to a signed HTTP request and where to send it.

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use ruma_common::OwnedServerName;

use super::{
    remote_request::RemoteRequest,
    remote_response::RemoteError,
    server_address::ServerAddress,
    x_matrix::{XMatrix, signing_object},
};
use crate::{
    action::Call,
    input::CallId,
    keys::OwnKeys,
    pdu::canonical_json::{self, JsonError, Numbers, canonical, object_to_canonical_string},
    time::{Monotonic, Now},
};

/// A request, signed, of which only the way to its server is missing.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// Names the call.
    pub id: CallId,
    /// The server's name.
    pub destination: OwnedServerName,
    /// The request; its `Host` is known when the server's address is.
    pub request: Request<Bytes>,
    /// When to give up.
    pub deadline: Monotonic,
    /// The largest response body to accept, in bytes.
    pub response_limit: usize,
}

impl SignedRequest {
    /// The call to the server at this address.
    #[must_use]
    pub fn to(mut self, address: &ServerAddress) -> Call {
        if let Ok(host) = HeaderValue::from_str(&address.host_header) {
            self.request.headers_mut().insert(header::HOST, host);
        }
        Call {
            id: self.id,
            address: address.clone(),
            request: self.request,
            deadline: self.deadline,
            response_limit: self.response_limit,
        }
    }
}

/// Signs a request.
///
/// # Errors
/// [`RemoteError::NotAsked`] if an argument cannot be put on the wire.
pub fn sign(
    own: &OwnKeys,
    id: CallId,
    request: &RemoteRequest,
    now: Now,
) -> Result<SignedRequest, RemoteError> {
    let not_asked = |error: &dyn std::fmt::Display| RemoteError::NotAsked(error.to_string());
    let endpoint = &request.endpoint;
    let uri: Uri = endpoint
        .target()
        .parse()
        .map_err(|error| not_asked(&error))?;
    let body = endpoint.body();
    let mut builder = Request::builder()
        .method(endpoint.method())
        .uri(uri.clone())
        .header(header::ACCEPT, endpoint.accept())
        .header(header::ACCEPT_ENCODING, "gzip");
    if body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    if endpoint.is_authenticated() {
        let header = authorization(own, request, &uri, body.as_deref())?;
        builder = builder.header(header::AUTHORIZATION, header);
    }
    let destination = request.destination.clone();
    let request = builder
        .body(body.unwrap_or_default())
        .map_err(|error| not_asked(&error))?;
    Ok(SignedRequest {
        id,
        destination,
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
    body: Option<&[u8]>,
) -> Result<HeaderValue, RemoteError> {
    let not_asked = |error: &dyn std::fmt::Display| RemoteError::NotAsked(error.to_string());
    let text = signed_text(own, request, uri, body).map_err(|error| not_asked(&error))?;
    let key = own.signing_key();
    let header = XMatrix {
        origin: own.server_name().to_owned(),
        destination: Some(request.destination.clone()),
        key: key.key_id().try_into().map_err(|error| not_asked(&error))?,
        signature: key.sign(text.as_bytes()),
    };
    header.to_header_value().map_err(|error| not_asked(&error))
}

/// The canonical JSON of the signing object. A body of many events is not parsed for it: `content`
/// comes before all other keys, so the body's own canonical text goes in front of theirs.
fn signed_text(
    own: &OwnKeys,
    request: &RemoteRequest,
    uri: &Uri,
    body: Option<&[u8]>,
) -> Result<String, JsonError> {
    let (method, destination) = (request.endpoint.method(), &request.destination);
    let others = signing_object(&method, uri, own.server_name(), destination, None);
    let others = object_to_canonical_string(&others, &[]);
    let Some(body) = body else {
        return Ok(others);
    };
    let body = canonical(canonical_json::as_text(body)?, Numbers::Any)?;
    let others = others.trim_start_matches('{');
    Ok(format!(r#"{{"content":{body},{others}"#))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::signing::SigningKey;
    use crate::transport::remote_request::Endpoint;

    /// XMTX-1: the text is that of the whole object, however the body is written.
    #[test]
    fn the_signed_text_is_the_canonical_text_of_the_signing_object() {
        let key = SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap();
        let own = OwnKeys::new("one".try_into().unwrap(), key.into());
        let request = RemoteRequest {
            destination: "two".try_into().unwrap(),
            endpoint: Endpoint::SendTransaction {
                transaction_id: "a b".into(),
                body: r#"{"pdus": [{"b":1.50, "a":"\u00e9"}], "edus": []}"#.into(),
            },
        };
        let uri: Uri = request.endpoint.target().parse().unwrap();
        let body = request.endpoint.body().unwrap();
        let content = serde_json::from_slice(&body).unwrap();
        let object = signing_object(
            &request.endpoint.method(),
            &uri,
            own.server_name(),
            &request.destination,
            Some(&content),
        );
        let text = signed_text(&own, &request, &uri, Some(&body)).unwrap();
        assert_eq!(text, object_to_canonical_string(&object, &[]));
    }
}
