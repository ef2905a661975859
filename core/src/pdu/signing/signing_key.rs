//! Our own half of a key: what we sign with.

use std::fmt;

use ed25519_dalek::Signer as _;
use thiserror::Error;

use super::{ALGORITHM, unpadded_base64};

/// A key with which we sign, and its id.
pub struct SigningKey {
    key_id: String,
    secret: ed25519_dalek::SigningKey,
}

/// Why a text is no signing key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SigningKeyError {
    /// The key id is not `ed25519:` and a version of `a-zA-Z0-9_`.
    #[error("key id {0:?} is not `ed25519:` followed by letters, digits and underscores")]
    KeyId(String),
    /// The seed is not the base64 of 32 bytes.
    #[error("the seed is not the base64 of 32 bytes")]
    Seed,
}

impl SigningKey {
    /// The key of this seed. `key_id` is `ed25519:` and a version of letters, digits, underscores.
    pub fn from_seed(key_id: &str, seed: &[u8; 32]) -> Result<Self, SigningKeyError> {
        let is_key_version = |version: &str| {
            !version.is_empty()
                && version
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !key_id.strip_prefix(ALGORITHM).is_some_and(is_key_version) {
            return Err(SigningKeyError::KeyId(key_id.to_owned()));
        }
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        Ok(Self {
            key_id: key_id.to_owned(),
            secret,
        })
    }

    /// As [`SigningKey::from_seed`], of a seed in unpadded base64.
    pub fn from_base64(key_id: &str, seed: &str) -> Result<Self, SigningKeyError> {
        let seed = unpadded_base64::decode_exact(seed);
        Self::from_seed(key_id, &seed.ok_or(SigningKeyError::Seed)?)
    }

    /// The key's id, `ed25519:` and its version.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }

    /// The signature of these bytes, in unpadded base64.
    pub fn sign(&self, message: &[u8]) -> String {
        unpadded_base64::encode(&self.secret.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id)
    }
}
