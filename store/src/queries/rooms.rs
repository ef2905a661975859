//! The rooms we take part in: their ends, and their current state.

use std::{collections::BTreeSet, sync::Arc};

use comity_core::{
    pdu::{RoomVersion, StateKey},
    persistence::{
        queries::LoadedRoom,
        tables::{RoomRecord, SnapshotId, StateChange, StateEntry, StoredEvent, Verdict},
    },
};
use ruma_common::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId};
use rusqlite::Connection;

use super::{
    names,
    statement::{execute, one_row, rows},
    streams,
};
use crate::rows::{
    damaged, parsed, signed, state_entry, stored_event, unsigned, verdict_columns, version,
};

/// A room with what is needed to judge its next event; `None` if we take no part in it.
pub(super) fn load(
    database: &Connection,
    room_id: &RoomId,
) -> rusqlite::Result<Option<Box<LoadedRoom>>> {
    const SELECT: &str = "SELECT * FROM rooms WHERE room_id = ?1 AND current IS NOT NULL";
    let found = one_row(database, SELECT, (room_id.as_str(),), |row| {
        let record = RoomRecord {
            room_id: room_id.to_owned(),
            version: version(row)?,
            extremities: Vec::new(),
            current: SnapshotId(unsigned(row, "current")?),
            least_depth: unsigned(row, "least_depth")?,
        };
        Ok((row.get("room")?, record))
    })?;
    let Some((room, record)) = found else {
        return Ok(None);
    };
    let record = RoomRecord {
        extremities: extremities(database, room)?,
        ..record
    };
    Ok(Some(Box::new(LoadedRoom {
        record,
        state: state_entries(database, room)?,
        joined: joined(database, room)?,
    })))
}

fn extremities(database: &Connection, room: i64) -> rusqlite::Result<Vec<OwnedEventId>> {
    const SELECT: &str = "
        SELECT event_id FROM extremities JOIN event_ids USING (event)
        WHERE room = ?1 ORDER BY extremity";
    rows(database, SELECT, (room,), |row| parsed(row, "event_id"))
}

fn state_entries(database: &Connection, room: i64) -> rusqlite::Result<Vec<StateEntry>> {
    const SELECT: &str = "
        SELECT event_type, state_key, event_id FROM current_state
        JOIN state_keys USING (key) JOIN event_ids USING (event)
        WHERE room = ?1 ORDER BY event_type, state_key";
    rows(database, SELECT, (room,), state_entry)
}

fn joined(database: &Connection, room: i64) -> rusqlite::Result<Vec<OwnedUserId>> {
    const SELECT: &str = "
        SELECT state_key FROM current_state JOIN state_keys USING (key)
        WHERE room = ?1 AND membership = 'join' ORDER BY state_key";
    rows(database, SELECT, (room,), |row| parsed(row, "state_key"))
}

/// The events of a room's current state, sorted by type and state key, without those that could not
/// be verified or turned out to be rejected: the rule is [`StoredEvent::counts`].
pub(super) fn current_state(
    database: &Connection,
    room_id: &RoomId,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        SELECT stored_events.* FROM current_state
        JOIN state_keys USING (key) JOIN stored_events USING (event)
        WHERE current_state.room = (SELECT room FROM rooms WHERE room_id = ?1)
            AND (verdict <> 'rejected' OR reason = ?2
                AND json ->> '$.type' = 'm.room.member'
                AND json ->> '$.sender' = json ->> '$.state_key')
        ORDER BY event_type, state_key";
    rows(
        database,
        SELECT,
        (room_id.as_str(), unverified()),
        stored_event,
    )
}

/// One event of a room's current state.
pub(super) fn current_state_event(
    database: &Connection,
    room_id: &RoomId,
    key: &StateKey,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        SELECT stored_events.* FROM current_state JOIN stored_events USING (event)
        WHERE current_state.room = (SELECT room FROM rooms WHERE room_id = ?1)
            AND key = (SELECT key FROM state_keys WHERE event_type = ?2 AND state_key = ?3)
            AND (verdict <> 'rejected' OR reason = ?4
                AND json ->> '$.type' = 'm.room.member'
                AND json ->> '$.sender' = json ->> '$.state_key')";
    let (event_type, state_key) = (&*key.event_type, &*key.state_key);
    let parameters = (room_id.as_str(), event_type, state_key, unverified());
    rows(database, SELECT, parameters, stored_event)
}

/// Remembers a room's version. Once we take part in a room it does not change any more.
pub(super) fn remember_version(
    database: &Connection,
    room_id: &RoomId,
    version: RoomVersion,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO rooms (room_id, version) VALUES (?1, ?2)
        ON CONFLICT (room_id) DO UPDATE SET version = excluded.version WHERE current IS NULL";
    execute(database, INSERT, (room_id.as_str(), version.as_str())).map(drop)
}

/// Replaces what is known of a room's ends, and applies the changes to its current state.
pub(super) fn replace(
    database: &Connection,
    record: &RoomRecord,
    changes: &[StateChange],
) -> rusqlite::Result<()> {
    const UPDATE: &str = "UPDATE rooms SET current = ?2, least_depth = ?3 WHERE room = ?1";
    remember_version(database, &record.room_id, record.version)?;
    let room = names::room(database, &record.room_id)?;
    let (current, least_depth) = (signed(record.current.0), signed(record.least_depth));
    execute(database, UPDATE, (room, current, least_depth))?;
    replace_extremities(database, room, &record.extremities)?;
    let mut joined = BTreeSet::new();
    for StateChange { key, event_id } in changes {
        let entry = names::state_key(database, key)?;
        let Some(event_id) = event_id else {
            remove_entry(database, room, entry)?;
            continue;
        };
        let membership = set_entry(database, room, entry, event_id)?;
        if membership.as_deref() == Some("join") {
            joined.extend(<&UserId>::try_from(&*key.state_key).map(UserId::server_name));
        }
    }
    joined
        .into_iter()
        .try_for_each(|server| streams::take_part(database, server, room))
}

fn replace_extremities(
    database: &Connection,
    room: i64,
    extremities: &[OwnedEventId],
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT OR IGNORE INTO extremities (room, event) VALUES (?1, ?2)";
    execute(database, "DELETE FROM extremities WHERE room = ?1", (room,))?;
    for extremity in extremities {
        execute(database, INSERT, (room, names::event(database, extremity)?))?;
    }
    Ok(())
}

/// Gives the membership of the event, if it is one of membership and counts.
fn set_entry(
    database: &Connection,
    room: i64,
    key: i64,
    event_id: &EventId,
) -> rusqlite::Result<Option<String>> {
    const INSERT: &str = "
        INSERT INTO current_state (room, key, event, membership)
        SELECT ?1, ?2, event, (
            SELECT json ->> '$.content.membership' FROM state_keys
            WHERE key = ?2 AND event_type = 'm.room.member'
                AND (verdict <> 'rejected' OR reason = ?4
                    AND json ->> '$.type' = 'm.room.member'
                    AND json ->> '$.sender' = json ->> '$.state_key')
        )
        FROM events WHERE event = ?3
        ON CONFLICT (room, key)
            DO UPDATE SET event = excluded.event, membership = excluded.membership
        RETURNING membership";
    let parameters = (room, key, names::event(database, event_id)?, unverified());
    let not_stored = || {
        damaged(format_args!(
            "event {event_id} is current state but not stored"
        ))
    };
    one_row(database, INSERT, parameters, |row| row.get("membership"))?.ok_or_else(not_stored)
}

/// The reason why an event was not judged that could not be verified.
pub(super) fn unverified() -> Option<String> {
    let unverified = Verdict::unverified();
    verdict_columns(&unverified).1.map(ToOwned::to_owned)
}

fn remove_entry(database: &Connection, room: i64, key: i64) -> rusqlite::Result<()> {
    const DELETE: &str = "DELETE FROM current_state WHERE room = ?1 AND key = ?2";
    execute(database, DELETE, (room, key)).map(drop)
}
