//! The object in which a server publishes its keys: reading another's, and keeping it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ruma_common::{OwnedServerSigningKeyId, ServerName};
use serde_json::{Map, Value};

use crate::{
    pdu::{
        canonical_json,
        signing::{self, VerifyKey},
        unpadded_base64,
    },
    persistence::tables::{PublishedKeysRecord, ServerKeyRecord},
    time::WallTime,
    transport::remote_response::{self, RemoteError},
};

/// The longest validity that we believe, counted from when the key was fetched (KEY-6).
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many keys of one server are kept from one response.
const KEYS_MAX: usize = 64;

/// A server's key object that the server itself signed.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedKeys {
    /// The object, with no signatures but the server's own.
    object: Arc<Map<String, Value>>,
    /// When it was fetched …
    fetched: WallTime,
    /// … and until when it is valid, as far as we believe it.
    valid_until: WallTime,
}

impl PublishedKeys {
    /// The object.
    #[must_use]
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// What is kept of it.
    #[must_use]
    pub fn record(&self, server: &ServerName) -> PublishedKeysRecord {
        PublishedKeysRecord {
            server: server.to_owned(),
            json: canonical_json::object_to_canonical_string(&self.object, &[]),
            fetched: self.fetched,
            valid_until: self.valid_until,
        }
    }

    /// Whether a notary should ask the server anew: it does not last as long as is wished, or half
    /// of its life is over (KEY-15).
    #[must_use]
    pub fn is_stale(&self, wanted_until: WallTime, now: WallTime) -> bool {
        let half = self.valid_until.since(self.fetched) / 2;
        self.valid_until < wanted_until || now >= self.fetched.plus(half)
    }
}

/// What was kept was checked before.
impl From<&PublishedKeysRecord> for PublishedKeys {
    fn from(record: &PublishedKeysRecord) -> Self {
        let object: Map<String, Value> = serde_json::from_str(&record.json).unwrap_or_default();
        Self {
            object: object.into(),
            fetched: record.fetched,
            valid_until: record.valid_until,
        }
    }
}

/// What a server's key object says.
pub(super) type Read = (Vec<ServerKeyRecord>, PublishedKeys);

/// Reads a server's answer.
pub(super) fn read_response(
    body: &Bytes,
    server: &ServerName,
    now: WallTime,
) -> Result<Read, RemoteError> {
    read(remote_response::parse(body)?, server, now)
}

/// Reads a server's key object and checks that the server itself signed it with a key that the
/// object lists as current (KEY-5).
pub(super) fn read(
    mut object: Map<String, Value>,
    server: &ServerName,
    now: WallTime,
) -> Result<Read, RemoteError> {
    let nonsense = |what: &str| RemoteError::Nonsense(what.to_owned());
    if object.get("server_name").and_then(Value::as_str) != Some(server.as_str()) {
        return Err(nonsense("keys of another server"));
    }
    let valid_until = object
        .get("valid_until_ts")
        .and_then(Value::as_u64)
        .map(|time| WallTime(time).min(now.plus(BELIEVED_FOR)))
        .ok_or_else(|| nonsense("valid_until_ts is missing"))?;
    let mut keys = Vec::new();
    for (key_id, key) in entries(&object, "verify_keys") {
        keys.extend(record(server, key_id, key, valid_until, false));
    }
    let current: Vec<VerifyKey> = keys.iter().map(VerifyKey::from).collect();
    signing::verify_json(&object, server, &current)
        .map_err(|error| RemoteError::Nonsense(error.to_string()))?;
    for (key_id, key) in entries(&object, "old_verify_keys") {
        let expired = key.get("expired_ts").and_then(Value::as_u64).map(WallTime);
        keys.extend(expired.and_then(|expired| record(server, key_id, key, expired, true)));
    }
    if let Some(signatures) = object.get_mut("signatures").and_then(Value::as_object_mut) {
        signatures.retain(|signer, _| signer == server.as_str());
    }
    let published = PublishedKeys {
        object: object.into(),
        fetched: now,
        valid_until,
    };
    Ok((keys, published))
}

fn entries<'o>(
    object: &'o Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = (&'o String, &'o Value)> {
    object
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .take(KEYS_MAX)
}

fn record(
    server: &ServerName,
    key_id: &str,
    key: &Value,
    valid_until: WallTime,
    retired: bool,
) -> Option<ServerKeyRecord> {
    let public = unpadded_base64::decode(key.get("key")?.as_str()?)?;
    Some(ServerKeyRecord {
        server: server.to_owned(),
        key_id: OwnedServerSigningKeyId::try_from(key_id).ok()?,
        public: public.try_into().ok()?,
        valid_until,
        retired,
    })
}

#[cfg(test)]
#[path = "published/tests.rs"]
mod tests;
