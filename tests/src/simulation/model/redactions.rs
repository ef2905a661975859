//! Which events ask to redact which: a redaction may be stored before its target.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    pdu::Pdu,
    persistence::tables::{StoredEvent, Verdict},
};
use ruma_common::OwnedEventId;

use super::tables::Tables;

/// Notes what a redaction asks to redact.
pub(super) fn insert(tables: &mut Tables, number: u64, pdu: &Pdu) {
    if let Some(target) = pdu.redacts() {
        tables.hear(target);
        let row = (target.to_owned(), number);
        tables.redactions.set(row, pdu.event_id().to_owned());
    }
}

/// The accepted events that ask to redact these, those heard of first first, at most 1,000.
pub(super) fn of(tables: &Tables, targets: &[OwnedEventId]) -> Vec<Arc<StoredEvent>> {
    let mut found = BTreeMap::new();
    for target in targets {
        let asking = (target.clone(), 0)..=(target.clone(), u64::MAX);
        for ((_, number), event_id) in tables.redactions.range(asking) {
            found.insert(*number, event_id);
        }
    }
    let events = found.values().filter_map(|event_id| tables.event(event_id));
    let accepted = events.filter(|event| event.verdict == Verdict::Accepted);
    accepted.take(1_000).cloned().collect()
}
