//! Invites to an address outside of Matrix (server-server API, "Third-party invites").
//!
//! Somebody invites an address, and the room's state says with which keys an identity server will
//! sign for whom it turns out to be. When it does, it tells the homeserver of that user, which is
//! perhaps ours ([`ServeBinding`]), and that makes the invite or has it made by the server of who
//! invited, which is perhaps ours ([`ServeExchange`]).
//!
//! **Contract.** An invite is made only of what the keys in the room's state have signed
//! (AUTH-10), and only if each key's own page says that the key is still good. None but the server
//! that makes the invite looks at that page (3PID-4).

mod binding;
mod exchange;

use std::sync::Arc;

use ruma_common::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::{binding::ServeBinding, exchange::ServeExchange};
use super::command::Content;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        stop::Stop,
        world::Room,
    },
    pdu::{
        Pdu,
        auth_content::{AuthContent, SignedInvite},
        event_type::{MEMBER, THIRD_PARTY_INVITE},
        signing::PublicKey,
        unpadded_base64,
    },
    transport::{
        discovery,
        matrix_error::{ErrorCode, MatrixError},
        path::path_segment,
    },
};

/// How many keys of an invite are looked at.
const KEYS_MAX: usize = 8;

/// How many signatures by them.
const SIGNATURES_MAX: usize = 8;

/// What an identity server found out, in a room that the invite is for.
struct Found<'a> {
    room: &'a Room,
    /// Who invited.
    sender: &'a UserId,
    /// What the identity server signed.
    signed: &'a Content,
}

impl Found<'_> {
    /// The content of the invite that follows.
    ///
    /// # Errors
    /// 403, if nothing of the kind was to be signed by whoever signed.
    fn content(&self, facts: &Facts<'_>) -> Result<Content, Stop<MatrixError>> {
        let invitation = self.invitation(facts)?;
        let content = invitation.content();
        if !self.is_signed(&content, facts)? {
            return Err(forbidden("no key of the invitation that is still good has signed").into());
        }
        let name = content.get("display_name").and_then(Value::as_str);
        let invite = json!({ "display_name": name.unwrap_or_default(), "signed": self.signed });
        Ok([("third_party_invite".to_owned(), invite)]
            .into_iter()
            .collect())
    }

    /// The event that invited the address.
    fn invitation(&self, facts: &Facts<'_>) -> Result<Arc<Pdu>, Stop<MatrixError>> {
        let token = self.signed.get("token").and_then(Value::as_str);
        let event_id = token.and_then(|token| self.room.state.get(THIRD_PARTY_INVITE, token));
        let unknown = || forbidden("the room has no such invitation");
        let event = facts.held(event_id.ok_or_else(unknown)?)?;
        let event = event.ok_or_else(unknown)?;
        match event.pdu.sender() == self.sender {
            true => Ok(event.pdu.clone()),
            false => Err(forbidden("somebody else made the invitation").into()),
        }
    }

    /// Whether a key of the invitation signed, and is good by what its page says, if it has one.
    fn is_signed(&self, invitation: &Content, facts: &Facts<'_>) -> Result<bool, Blocked> {
        let content = json!({ "third_party_invite": { "signed": self.signed } });
        let content = content.as_object().cloned().unwrap_or_default();
        let content = AuthContent::read(MEMBER, &content, self.room.version);
        let invite = content
            .member()
            .and_then(|member| member.third_party_invite());
        let Some(signed) = invite.and_then(|invite| invite.signed.as_ref()) else {
            return Ok(false);
        };
        let keys = keys(invitation);
        let signers = keys.iter().filter(|key| key.has_signed(signed));
        let good: Vec<_> = signers.map(|key| key.is_good(facts)).collect();
        Ok(good
            .into_iter()
            .collect::<Result<Vec<_>, Blocked>>()?
            .contains(&true))
    }
}

/// A key with which an identity server may sign.
#[derive(Deserialize)]
struct IdentityKey {
    public_key: String,
    #[serde(rename = "key_validity_url")]
    page: Option<String>,
}

/// The keys of an invitation.
fn keys(invitation: &Content) -> Vec<IdentityKey> {
    let listed = invitation.get("public_keys").and_then(Value::as_array);
    let whole = Value::Object(invitation.clone());
    let entries = [&whole].into_iter().chain(listed.into_iter().flatten());
    entries
        .take(KEYS_MAX)
        .filter_map(|entry| IdentityKey::deserialize(entry).ok())
        .collect()
}

impl IdentityKey {
    fn has_signed(&self, signed: &SignedInvite) -> bool {
        let bytes = unpadded_base64::decode_either_alphabet(&self.public_key);
        let Some(Ok(bytes)) = bytes.map(<[u8; 32]>::try_from) else {
            return false;
        };
        let (key, text) = (PublicKey::new(bytes), signed.text.as_bytes());
        let mut signatures = signed.signatures.iter().take(SIGNATURES_MAX);
        signatures.any(|signature| key.verifies_base64(text, signature))
    }

    fn is_good(&self, facts: &Facts<'_>) -> Result<bool, Blocked> {
        #[derive(Deserialize)]
        struct Validity {
            valid: bool,
        }
        let Some(page) = &self.page else {
            return Ok(true);
        };
        let mark = if page.contains('?') { '&' } else { '?' };
        let key = path_segment(&self.public_key);
        let text = discovery::page_at(&format!("{page}{mark}public_key={key}"), facts)?;
        let validity = text.and_then(|text| serde_json::from_slice::<Validity>(text).ok());
        Ok(validity.is_some_and(|validity| validity.valid))
    }
}

/// Whether somebody is in the room already, and needs no invite.
fn is_joined(room: &Room, user_id: &OwnedUserId) -> bool {
    room.joined.contains(user_id)
}

fn forbidden(reason: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Forbidden, reason)
}
