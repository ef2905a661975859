//! The file of the key that signs our events and requests, in the field's format: one line with
//! algorithm, name and unpadded base64 of the seed.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use comity_core::pdu::signing::SigningKey;

use crate::random;

/// The one algorithm there is.
const ALGORITHM: &str = "ed25519";

/// Why a signing key cannot be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyFileError {
    /// The file cannot be read.
    #[error("the signing key cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is not `ed25519 NAME SEED`.
    #[error("the signing key file is no line `ed25519 NAME SEED`: {0}")]
    Malformed(String),
}

/// The content of the file of a new key.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn generate() -> Result<String, getrandom::Error> {
    let seed = STANDARD_NO_PAD.encode(random::bytes::<32>()?);
    Ok(format!("{ALGORITHM} a_{} {seed}\n", random::name::<4>()?))
}

/// Reads a key's file.
///
/// # Errors
/// When it cannot be read or is malformed.
pub fn read(path: &Path) -> Result<SigningKey, SigningKeyFileError> {
    parse(&fs::read_to_string(path)?)
}

/// Reads the content of a key's file.
///
/// # Errors
/// When it is malformed.
pub fn parse(text: &str) -> Result<SigningKey, SigningKeyFileError> {
    let malformed = |reason: &str| SigningKeyFileError::Malformed(reason.to_owned());
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(ALGORITHM), Some(name), Some(seed), None) => {
            let key = SigningKey::from_base64(&format!("{ALGORITHM}:{name}"), seed);
            key.map_err(|error| malformed(&error.to_string()))
        }
        (Some(ALGORITHM), ..) => Err(malformed("it does not have three words")),
        _ => Err(malformed("it does not start with ed25519")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_can_be_read() {
        let text = generate().unwrap();
        let key = parse(&text).unwrap();
        assert!(key.key_id().starts_with("ed25519:a_"));
        assert_eq!(parse(&text).unwrap().public_key(), key.public_key());
        assert_ne!(
            parse(&generate().unwrap()).unwrap().public_key(),
            key.public_key()
        );
    }

    #[test]
    fn other_files_are_refused() {
        for text in [
            "",
            "ed25519 a",
            "rsa a b",
            "ed25519 a b",
            "ed25519 a AAAA extra",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
