//! Signing keys: ours ([`OwnKeys`]), and other servers' ([`ring`], [`fetch`]).
//!
//! **Contract.** A key of another server is believed only from a response that this server signed
//! with a key it lists as current (KEY-5), whoever hands it over. Keys are kept for ever, since old events must verify
//! (KEY-11). A server is asked at most once in [`ring::ASK_AGAIN_AFTER`], and one question serves
//! everybody who waits (KEY-10).

pub mod fetch;
pub mod frequent;
pub mod notary;
pub mod published;
pub mod ring;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    pdu::{
        Pdu,
        event::Signatures,
        signing::{self, POLICY_SERVER_KEY_ID, PublicKey, SigningKey, VerifyKey},
        unpadded_base64,
    },
    time::WallTime,
    transport::json::json_response,
};

/// How long the key object that we publish is valid: long enough never to expire within the hour
/// of being served (KEY-2).
const PUBLISHED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Who we are and what we sign with.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    server_name: OwnedServerName,
    signing_key: Arc<SigningKey>,
    verify_keys: Arc<[VerifyKey]>,
    retired: Arc<[RetiredKey]>,
}

/// A key of ours that signs no more. It stays published, so that what it signed can be checked
/// (KEY-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredKey {
    /// The key's id, `ed25519:` and its version.
    pub key_id: String,
    /// The public half.
    pub public: [u8; 32],
    /// When it stopped to sign.
    pub expired: WallTime,
}

/// What a server chooses of its own keys, and of how it gets those of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySettings {
    /// The keys that signed before the present one.
    pub retired: Vec<RetiredKey>,
    /// Servers to ask for the keys of servers that do not answer.
    pub notaries: Vec<OwnedServerName>,
}

impl OwnKeys {
    /// The keys of a server with this name.
    #[must_use]
    pub fn new(server_name: OwnedServerName, signing_key: Arc<SigningKey>) -> Self {
        let verify_key = VerifyKey {
            key_id: signing_key.key_id().to_owned(),
            public_key: PublicKey::new(signing_key.public_key()),
            valid_until: i64::MAX,
            retired: false,
        };
        Self {
            server_name,
            signing_key,
            verify_keys: Arc::new([verify_key]),
            retired: Arc::default(),
        }
    }

    /// The same with keys that signed before. One with the id of the present key is left out.
    #[must_use]
    pub fn with_retired(mut self, retired: &[RetiredKey]) -> Self {
        let present = self.signing_key.key_id();
        let retired = retired.iter().filter(|key| key.key_id != present);
        self.retired = retired.cloned().collect();
        let old = self.retired.iter().map(|key| VerifyKey {
            key_id: key.key_id.clone(),
            public_key: PublicKey::new(key.public),
            valid_until: key.expired.to_i64(),
            retired: true,
        });
        self.verify_keys = self.verify_keys.iter().cloned().chain(old).collect();
        self
    }

    /// Our name.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The key that we sign with.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The public half of the key that we sign with, to ourselves valid for ever, and those before
    /// it.
    #[must_use]
    pub fn verify_keys(&self) -> Arc<[VerifyKey]> {
        self.verify_keys.clone()
    }

    /// Signs a JSON object with our name and key.
    pub fn sign(&self, object: &mut Map<String, Value>) {
        signing::sign_json(object, &self.server_name, &self.signing_key);
    }

    /// The answer to `GET /_matrix/key/v2/server` (KEY-1).
    #[must_use]
    pub fn published(&self, now: WallTime) -> Response<Bytes> {
        json_response(StatusCode::OK, &self.published_object(now))
    }

    /// What that answer says.
    #[must_use]
    pub fn published_object(&self, now: WallTime) -> Map<String, Value> {
        let old = self.retired.iter().map(|key| {
            let public = unpadded_base64::encode(&key.public);
            let entry = json!({ "key": public, "expired_ts": key.expired.0 });
            (key.key_id.clone(), entry)
        });
        let old: Map<String, Value> = old.collect();
        let key = unpadded_base64::encode(&self.signing_key.public_key());
        let mut object = Map::new();
        object.insert("server_name".to_owned(), json!(self.server_name));
        object.insert(
            "verify_keys".to_owned(),
            json!({ self.signing_key.key_id(): { "key": key } }),
        );
        object.insert("old_verify_keys".to_owned(), old.into());
        object.insert(
            "valid_until_ts".to_owned(),
            json!(now.plus(PUBLISHED_FOR).0),
        );
        self.sign(&mut object);
        object
    }
}

/// How many keys of one server an event may make us ask for.
const KEYS_PER_SIGNER_MAX: usize = 4;

/// The keys whose signatures an event must carry, as it names them itself: pairs of server and
/// key id. A policy server's key is none of them: it stands in the room's state, and no server
/// publishes it.
#[must_use]
pub fn needed_for(event: &Pdu) -> Vec<(&ServerName, &str)> {
    let Ok(signers) = signing::required_signers(event) else {
        return Vec::new();
    };
    let key_ids = |server| {
        let signatures = event.signatures_of(server);
        signatures.map(Signatures::key_ids).unwrap_or_default()
    };
    let is_published =
        |key_id: &&str| key_id.starts_with("ed25519:") && *key_id != POLICY_SERVER_KEY_ID;
    signers
        .flat_map(|server| {
            let key_ids = key_ids(server).into_iter().filter(is_published);
            let key_ids = key_ids.take(KEYS_PER_SIGNER_MAX);
            key_ids.map(move |key_id| (server, key_id))
        })
        .collect()
}
