//! Events that wait for other servers before they can be judged.

use comity_core::persistence::tables::StagedEvent;
use ruma_common::{EventId, ServerName};

use super::tables::{StagedRow, Tables, kept};

/// Every staged event, in the order in which they came.
pub(super) fn all(tables: &Tables) -> Vec<StagedEvent> {
    let mut rows: Vec<&StagedRow> = tables.staged.iter().map(|(_, row)| row).collect();
    rows.sort_by_key(|row| row.order);
    rows.into_iter().map(|row| row.staged.clone()).collect()
}

/// Stages an event, or replaces what is staged under its id and sender.
pub(super) fn stage_event(tables: &mut Tables, staged: &StagedEvent) {
    let key = (staged.event.event_id().to_owned(), staged.from.clone());
    let mut staged = staged.clone();
    staged.received_at = kept(staged.received_at);
    let order = match tables.staged.get(&key) {
        Some(known) => {
            staged.received_at = known.staged.received_at;
            known.order
        }
        None => last_order(tables) + 1,
    };
    tables.staged.set(key, StagedRow { order, staged });
}

/// Forgets a staged event.
pub(super) fn unstage(tables: &mut Tables, event_id: &EventId, from: &ServerName) {
    tables
        .staged
        .remove(&(event_id.to_owned(), from.to_owned()));
}

fn last_order(tables: &Tables) -> u64 {
    let orders = tables.staged.iter().map(|(_, row)| row.order);
    orders.max().unwrap_or_default()
}
