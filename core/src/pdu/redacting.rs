//! Applying redactions to their targets, whichever of the two comes first (PDU-27).

use std::sync::Arc;

use super::{
    StateMap,
    authorisation::may_redact,
    event_type::{CREATE, POWER_LEVELS},
    view::View,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::notice::Notice,
    persistence::{
        queries::{Answer, Read, Write},
        tables::{StoredEvent, Verdict},
    },
};

/// Applies an event to what it asks to redact, if we hold that and the sender may. `before` is the
/// state before the event, if it has one.
pub fn redact_target(
    redaction: &Arc<StoredEvent>,
    before: Option<&StateMap>,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<(), Blocked> {
    let Some(target) = redaction.pdu.redacts() else {
        return Ok(());
    };
    let Some(target) = facts.event(target)? else {
        return Ok(());
    };
    if target.redacted_because.is_none() && takes_effect(redaction, before, &target, facts)? {
        let redacted = Arc::new(redacted(&target, redaction));
        outcome.writes.push(Write::Redact {
            redacted: redacted.clone(),
        });
        outcome.notices.push(Notice::Redacted(redacted));
    }
    Ok(())
}

/// An event that is about to be stored, redacted if that was asked for by one stored before.
pub fn redact_if_asked(new: StoredEvent, facts: &Facts<'_>) -> Result<StoredEvent, Blocked> {
    let unchanged = new.clone();
    let after = redact_new(vec![new], facts)?.pop();
    Ok(after.unwrap_or(unchanged))
}

/// Events that are about to be stored, each redacted if that was asked for by an event stored
/// before, or by one of them.
pub fn redact_new(new: Vec<StoredEvent>, facts: &Facts<'_>) -> Result<Vec<StoredEvent>, Blocked> {
    let ids = new.iter().map(|event| event.pdu.event_id().to_owned());
    let mut redactions = match facts.read(Read::RedactionsOf(ids.collect()))? {
        Answer::Events(stored) => stored.clone(),
        _ => Vec::new(),
    };
    let asks =
        |event: &&StoredEvent| event.verdict == Verdict::Accepted && event.pdu.redacts().is_some();
    redactions.extend(new.iter().filter(asks).cloned().map(Arc::new));
    let after = new.iter().map(|event| after_any(event, &redactions, facts));
    let after: Vec<_> = after.collect();
    after.into_iter().collect()
}

fn after_any(
    target: &StoredEvent,
    redactions: &[Arc<StoredEvent>],
    facts: &Facts<'_>,
) -> Result<StoredEvent, Blocked> {
    let event_id = target.pdu.event_id();
    let of_target = |redaction: &&Arc<StoredEvent>| {
        redaction.pdu.redacts() == Some(event_id) && redaction.pdu.event_id() != event_id
    };
    for redaction in redactions.iter().filter(of_target) {
        let before = redaction.state.map(|state| facts.state(state.before));
        let before = before.transpose()?;
        if takes_effect(redaction, before.as_ref(), target, facts)? {
            return Ok(redacted(target, redaction));
        }
    }
    Ok(target.clone())
}

/// By the power levels before the redaction; of one that is part of history only, by those that it
/// names as authorising it.
fn takes_effect(
    redaction: &StoredEvent,
    before: Option<&StateMap>,
    target: &StoredEvent,
    facts: &Facts<'_>,
) -> Result<bool, Blocked> {
    let view = match before {
        Some(state) => View::with(state, [(CREATE, ""), (POWER_LEVELS, "")], facts)?,
        None => View::of_auth_events(&redaction.pdu, facts)?,
    };
    let levels = view.power_levels();
    Ok(levels.is_some_and(|levels| may_redact(&redaction.pdu, &target.pdu, &levels)))
}

fn redacted(target: &StoredEvent, redaction: &StoredEvent) -> StoredEvent {
    StoredEvent {
        pdu: Arc::new(target.pdu.redacted()),
        redacted_because: Some(redaction.pdu.event_id().to_owned()),
        ..target.clone()
    }
}
