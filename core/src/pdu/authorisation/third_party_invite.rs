//! The rule for an invite that follows from a third-party invite: someone invited an address, an
//! identity server learnt whose it is, and signed that (room versions, "Authorization rules").

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Room, denied::ThirdPartyInviteDenied as Denied};
use crate::pdu::{
    Pdu,
    canonical_json::{Object, object_to_canonical_string},
    event_type::THIRD_PARTY_INVITE,
    signing::verify_bytes,
    unpadded_base64,
};

/// How many pairs of a key and a signature we try before we give up. Both lists are a peer's; real
/// ones hold one or two.
const MAX_VERIFICATIONS: usize = 256;

/// The sender's membership and power do not matter here: they did when the invitation was made.
pub(super) fn check(event: &Pdu, invite: &Value, room: &Room<'_>) -> Result<(), Denied> {
    let signed = invite
        .get("signed")
        .and_then(Value::as_object)
        .ok_or(Denied::Malformed)?;
    let text = |key| {
        signed
            .get(key)
            .and_then(Value::as_str)
            .ok_or(Denied::Malformed)
    };
    let (user, token) = (text("mxid")?, text("token")?);
    if event.state_key() != Some(user) {
        return Err(Denied::OtherUser);
    }
    let origin = room
        .state
        .event(THIRD_PARTY_INVITE, token)
        .ok_or(Denied::UnknownToken)?;
    if origin.sender() != event.sender() {
        return Err(Denied::OtherSender);
    }
    if is_signed_by_any(signed, &public_keys(origin.content())) {
        Ok(())
    } else {
        Err(Denied::Signature)
    }
}

/// The keys of a third-party invite, leaving out what is no key.
fn public_keys(invite: &Object) -> BTreeSet<[u8; 32]> {
    let listed = invite
        .get("public_keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    listed
        .map(|entry| entry.get("public_key"))
        .chain([invite.get("public_key")])
        .filter_map(|key| {
            unpadded_base64::decode_either_alphabet(key?.as_str()?)?
                .try_into()
                .ok()
        })
        .collect()
}

fn is_signed_by_any(signed: &Object, keys: &BTreeSet<[u8; 32]>) -> bool {
    let message = object_to_canonical_string(signed, &["signatures", "unsigned"]);
    let by_server = signed
        .get("signatures")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    by_server
        .filter_map(|(_, signatures)| signatures.as_object())
        .flatten()
        .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
        .filter_map(|(_, signature)| signature.as_str())
        .flat_map(|signature| keys.iter().map(move |key| (key, signature)))
        .take(MAX_VERIFICATIONS)
        .any(|(key, signature)| verify_bytes(key, message.as_bytes(), signature))
}
