//! Requests as another server sends them.

use bytes::Bytes;
use comity_core::{
    keys::OwnKeys,
    transport::x_matrix::{XMatrix, signing_object},
};
use http::{Method, Request, header};
use ruma_common::ServerName;
use serde_json::Value;

/// A request of the server with these keys to another, signed; `None` if the target is none.
pub fn signed(
    keys: &OwnKeys,
    to: &ServerName,
    method: Method,
    target: &str,
    content: Option<&Value>,
) -> Option<Request<Bytes>> {
    let uri: http::Uri = target.parse().ok()?;
    let mut object = signing_object(&method, &uri, keys.server_name(), to, content);
    keys.sign(&mut object);
    let key_id = keys.signing_key().key_id();
    let signature = object.get("signatures")?.get(keys.server_name().as_str())?;
    let header = XMatrix {
        origin: keys.server_name().to_owned(),
        destination: Some(to.to_owned()),
        key: key_id.try_into().ok()?,
        signature: signature.get(key_id)?.as_str()?.to_owned(),
    };
    let body = content.map(Value::to_string).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::AUTHORIZATION, header.to_header_value().ok()?)
        .body(body.into())
        .ok()
}
