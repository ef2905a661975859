//! What states say of what a server may see, without reading whole states.

use comity_core::persistence::tables::{Outlook, SnapshotId};
use ruma_common::ServerName;
use rusqlite::Connection;

use super::{
    state::lineage,
    statement::{one_row, rows},
};
use crate::rows::signed;

/// What each of these snapshots says of what one server may see.
pub(super) fn outlooks(
    database: &Connection,
    snapshots: &[SnapshotId],
    server: &ServerName,
) -> rusqlite::Result<Vec<(SnapshotId, Outlook)>> {
    let outlook = |id: &SnapshotId| Ok((*id, outlook(database, *id, server)?));
    snapshots.iter().map(outlook).collect()
}

fn outlook(
    database: &Connection,
    snapshot: SnapshotId,
    server: &ServerName,
) -> rusqlite::Result<Outlook> {
    let history_visibility = history_visibility(database, snapshot)?;
    let memberships = match history_visibility.as_deref() {
        Some("joined" | "invited") => memberships(database, snapshot, server)?,
        Some(_) | None => Vec::new(),
    };
    let has = |wanted: &str| memberships.iter().flatten().any(|found| found == wanted);
    Ok(Outlook {
        history_visibility,
        joined: has("join"),
        invited: has("invite"),
    })
}

fn history_visibility(
    database: &Connection,
    snapshot: SnapshotId,
) -> rusqlite::Result<Option<String>> {
    const SELECT: &str = lineage!(
        "SELECT iif(json_type(json, '$.content.history_visibility') = 'text',
            json ->> '$.content.history_visibility', NULL)
        FROM lineage
        CROSS JOIN snapshot_changes USING (snapshot) LEFT JOIN events USING (event)
        WHERE key = (
            SELECT key FROM state_keys
            WHERE event_type = 'm.room.history_visibility' AND state_key = ''
        )
        ORDER BY distance LIMIT 1"
    );
    let found = one_row(database, SELECT, (signed(snapshot.0),), |row| row.get(0))?;
    Ok(found.flatten())
}

/// The different memberships of a server's users.
fn memberships(
    database: &Connection,
    snapshot: SnapshotId,
    server: &ServerName,
) -> rusqlite::Result<Vec<Option<String>>> {
    const SELECT: &str = lineage!(
        ", nearest (key, event, distance) AS (
            SELECT key, event, min(distance) FROM lineage
            CROSS JOIN snapshot_changes USING (snapshot)
            WHERE key IN (
                SELECT key FROM state_keys WHERE event_type = 'm.room.member'
                    AND substr(state_key, instr(state_key, ':') + 1) = ?2
            )
            GROUP BY key
        )
        SELECT DISTINCT iif(json_type(json, '$.content.membership') = 'text',
            json ->> '$.content.membership', NULL)
        FROM nearest CROSS JOIN events USING (event)"
    );
    let parameters = (signed(snapshot.0), server.as_str());
    rows(database, SELECT, parameters, |row| row.get(0))
}
