//! Policy servers: a server in the room signs what it recommends to others (server-server API,
//! "Policy Servers"). Check 7 on receipt of a PDU, and a step of sending one.
//!
//! What a policy server does not recommend is no less allowed: the rules of authorisation do not
//! know of it.

use std::sync::Arc;

use ruma_common::{OwnedServerName, ServerName};
use thiserror::Error;

use super::{
    Pdu,
    canonical_json::Object,
    event_type::POLICY,
    signing::{POLICY_SERVER_KEY_ID, PublicKey},
    unpadded_base64,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        stop::Stop,
        world::Room,
    },
    transport::{
        remote_request::Endpoint,
        remote_response::{self, RemoteError},
    },
};

/// The policy server of a room.
#[derive(Clone, Debug)]
pub struct PolicyServer {
    name: OwnedServerName,
    /// `None` if what the room gives for it is no key: then nothing can be signed.
    key: Option<PublicKey>,
}

/// Why an event is not recommended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the policy server {server} did not sign: {error}")]
pub struct NotRecommended {
    /// The policy server.
    pub server: OwnedServerName,
    /// What it said, or why it said nothing.
    pub error: RemoteError,
}

impl NotRecommended {
    /// Whether a stored reason is one of these.
    #[must_use]
    pub fn is_told_by(reason: &str) -> bool {
        reason.starts_with("the policy server ")
    }
}

/// The event as the room's policy server recommends it: with its signature, which is asked for if
/// it is missing or wrong; as it is where no policy server is to be asked.
///
/// # Errors
/// Refused, if there is no valid signature to be had.
pub fn recommended(
    event: &Arc<Pdu>,
    room: &Room,
    facts: &Facts<'_>,
) -> Result<Arc<Pdu>, Stop<NotRecommended>> {
    let Some(policy_server) = PolicyServer::to_ask(event, room, facts)? else {
        return Ok(event.clone());
    };
    if policy_server.has_signed(event) {
        return Ok(event.clone());
    }
    let endpoint = Endpoint::PolicySign(event.json().to_owned());
    let answer = facts.call(&policy_server.name, endpoint)?;
    let signed = match answer {
        Ok(body) => policy_server.add_signature(event, body),
        Err(error) => Err(error.clone()),
    };
    signed.map(Arc::new).map_err(|error| {
        let server = policy_server.name;
        Stop::Refused(NotRecommended { server, error })
    })
}

impl PolicyServer {
    /// The policy server whose signature this event needs, by the room's current state (POLICY-1).
    /// The event that names a policy server needs none (POLICY-2), and we are none.
    pub fn to_ask(event: &Pdu, room: &Room, facts: &Facts<'_>) -> Result<Option<Self>, Blocked> {
        if !facts.settings().policy_servers || event.is_state_for(POLICY, "") {
            return Ok(None);
        }
        let Some(policy) = room.state.get(POLICY, "") else {
            return Ok(None);
        };
        let policy = facts.held(policy)?;
        let named = policy.and_then(|policy| Self::named_by(&policy.pdu.content()));
        Ok(named.filter(|server| room.has_server(&server.name) && server.name != facts.our_name()))
    }

    /// The one that this content of `m.room.policy` names.
    pub(super) fn named_by(policy: &Object) -> Option<Self> {
        let key = policy.get("public_keys")?.get("ed25519")?.as_str()?;
        let key = unpadded_base64::decode_either_alphabet(key);
        let key = key.and_then(|bytes| bytes.try_into().ok());
        Some(Self {
            name: policy.get("via")?.as_str()?.try_into().ok()?,
            key: key.map(PublicKey::new),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// Whether the event carries its signature.
    #[must_use]
    pub fn has_signed(&self, event: &Pdu) -> bool {
        let signatures = event.signatures_of(&self.name);
        let signature = signatures.and_then(|all| all.with_key(POLICY_SERVER_KEY_ID));
        self.key
            .as_ref()
            .zip(signature)
            .is_some_and(|(key, signature)| {
                key.verifies_base64(event.signed_text().as_bytes(), signature)
            })
    }

    /// Reads the answer to [`Endpoint::PolicySign`].
    fn add_signature(&self, event: &Pdu, answer: &bytes::Bytes) -> Result<Pdu, RemoteError> {
        let nonsense = |reason: &str| RemoteError::Nonsense(reason.to_owned());
        let signatures: Object = remote_response::parse(answer)?;
        let signature = signatures
            .get(self.name.as_str())
            .and_then(|by_key| by_key.get(POLICY_SERVER_KEY_ID)?.as_str())
            .ok_or_else(|| nonsense("there is no signature in its answer"))?;
        let signed = event
            .with_signature(&self.name, POLICY_SERVER_KEY_ID, signature.to_owned())
            .map_err(|error| nonsense(&error.to_string()))?;
        match self.has_signed(&signed) {
            true => Ok(signed),
            false => Err(nonsense(
                "its signature is not by the key that the room knows",
            )),
        }
    }
}
