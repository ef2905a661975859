//! The rule for an invite that follows from a third-party invite: someone invited an address, an
//! identity server learnt whose it is, and signed that (room versions, "Authorization rules").

use ruma_common::UserId;

use super::{Case, Denied, Membership, Reason, Rule};
use crate::pdu::{
    auth_content::{SignedInvite, ThirdPartyInvite},
    event_type::THIRD_PARTY_INVITE,
    signing::PublicKey,
};

/// How many pairs of a key and a signature we try before we give up. Both lists are a peer's; real
/// ones hold one or two.
const MAX_VERIFICATIONS: usize = 256;

/// The sender's membership and power do not matter here: they did when the invitation was made.
pub(super) fn check(
    case: Case<'_>,
    target: &UserId,
    invite: &ThirdPartyInvite,
) -> Result<(), Denied> {
    let membership = case.membership_of(target);
    if membership == Membership::Ban {
        let (user, to) = (target.to_owned(), "be invited");
        let reason = Reason::Membership {
            user,
            to,
            membership,
        };
        return case.deny(Rule::ThirdPartyBanned, reason);
    }
    let Some(signed) = &invite.signed else {
        return case.deny(Rule::ThirdPartySigned, Reason::NotSigned);
    };
    let (Some(user), Some(token)) = (&signed.user, &signed.token) else {
        let lacks = if signed.user.is_none() {
            "mxid"
        } else {
            "token"
        };
        return case.deny(Rule::ThirdPartyForm, Reason::SignedLacks(lacks));
    };
    if target != &**user {
        let reason = Reason::SignedForOther {
            signed_for: user.to_string(),
            target: target.to_owned(),
        };
        return case.deny(Rule::ThirdPartyTarget, reason);
    }
    check_origin(case, signed, token)
}

/// The room's invite with this token is by the same sender, and one of its keys has signed.
fn check_origin(case: Case<'_>, signed: &SignedInvite, token: &str) -> Result<(), Denied> {
    let Some(origin) = case.state.event(THIRD_PARTY_INVITE, token) else {
        let reason = Reason::UnknownToken(token.to_owned());
        return case.deny(Rule::ThirdPartyToken, reason);
    };
    if origin.sender() != case.event.sender() {
        let reason = Reason::OtherInviter {
            made_by: origin.sender().to_owned(),
            sender: case.event.sender().to_owned(),
        };
        return case.deny(Rule::ThirdPartySender, reason);
    }
    let keys = origin.auth_content().public_keys().unwrap_or_default();
    if is_signed_by_any(signed, keys) {
        return Ok(());
    }
    case.deny(Rule::ThirdPartySignature, Reason::NoSignature(keys.len()))
}

fn is_signed_by_any(signed: &SignedInvite, keys: &[[u8; 32]]) -> bool {
    let signatures = signed.signatures.iter();
    signatures
        .flat_map(|signature| keys.iter().map(move |key| (key, signature)))
        .take(MAX_VERIFICATIONS)
        .any(|(key, signature)| {
            PublicKey::new(*key).verifies_base64(signed.text.as_bytes(), signature)
        })
}
