//! Whether a redaction takes effect (room versions, version 3, "Handling redactions").

use super::{NamedLevel, PowerLevel, PowerLevels};
use crate::pdu::{Pdu, event_type::CREATE};

/// Whether this redaction, which is itself allowed, may be applied to its target, with the power
/// levels of the state before the redaction: it comes from the target's own server or from a user
/// with the level for redactions.
///
/// Create events are never redacted, as in Synapse: a room must keep what it was made as.
pub fn may_redact(redaction: &Pdu, target: &Pdu, levels: &PowerLevels<'_>) -> bool {
    let has_level = || {
        levels.of_user(redaction.sender()) >= PowerLevel::Level(levels.named(NamedLevel::Redact))
    };
    redaction.redacts() == Some(target.event_id())
        && redaction.room_id() == target.room_id()
        && target.event_type() != CREATE
        && (redaction.origin() == target.origin() || has_level())
}
