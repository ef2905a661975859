//! Snapshots of state. One is read by walking up its parents: of each key the nearest change
//! counts.

use std::sync::Arc;

use comity_core::persistence::tables::{SnapshotId, SnapshotRecord, StateEntry, StoredEvent};
use rusqlite::{Connection, params};

use super::{
    names, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{signed, state_entry, stored_event};

/// The keys and events of snapshot `?1`, before a statement that selects from `whole`.
macro_rules! whole {
    ($select:literal) => {
        concat!(
            "WITH RECURSIVE lineage (snapshot, distance) AS (
                VALUES (?1, 0)
                UNION ALL
                SELECT parent, distance + 1 FROM lineage JOIN snapshots USING (snapshot)
                WHERE parent IS NOT NULL
            ),
            whole (key, event, distance) AS (
                SELECT key, event, min(distance) FROM lineage
                CROSS JOIN snapshot_changes USING (snapshot) GROUP BY key
            ) ",
            $select
        )
    };
}

/// A whole state, sorted by type and state key.
pub(super) fn snapshot(
    database: &Connection,
    id: SnapshotId,
) -> rusqlite::Result<Option<Vec<StateEntry>>> {
    const EXISTS: &str = "SELECT 1 FROM snapshots WHERE snapshot = ?1";
    const SELECT: &str = whole!(
        "SELECT event_type, state_key, event_id FROM whole
        JOIN state_keys USING (key) JOIN event_ids USING (event)
        ORDER BY event_type, state_key"
    );
    let id = signed(id.0);
    if one_row(database, EXISTS, (id,), |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    rows(database, SELECT, (id,), state_entry).map(Some)
}

/// The events of a whole state, sorted by type and state key.
pub(super) fn snapshot_events(
    database: &Connection,
    id: SnapshotId,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = whole!(
        "SELECT stored_events.* FROM whole
        JOIN state_keys USING (key) JOIN stored_events USING (event)
        ORDER BY event_type, state_key"
    );
    rows(database, SELECT, (signed(id.0),), stored_event)
}

/// Inserts a snapshot as its difference from its parent.
pub(super) fn insert_snapshot(
    database: &Connection,
    snapshot: &SnapshotRecord,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO snapshots (snapshot, parent) VALUES (?1, ?2)";
    const CHANGE: &str = "INSERT INTO snapshot_changes (snapshot, key, event) VALUES (?1, ?2, ?3)";
    let id = signed(snapshot.id.0);
    execute(
        database,
        INSERT,
        (id, snapshot.parent.map(|parent| signed(parent.0))),
    )?;
    for change in &snapshot.changes {
        let key = names::state_key(database, &change.key)?;
        let event = change.event_id.as_ref();
        let event = event
            .map(|event_id| names::event(database, event_id))
            .transpose()?;
        execute(database, CHANGE, params![id, key, event])?;
    }
    start::raise(database, "last_snapshot", id)
}
