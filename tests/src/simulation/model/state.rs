//! Snapshots of state: of each key the change counts that is nearest on the way up the parents.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    pdu::StateKey,
    persistence::{
        queries::StoreError,
        tables::{SnapshotId, SnapshotRecord, StateEntry, StoredEvent},
    },
};
use ruma_common::OwnedEventId;

use super::{
    refused,
    tables::{Counter, Tables},
};

/// A whole state, sorted by type and state key.
pub(super) fn snapshot(tables: &Tables, id: SnapshotId) -> Option<Vec<StateEntry>> {
    tables.snapshots.has(&id).then(|| {
        let entries = whole(tables, id).into_iter();
        let entry = |(key, event_id): (&StateKey, &OwnedEventId)| StateEntry {
            key: key.clone(),
            event_id: event_id.clone(),
        };
        entries.map(entry).collect()
    })
}

/// The events of a whole state, sorted by type and state key.
pub(super) fn snapshot_events(tables: &Tables, id: SnapshotId) -> Vec<Arc<StoredEvent>> {
    let event_ids = whole(tables, id).into_values();
    let events = event_ids.filter_map(|event_id| tables.event(event_id));
    events.cloned().collect()
}

/// A whole state.
pub(super) fn whole(tables: &Tables, id: SnapshotId) -> BTreeMap<&StateKey, &OwnedEventId> {
    let mut nearest = BTreeMap::new();
    let mut next = tables.snapshots.get(&id);
    while let Some(record) = next {
        for change in record.changes.iter().rev() {
            nearest
                .entry(&change.key)
                .or_insert(change.event_id.as_ref());
        }
        next = record
            .parent
            .and_then(|parent| tables.snapshots.get(&parent));
    }
    let present = nearest.into_iter();
    present
        .filter_map(|(key, event_id)| Some((key, event_id?)))
        .collect()
}

/// Inserts a snapshot as its difference from its parent, which is there and older.
pub(super) fn insert_snapshot(
    tables: &mut Tables,
    record: &SnapshotRecord,
) -> Result<(), StoreError> {
    if tables.snapshots.has(&record.id) {
        return Err(refused("the snapshot is there already"));
    }
    let is_older = |parent: SnapshotId| parent < record.id && tables.snapshots.has(&parent);
    if record.parent.is_some_and(|parent| !is_older(parent)) {
        return Err(refused("the snapshot's parent is not older"));
    }
    for event_id in record
        .changes
        .iter()
        .filter_map(|change| change.event_id.as_ref())
    {
        tables.hear(event_id);
    }
    tables.snapshots.set(record.id, record.clone());
    let number = i64::try_from(record.id.0).unwrap_or(i64::MAX);
    tables.raise(Counter::LastSnapshot, number);
    Ok(())
}
