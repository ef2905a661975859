//! Another server, as far as it signs requests.

use std::sync::Arc;

use comity_core::{
    keys::OwnKeys,
    pdu::signing::SigningKey,
    transport::x_matrix::{XMatrix, signing_object},
};
use http::{Method, Request, Uri};
use serde_json::Value;

pub fn key(id: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(id, &[seed; 32]).unwrap()
}

pub fn own(name: &str, seed: u8) -> OwnKeys {
    OwnKeys::new(name.try_into().unwrap(), Arc::new(key("ed25519:1", seed)))
}

/// A request to `our.example`, signed; a GET without a body.
pub fn signed(keys: &OwnKeys, target: &str, body: Option<&Value>) -> Request<String> {
    let uri: Uri = target.parse().unwrap();
    let method = if body.is_some() {
        Method::PUT
    } else {
        Method::GET
    };
    let ours = "our.example".try_into().unwrap();
    let mut signed = signing_object(&method, &uri, keys.server_name(), ours, body);
    keys.sign(&mut signed);
    let signatures = &signed["signatures"][keys.server_name().as_str()];
    let header = XMatrix {
        origin: keys.server_name().to_owned(),
        destination: Some(ours.to_owned()),
        key: keys.signing_key().key_id().try_into().unwrap(),
        signature: signatures[keys.signing_key().key_id()]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", header.to_header_value().unwrap())
        .body(body.map(Value::to_string).unwrap_or_default())
        .unwrap()
}
