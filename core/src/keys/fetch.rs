//! Getting a key of another server: from the store, else from that server (KEY-5, KEY-9).

use std::time::Duration;

use bytes::Bytes;
use ruma_common::{OwnedServerName, OwnedServerSigningKeyId, ServerName};
use serde_json::{Map, Value};

use crate::{
    engine::{
        facts::{Blocked, Facts},
        need::Need,
        outcome::{LearntKeys, Outcome},
    },
    pdu::{
        signing::{self, VerifyKey},
        unpadded_base64,
    },
    persistence::{
        queries::{Answer, Read, Write},
        tables::ServerKeyRecord,
    },
    time::WallTime,
    transport::{
        remote_request::Endpoint,
        remote_response::{self, RemoteError},
    },
};

/// The longest validity that we believe, counted from when the key was fetched (KEY-6).
const BELIEVED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many keys of one server are kept from one response.
const KEYS_MAX: usize = 64;

/// Makes a key known, if it can be had.
#[derive(Clone, Debug)]
pub struct FetchKey {
    /// Whose key.
    pub server: OwnedServerName,
    /// Which.
    pub key_id: String,
    /// When it must be valid.
    pub valid_at: WallTime,
}

impl FetchKey {
    /// The need that the end of this job meets.
    #[must_use]
    pub fn need(&self) -> Need {
        Need::Key {
            server: self.server.clone(),
            key_id: self.key_id.clone(),
            valid_at: self.valid_at,
        }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Answer::Keys(stored) = facts.read(Read::ServerKeys(self.server.clone()))? else {
            return Ok(Outcome::done());
        };
        let enough = stored
            .iter()
            .any(|key| key.key_id.as_str() == self.key_id && key.valid_until >= self.valid_at);
        if enough || facts.key_asked_recently(&self.server) {
            return Ok(self.learnt(stored.clone(), None, Vec::new()));
        }
        let fetched = match facts.call(&self.server, Endpoint::ServerKeys)? {
            Ok(body) => parse_response(body, &self.server, facts.now().wall),
            Err(error) => Err(error.clone()),
        };
        let fetched = fetched.unwrap_or_else(|error| {
            tracing::debug!(server = %self.server, %error, "no keys to be had");
            Vec::new()
        });
        let answered = !fetched.is_empty();
        let keys = stored.iter().chain(&fetched).cloned().collect();
        let writes = match answered {
            true => vec![Write::ServerKeys(fetched)],
            false => Vec::new(),
        };
        Ok(self.learnt(keys, Some(answered), writes))
    }

    fn learnt(
        &self,
        keys: Vec<ServerKeyRecord>,
        asked: Option<bool>,
        writes: Vec<Write>,
    ) -> Outcome {
        let keys = LearntKeys {
            server: self.server.clone(),
            keys,
            asked,
        };
        Outcome {
            keys: Some(keys),
            writes,
            ..Outcome::default()
        }
    }
}

/// Reads a server's key object and checks that the server itself signed it with a key that the
/// object lists as current (KEY-5).
fn parse_response(
    body: &Bytes,
    server: &ServerName,
    now: WallTime,
) -> Result<Vec<ServerKeyRecord>, RemoteError> {
    let object: Map<String, Value> = remote_response::parse(body)?;
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
    Ok(keys)
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
mod tests;
