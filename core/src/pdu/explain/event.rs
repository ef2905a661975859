//! One event: each check on receipt of a PDU, made again, with its verdict and the facts used.

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName};
use serde::Serialize;

use super::{
    Archive, EventBrief, ExplainError,
    checks::{Checks, named},
    state_facts::StateFacts,
};
use crate::{
    pdu::{RoomVersion, authorisation::Denied},
    persistence::tables::Verdict,
};

/// What became of an event and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventReport {
    /// The event.
    pub event: EventBrief,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// The room's version.
    pub room_version: String,
    /// What the event names as before it.
    pub prev_events: Vec<Named>,
    /// Why it was soft-failed or rejected, as noted when it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_reason: Option<String>,
    /// The redaction that was applied to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_because: Option<OwnedEventId>,
    /// The checks on receipt of a PDU, in their order.
    pub checks: Vec<Check>,
    /// Whether the checks, made again, come to the verdict that is stored.
    pub agrees: bool,
}

/// An event that another one names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its id.
    pub event_id: OwnedEventId,
    /// The event; `null` if it is not held.
    pub event: Option<EventBrief>,
}

/// One of the checks on receipt of a PDU (server-server API).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its number in the specification.
    pub number: u8,
    /// Its name: `format`, `signatures`, `content_hash`, `auth_events`, `state_before`,
    /// `current_state` or, in a room that has one, `policy_server`.
    pub name: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub result: CheckResult,
    /// What it was made with.
    pub facts: CheckFacts,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum CheckResult {
    /// All is well.
    Passed,
    /// Something is wrong with the event.
    Failed {
        /// What.
        reason: String,
        /// The authorisation rule that it breaks, if it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<BrokenRule>,
        /// What follows from it.
        consequence: Consequence,
    },
    /// The check was not made.
    NotMade {
        /// Why not.
        reason: String,
    },
}

/// An authorisation rule that an event breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenRule {
    /// Its name, which is the same in all room versions.
    pub name: &'static str,
    /// Its number in the list of the event's room version, such as `5.3.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

impl BrokenRule {
    pub(super) fn of(denied: &Denied, version: RoomVersion) -> Self {
        Self {
            name: denied.rule().name(),
            number: denied.rule().number(version),
        }
    }
}

/// What follows from a failed check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// The event is forgotten.
    Dropped,
    /// The event is kept in its redacted form.
    Redacted,
    /// The event is kept and counts for nothing.
    Rejected,
    /// The event is part of the graph and not shown.
    SoftFailed,
}

/// What a check was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CheckFacts {
    /// Of the format.
    Format {
        /// The size of the event as canonical JSON, in bytes.
        bytes: usize,
    },
    /// Of the signatures.
    Signatures {
        /// Each server that has to have signed.
        signers: Vec<Signer>,
    },
    /// Of the content hash.
    ContentHash {
        /// The hash that the event holds.
        claimed: Option<String>,
        /// The hash of the event as it is stored.
        computed: String,
    },
    /// Of the rules by the auth events.
    AuthEvents {
        /// The events named as authorising it.
        auth_events: Vec<Named>,
        /// What the rules read of them.
        state: StateFacts,
    },
    /// Of the rules by a state.
    State {
        /// The state's name in the store.
        snapshot: u64,
        /// What the rules read of it.
        state: StateFacts,
    },
    /// Of the rules by the current state.
    CurrentState {
        /// Why the state that is current today refuses it; `null` if it allows it.
        refused_today: Option<String>,
        /// What the rules read of today's state.
        state: StateFacts,
    },
    /// Of the policy server.
    PolicyServer {
        /// The room's policy server today.
        server: OwnedServerName,
        /// Whether the event carries its signature.
        signed: bool,
    },
    /// Of a check that was not made.
    None {},
}

/// A server that has to have signed an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// Which.
    pub server: OwnedServerName,
    /// Its signatures on the event.
    pub signatures: Vec<EventSignature>,
}

/// A signature on an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventSignature {
    /// The name of the key.
    pub key_id: String,
    /// The key, if it is held.
    pub key: Option<HeldKey>,
}

/// A key that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeldKey {
    /// Until when its server vouches for it, in milliseconds since the Unix epoch.
    pub valid_until: i64,
    /// Whether the server uses it no more.
    pub retired: bool,
}

/// Explains a stored event.
pub fn explain_event(
    event_id: &EventId,
    archive: &Archive<'_>,
) -> Result<EventReport, ExplainError> {
    let event = archive.event(event_id)?;
    let event = event.ok_or_else(|| ExplainError::UnknownEvent(event_id.to_owned()))?;
    let checks = Checks::new(&event, archive)?.make()?;
    let rejected = checks.iter().any(|check| check.result.rejects());
    Ok(EventReport {
        event: EventBrief::from(&*event),
        room_id: event.pdu.room_id().to_owned(),
        room_version: event.pdu.room_version().to_string(),
        prev_events: named(event.pdu.prev_events(), archive)?,
        stored_reason: match &event.verdict {
            Verdict::Accepted => None,
            Verdict::SoftFailed(reason) | Verdict::Rejected(reason) => Some(reason.clone()),
        },
        redacted_because: event.redacted_because.clone(),
        agrees: event.verdict.is_unverified() || rejected == event.verdict.is_rejected(),
        checks,
    })
}

impl CheckResult {
    fn rejects(&self) -> bool {
        let consequence = Consequence::Rejected;
        matches!(self, Self::Failed { consequence: c, .. } if *c == consequence)
    }
}
