//! Redactions: whether one may stand, where that is a rule of authorisation, and whether one is
//! applied to its target.

use super::{Case, Denied, PowerLevel, PowerLevels, Reason, Rule};
use crate::pdu::{Pdu, auth_content::NamedLevel, event_type::CREATE};

/// The rule for `m.room.redaction` of room versions 1 and 2: who has the level may redact
/// anything, and everybody may redact what their own server has made, as its event id says.
pub(super) fn check(case: Case<'_>, levels: &PowerLevels<'_>) -> Result<(), Denied> {
    let event = case.event;
    let (has, needs) = (
        levels.of_user(event.sender()),
        levels.named(NamedLevel::Redact),
    );
    let own_server = event.event_id().server_name();
    let own =
        own_server.is_some() && event.redacts().map(|id| id.server_name()) == Some(own_server);
    if has >= PowerLevel::Level(needs) || own {
        return Ok(());
    }
    let reason = Reason::Redaction {
        sender: event.sender().to_owned(),
        has,
        needs,
        redacts: event.redacts().map_or("nothing", |id| id.as_str()).into(),
    };
    case.deny(Rule::Redaction, reason)
}

/// Whether this redaction, which is itself allowed, may be applied to its target, with the power
/// levels of the state before the redaction (room versions, version 3, "Handling redactions"): it
/// comes from the target's own server or from a user with the level for redactions. Where that
/// was a rule of authorisation, it is not asked again.
///
/// Create events are never redacted, as in Synapse: a room must keep what it was made as.
pub fn may_redact(redaction: &Pdu, target: &Pdu, levels: &PowerLevels<'_>) -> bool {
    let has_level = || {
        levels.of_user(redaction.sender()) >= PowerLevel::Level(levels.named(NamedLevel::Redact))
    };
    redaction.redacts() == Some(target.event_id())
        && redaction.room_id() == target.room_id()
        && target.event_type() != CREATE
        && (redaction.room_version().rules().redaction_is_authorised
            || redaction.origin() == target.origin()
            || has_level())
}
