//! The integers that stand for names. A name gets its integer when it is first written.

use comity_core::pdu::StateKey;
use ruma_common::{EventId, RoomId, ServerName};
use rusqlite::{Connection, Params};

use super::statement::one_row;
use crate::rows::damaged;

/// The integer of an event id.
pub(super) fn event(database: &Connection, event_id: &EventId) -> rusqlite::Result<i64> {
    intern(
        database,
        "SELECT event FROM event_ids WHERE event_id = ?1",
        "INSERT INTO event_ids (event_id) VALUES (?1) RETURNING event",
        (event_id.as_str(),),
    )
}

/// The integer of a server's name.
pub(super) fn server(database: &Connection, name: &ServerName) -> rusqlite::Result<i64> {
    intern(
        database,
        "SELECT server FROM servers WHERE name = ?1",
        "INSERT INTO servers (name) VALUES (?1) RETURNING server",
        (name.as_str(),),
    )
}

/// The integer of an event type with a state key.
pub(super) fn state_key(database: &Connection, key: &StateKey) -> rusqlite::Result<i64> {
    intern(
        database,
        "SELECT key FROM state_keys WHERE event_type = ?1 AND state_key = ?2",
        "INSERT INTO state_keys (event_type, state_key) VALUES (?1, ?2) RETURNING key",
        (&*key.event_type, &*key.state_key),
    )
}

/// The integer of a room, which must have a version already.
pub(super) fn room(database: &Connection, room_id: &RoomId) -> rusqlite::Result<i64> {
    const SELECT: &str = "SELECT room FROM rooms WHERE room_id = ?1";
    one_row(database, SELECT, (room_id.as_str(),), |row| row.get(0))?
        .ok_or_else(|| damaged(format_args!("room {room_id} has no version")))
}

fn intern(
    database: &Connection,
    select: &str,
    insert: &str,
    name: impl Params + Copy,
) -> rusqlite::Result<i64> {
    match one_row(database, select, name, |row| row.get(0))? {
        Some(known) => Ok(known),
        None => database
            .prepare_cached(insert)?
            .query_row(name, |row| row.get(0)),
    }
}
