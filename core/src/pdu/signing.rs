//! Signatures of servers over JSON and over events (appendices, "Signing JSON"; server-server API,
//! "Validating hashes and signatures on received events").
//!
//! What counts as a signature of ed25519 is said in [`PublicKey`]'s module: what we accept, every
//! peer accepts.

mod multiples;
mod public_key;
mod signing_key;

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{IdParseError, OwnedEventId, OwnedServerName, ServerName, UserId};
use serde_json::Value;
use sha2::{Digest, Sha512};
use thiserror::Error;

use super::{
    Pdu,
    auth_content::MemberContent,
    canonical_json::{Object, object_to_canonical_string},
    room_version::EventIds,
    unpadded_base64,
};
use crate::time::WallTime;

pub use self::{
    public_key::{BasePoint, PublicKey},
    signing_key::{SigningKey, SigningKeyError},
};

/// The id of every policy server's key (server-server API, "Validating Policy Server signatures").
pub const POLICY_SERVER_KEY_ID: &str = "ed25519:policy_server";

/// What every key id of the only signature algorithm starts with.
const ALGORITHM: &str = "ed25519:";

/// The public half of a server's key, and until when the server vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKey {
    /// The key's id, `ed25519:` and its version.
    pub key_id: String,
    /// The public half.
    pub public_key: PublicKey,
    /// The last moment at which an event signed with it counts, in milliseconds since the Unix
    /// epoch: `valid_until_ts` of a current key, `expired_ts` of an old one.
    pub valid_until: i64,
    /// Whether this is one of the server's `old_verify_keys`, which sign no requests any more.
    pub retired: bool,
}

/// The keys that are known of each server.
pub type KnownKeys = BTreeMap<OwnedServerName, Arc<[VerifyKey]>>;

/// Why a signature does not count.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The server did not sign.
    #[error("there is no signature of {0}")]
    Missing(OwnedServerName),
    /// The server signed, but with no key that we know and that was valid at the time.
    #[error("{0} signed with no key that we know and that was valid at the time")]
    NoValidKey(OwnedServerName),
    /// A signature with a known, valid key is wrong.
    #[error("the signature of {server} with {key_id} is wrong")]
    Wrong {
        /// Who is said to have signed.
        server: OwnedServerName,
        /// With which key.
        key_id: String,
    },
    /// The event's id names no server, where the one it names must have signed.
    #[error("the event id {0} names no server, which would have to sign")]
    EventId(OwnedEventId),
    /// `join_authorised_via_users_server` names no user whose server could have signed.
    #[error("`join_authorised_via_users_server` is no user id: {0}")]
    AuthorisingUser(IdParseError),
}

/// Signs an object in place, keeping its other signatures (appendices, "Signing Details").
pub fn sign_json(object: &mut Object, server: &ServerName, key: &SigningKey) {
    let signature = key.sign(signed_json_text(object).as_bytes());
    insert_signature(object, server, key.key_id(), signature);
}

/// Checks that `server` signed this object with `keys` (appendices, "Checking for a Signature").
///
/// Signatures with keys not in `keys` are skipped; all others must be right, and there must be one.
/// The caller chooses keys that are valid for the purpose.
pub fn verify_json<'a>(
    object: &Object,
    server: &ServerName,
    keys: impl IntoIterator<Item = &'a VerifyKey>,
) -> Result<(), SignatureError> {
    let signatures = object
        .get("signatures")
        .and_then(|signatures| signatures.get(server.as_str()))
        .and_then(Value::as_object)
        .ok_or_else(|| SignatureError::Missing(server.to_owned()))?;
    let signature = |key_id: &str| {
        let signature = signatures.get(key_id)?;
        Some(signature.as_str().unwrap_or_default())
    };
    let text = signed_json_text(object);
    let message = |hasher: &mut Sha512| hasher.update(&text);
    verify_signatures(signature, message, server, keys.into_iter())
}

/// The servers whose signatures an event needs, each once.
///
/// They are the sender's server, unless the event follows from a third-party invite; where event
/// ids are chosen, the server in the event id too, if it is not the sender's; and where joins may
/// be restricted, the server of the user whom a membership event names in
/// `join_authorised_via_users_server`.
///
/// # Errors
/// The event names somebody of whom there can be no signature.
pub fn required_signers(event: &Pdu) -> Result<impl Iterator<Item = &ServerName>, SignatureError> {
    let sender = (!follows_third_party_invite(event)).then(|| event.origin());
    let named_by_id = server_of_event_id(event)?.filter(|server| *server != event.origin());
    let authorising = authorising_server(event)?.filter(|server| Some(*server) != sender);
    Ok([sender, named_by_id, authorising].into_iter().flatten())
}

/// Whether this invite stands for one that a server outside of Matrix holds: the server that sends
/// it may be another than its sender's.
///
/// An altered event goes on as its redacted copy, and must still stand for it then. Otherwise
/// anybody could make a plain invite in the name of anybody.
fn follows_third_party_invite(event: &Pdu) -> bool {
    let follows = |event: &Pdu| {
        event.auth_content().member().is_some_and(|content| {
            content.membership() == Some("invite") && content.third_party_invite().is_some()
        })
    };
    follows(event) && (event.has_claimed_content() || follows(&event.redacted()))
}

fn server_of_event_id(event: &Pdu) -> Result<Option<&ServerName>, SignatureError> {
    if event.room_version().rules().event_ids != EventIds::Chosen {
        return Ok(None);
    }
    let nobody = || SignatureError::EventId(event.event_id().to_owned());
    event.event_id().server_name().map(Some).ok_or_else(nobody)
}

fn authorising_server(event: &Pdu) -> Result<Option<&ServerName>, SignatureError> {
    let content = event.auth_content().member();
    let user = content.and_then(MemberContent::authorising_user);
    let Some(user) = user.filter(|_| event.room_version().rules().restricted) else {
        return Ok(None);
    };
    let user = <&UserId>::try_from(user).map_err(SignatureError::AuthorisingUser)?;
    Ok(Some(user.server_name()))
}

/// Check 2 on receipt of a PDU: every server that has to sign this event did so, where the room
/// version cares with a key that was valid when the event was made.
pub fn verify_event(event: &Pdu, keys: &KnownKeys) -> Result<(), SignatureError> {
    let message = |hasher: &mut Sha512| event.signed_pieces(|piece| hasher.update(piece));
    let valid_at = key_valid_at(event).to_i64();
    for server in required_signers(event)? {
        let known = keys.get(server).map(AsRef::as_ref).unwrap_or_default();
        let valid = known.iter().filter(|key| key.valid_until >= valid_at);
        let signatures = event.signatures_of(server);
        let signatures = signatures.ok_or_else(|| SignatureError::Missing(server.to_owned()))?;
        let signature = |key_id: &str| signatures.with_key(key_id);
        verify_signatures(signature, message, server, valid)?;
    }
    Ok(())
}

/// When a key must have been valid for its signature of this event to count (room versions,
/// version 5, "Signing key validity period"). Where that does not matter, any key does.
pub fn key_valid_at(event: &Pdu) -> WallTime {
    match event.room_version().rules().key_validity {
        true => WallTime::of_event(event),
        false => WallTime(0),
    }
}

pub(super) fn insert_signature(
    object: &mut Object,
    server: &ServerName,
    key_id: &str,
    signature: String,
) {
    let mut signatures = take_object(object, "signatures");
    let mut of_server = take_object(&mut signatures, server.as_str());
    of_server.insert(key_id.to_owned(), Value::String(signature));
    signatures.insert(server.to_string(), Value::Object(of_server));
    object.insert("signatures".to_owned(), Value::Object(signatures));
}

/// Removes the object at this key; an empty one if there is none.
fn take_object(object: &mut Object, key: &str) -> Object {
    match object.remove(key) {
        Some(Value::Object(inner)) => inner,
        _ => Object::new(),
    }
}

fn signed_json_text(object: &Object) -> String {
    object_to_canonical_string(object, &["signatures", "unsigned"])
}

/// `signature` gives the server's signature with a key, and `message` puts into a hash what is
/// signed.
fn verify_signatures<'a, 's>(
    signature: impl Fn(&str) -> Option<&'s str>,
    message: impl Fn(&mut Sha512),
    server: &ServerName,
    keys: impl Iterator<Item = &'a VerifyKey>,
) -> Result<(), SignatureError> {
    let mut verified = false;
    for key in keys.filter(|key| key.key_id.starts_with(ALGORITHM)) {
        let Some(signature) = signature(&key.key_id) else {
            continue;
        };
        if !key.public_key.verifies_hashed(&message, signature) {
            let (server, key_id) = (server.to_owned(), key.key_id.clone());
            return Err(SignatureError::Wrong { server, key_id });
        }
        verified = true;
    }
    if verified {
        Ok(())
    } else {
        Err(SignatureError::NoValidKey(server.to_owned()))
    }
}
