//! Signing keys: ours ([`OwnKeys`]), and other servers' ([`ring`], [`fetch`]).
//!
//! **Contract.** A key of another server is believed only from a response that this server signed
//! with a key it lists as current (KEY-5). Keys are kept for ever, since old events must verify
//! (KEY-11). A server is asked at most once in [`ring::ASK_AGAIN_AFTER`], and one question serves
//! everybody who waits (KEY-10).

pub mod fetch;
pub mod frequent;
pub mod ring;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use ruma_common::{OwnedServerName, ServerName};
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
        }
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

    /// The public half of the key that we sign with; to ourselves it is valid for ever.
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
        let key = unpadded_base64::encode(&self.signing_key.public_key());
        let mut object = Map::new();
        object.insert("server_name".to_owned(), json!(self.server_name));
        object.insert(
            "verify_keys".to_owned(),
            json!({ self.signing_key.key_id(): { "key": key } }),
        );
        object.insert("old_verify_keys".to_owned(), json!({}));
        object.insert(
            "valid_until_ts".to_owned(),
            json!(now.plus(PUBLISHED_FOR).0),
        );
        self.sign(&mut object);
        json_response(StatusCode::OK, &object)
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
