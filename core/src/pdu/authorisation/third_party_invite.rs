//! The rule for an invite that follows from a third-party invite: someone invited an address, an
//! identity server learnt whose it is, and signed that (room versions, "Authorization rules").

use super::{Room, denied::ThirdPartyInviteDenied as Denied};
use crate::pdu::{
    Pdu,
    auth_content::{AuthContent, SignedInvite, ThirdPartyInvite},
    event_type::THIRD_PARTY_INVITE,
    signing::verify_bytes,
};

/// How many pairs of a key and a signature we try before we give up. Both lists are a peer's; real
/// ones hold one or two.
const MAX_VERIFICATIONS: usize = 256;

/// The sender's membership and power do not matter here: they did when the invitation was made.
pub(super) fn check(event: &Pdu, invite: &ThirdPartyInvite, room: &Room<'_>) -> Result<(), Denied> {
    let signed = invite.signed.as_ref().ok_or(Denied::Malformed)?;
    let user = signed.user.as_deref().ok_or(Denied::Malformed)?;
    let token = signed.token.as_deref().ok_or(Denied::Malformed)?;
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
    if is_signed_by_any(signed, origin.auth_content()) {
        Ok(())
    } else {
        Err(Denied::Signature)
    }
}

fn is_signed_by_any(signed: &SignedInvite, origin: &AuthContent) -> bool {
    let keys = origin.public_keys().unwrap_or_default();
    let pairs = signed
        .signatures
        .iter()
        .flat_map(|signature| keys.iter().map(move |key| (key, signature)));
    pairs
        .take(MAX_VERIFICATIONS)
        .any(|(key, signature)| verify_bytes(key, signed.text.as_bytes(), signature))
}
