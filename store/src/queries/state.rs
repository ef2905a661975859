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

/// Snapshot `?1` and all above it, nearest first, before the rest of a statement.
macro_rules! lineage {
    ($($rest:literal),*) => {
        concat!(
            "WITH RECURSIVE lineage (snapshot, distance) AS (
                VALUES (?1, 0)
                UNION ALL
                SELECT parent, distance + 1 FROM lineage JOIN snapshots USING (snapshot)
                WHERE parent IS NOT NULL
            ) ",
            $($rest),*
        )
    };
}

pub(super) use lineage;

/// The keys and events of snapshot `?1`, before a statement that selects from `whole`.
macro_rules! whole {
    ($select:literal) => {
        lineage!(
            ", whole (key, event, distance) AS (
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
///
/// What stands above it in the database is an older ancestor, with all changes since then: of the
/// heights above a snapshot each has one binary one less than the one before, so that the way up is
/// as short as the number of snapshots on it has digits, however many they are.
pub(super) fn insert_snapshot(
    database: &Connection,
    snapshot: &SnapshotRecord,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO snapshots (snapshot, parent, height) VALUES (?1, ?2, ?3)";
    let id = signed(snapshot.id.0);
    let Some(parent) = snapshot.parent.map(|parent| signed(parent.0)) else {
        execute(database, INSERT, (id, None::<i64>, 0))?;
        return insert_changes(database, id, snapshot);
    };
    let height = height_of(database, parent)?.unwrap_or_default() + 1;
    let above = height & (height - 1);
    let above = highest_below(database, parent, above)?;
    execute(database, INSERT, (id, above, height))?;
    carry_changes(database, id, parent, above)?;
    insert_changes(database, id, snapshot)
}

fn height_of(database: &Connection, snapshot: i64) -> rusqlite::Result<Option<i64>> {
    const SELECT: &str = "SELECT height FROM snapshots WHERE snapshot = ?1";
    one_row(database, SELECT, (snapshot,), |row| row.get("height"))
}

/// The nearest of a snapshot and those above it that is at most this high. One that is not there
/// stands for itself: the database refuses it.
fn highest_below(database: &Connection, snapshot: i64, height: i64) -> rusqlite::Result<i64> {
    const SELECT: &str = lineage!(
        "SELECT snapshot FROM lineage JOIN snapshots USING (snapshot)
        WHERE height <= ?2 ORDER BY distance LIMIT 1"
    );
    let found = one_row(database, SELECT, (snapshot, height), |row| row.get(0))?;
    Ok(found.unwrap_or(snapshot))
}

/// Gives a snapshot the changes from `above` to `parent`.
fn carry_changes(
    database: &Connection,
    snapshot: i64,
    parent: i64,
    above: i64,
) -> rusqlite::Result<()> {
    const INSERT: &str = lineage!(
        "INSERT INTO snapshot_changes (snapshot, key, event)
        SELECT ?2, key, event FROM (
            SELECT key, event, min(distance) FROM lineage
            CROSS JOIN snapshot_changes USING (snapshot) WHERE snapshot > ?3 GROUP BY key
        )"
    );
    match parent == above {
        true => Ok(()),
        false => execute(database, INSERT, (parent, snapshot, above)).map(drop),
    }
}

fn insert_changes(
    database: &Connection,
    snapshot: i64,
    record: &SnapshotRecord,
) -> rusqlite::Result<()> {
    const CHANGE: &str = "
        INSERT INTO snapshot_changes (snapshot, key, event) VALUES (?1, ?2, ?3)
        ON CONFLICT (snapshot, key) DO UPDATE SET event = excluded.event";
    for change in &record.changes {
        let key = names::state_key(database, &change.key)?;
        let event = change.event_id.as_ref();
        let event = event
            .map(|event_id| names::event(database, event_id))
            .transpose()?;
        execute(database, CHANGE, params![snapshot, key, event])?;
    }
    start::raise(database, "last_snapshot", snapshot)
}
