//! Our own users, and the commands they gave.

use comity_core::persistence::tables::{LocalMembership, Position};
use ruma_common::{EventId, OwnedEventId, UserId};
use rusqlite::{Connection, Row, params};

use super::{
    events, names, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{damaged, parsed, stored_event};

/// What is known of one of our users in all rooms, sorted by room id.
pub(super) fn memberships(
    database: &Connection,
    user_id: &UserId,
) -> rusqlite::Result<Vec<LocalMembership>> {
    const SELECT: &str = "
        SELECT stored_events.*, room_id, membership, memberships.position AS since, stripped_state
        FROM memberships
        JOIN rooms USING (room) JOIN stored_events USING (event)
        WHERE user_id = ?1 ORDER BY room_id";
    rows(database, SELECT, (user_id.as_str(),), |row| {
        membership(user_id, row)
    })
}

fn membership(user_id: &UserId, row: &Row<'_>) -> rusqlite::Result<LocalMembership> {
    let stripped_state: String = row.get("stripped_state")?;
    let damage = |error| damaged(format_args!("stripped state of {user_id}: {error}"));
    Ok(LocalMembership {
        user_id: user_id.to_owned(),
        room_id: parsed(row, "room_id")?,
        membership: row.get("membership")?,
        event: stored_event(row)?,
        position: Position(row.get("since")?),
        stripped_state: serde_json::from_str(&stripped_state).map_err(damage)?,
    })
}

/// Replaces what is known of one of our users in a room, and inserts the event that says so if it
/// is not there.
pub(super) fn replace_membership(
    database: &Connection,
    membership: &LocalMembership,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT OR REPLACE INTO memberships
            (user_id, room, membership, event, position, stripped_state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    events::insert(database, &membership.event)?;
    let stripped_state = serde_json::to_string(&membership.stripped_state)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let parameters = params![
        membership.user_id.as_str(),
        names::room(database, &membership.room_id)?,
        membership.membership,
        names::event(database, membership.event.pdu.event_id())?,
        membership.position.0,
        stripped_state,
    ];
    execute(database, INSERT, parameters)?;
    start::use_position(database, membership.position)
}

/// The event that an earlier command with this key produced.
pub(super) fn once(database: &Connection, key: &str) -> rusqlite::Result<Option<OwnedEventId>> {
    const SELECT: &str = "SELECT event_id FROM once JOIN event_ids USING (event) WHERE key = ?1";
    one_row(database, SELECT, (key,), |row| parsed(row, "event_id"))
}

/// Remembers which event a command with this key produced. The first one stays.
pub(super) fn remember_once(
    database: &Connection,
    key: &str,
    event_id: &EventId,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT OR IGNORE INTO once (key, event) VALUES (?1, ?2)";
    execute(database, INSERT, (key, names::event(database, event_id)?)).map(drop)
}
