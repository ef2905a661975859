//! A server that follows a test's script instead of the protocol.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use comity_core::{Now, keys::OwnKeys, pdu::signing::SigningKey};
use http::{Request, Response};
use serde_json::{Map, Value};

/// What a liar answers: the status and the body, from the target and the body of the request.
pub type Script = Box<dyn FnMut(&str, &Value) -> (u16, Value)>;

/// A peer that signs what the test wants signed and answers what the test wants answered. Its
/// keys it serves truthfully, or nobody would listen to it.
pub struct Liar {
    /// Its name and key.
    pub own: OwnKeys,
    /// How often it was asked something, by the name of the endpoint; `key` for its keys.
    pub asked: BTreeMap<String, usize>,
    /// When it says that its keys expire, if not as everybody.
    pub keys_expire_at: Option<u64>,
    script: Script,
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liar").field("own", &self.own).finish()
    }
}

impl Liar {
    /// A liar who finds nothing that it is asked for.
    pub fn new(name: &str) -> Self {
        let key = SigningKey::from_seed("ed25519:liar", &[7; 32]).expect("a key id");
        Self {
            own: OwnKeys::new(
                name.try_into().expect("the test gives a server name"),
                Arc::new(key),
            ),
            asked: BTreeMap::new(),
            keys_expire_at: None,
            script: Box::new(|_, _| (404, serde_json::json!({ "errcode": "M_NOT_FOUND" }))),
        }
    }

    /// Makes it answer this way.
    pub fn says(&mut self, script: impl FnMut(&str, &Value) -> (u16, Value) + 'static) {
        self.script = Box::new(script);
    }

    fn keys(&self, now: Now) -> Response<Bytes> {
        let published = self.own.published(now.wall);
        let Some(expire_at) = self.keys_expire_at else {
            return published;
        };
        let mut keys: Map<String, Value> =
            serde_json::from_slice(published.body()).expect("our own keys are JSON");
        keys.remove("signatures");
        keys.insert("valid_until_ts".to_owned(), expire_at.into());
        self.own.sign(&mut keys);
        Response::new(Value::Object(keys).to_string().into())
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, request: &Request<Bytes>, now: Now) -> Response<Bytes> {
        let target = request.uri().to_string();
        if target.starts_with("/_matrix/key/") {
            *self.asked.entry("key".to_owned()).or_default() += 1;
            return self.keys(now);
        }
        let endpoint = target.split('/').nth(4).unwrap_or_default();
        let endpoint = endpoint.split('?').next().unwrap_or_default().to_owned();
        *self.asked.entry(endpoint).or_default() += 1;
        let body = serde_json::from_slice(request.body()).unwrap_or_default();
        let (status, body) = (self.script)(&target, &body);
        Response::builder()
            .status(status)
            .body(body.to_string().into())
            .expect("the script gives a status")
    }
}
