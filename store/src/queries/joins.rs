//! Joins that were handed in to another server and have not ended.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::tables::{JoinRecord, TakenRecord},
};
use ruma_common::{OwnedEventId, RoomId};
use rusqlite::{Connection, Row, params};

use super::{
    names,
    statement::{execute, rows},
};
use crate::rows::{damaged, parsed, signed, time, version};

/// Every join that has not ended, by room.
pub(super) fn all(database: &Connection) -> rusqlite::Result<Vec<JoinRecord>> {
    const SELECT: &str = "
        SELECT event_id, version, json, name, others, content, starts, in_room, taken_at
        FROM joins JOIN servers USING (server) ORDER BY room_id";
    rows(database, SELECT, (), |row| {
        let event_id: OwnedEventId = parsed(row, "event_id")?;
        let json: String = row.get("json")?;
        let event = Pdu::from_stored(event_id.clone(), json, version(row)?)
            .map_err(|error| damaged(format_args!("join {event_id}: {error}")))?;
        let (others, content): (String, String) = (row.get("others")?, row.get("content")?);
        let damage = |error| damaged(format_args!("join {event_id}: {error}"));
        Ok(JoinRecord {
            event: Arc::new(event),
            server: parsed(row, "name")?,
            others: serde_json::from_str(&others).map_err(damage)?,
            content: serde_json::from_str(&content).map_err(damage)?,
            starts: row.get("starts")?,
            taken: taken(row)?,
        })
    })
}

/// What is known of a join that was taken.
fn taken(row: &Row<'_>) -> rusqlite::Result<Option<TakenRecord>> {
    let Some(in_room) = row.get::<_, Option<String>>("in_room")? else {
        return Ok(None);
    };
    let servers = serde_json::from_str(&in_room);
    let servers = servers.map_err(|error| damaged(format_args!("servers of a join: {error}")))?;
    let at = time(row, "taken_at")?;
    Ok(Some(TakenRecord { servers, at }))
}

/// Notes a join, in the place of what was noted of its room.
pub(super) fn replace(database: &Connection, join: &JoinRecord) -> rusqlite::Result<()> {
    const REPLACE: &str = "
        INSERT OR REPLACE INTO joins
            (room_id, event_id, version, json, server, others, content, starts, in_room, taken_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let damage = |error| damaged(format_args!("a join cannot be written: {error}"));
    let in_room = join
        .taken
        .as_ref()
        .map(|taken| serde_json::to_string(&taken.servers));
    let in_room = in_room.transpose();
    let parameters = params![
        join.event.room_id().as_str(),
        join.event.event_id().as_str(),
        join.event.room_version().as_str(),
        join.event.json(),
        names::server(database, &join.server)?,
        serde_json::to_string(&join.others).map_err(damage)?,
        serde_json::to_string(&join.content).map_err(damage)?,
        join.starts,
        in_room.map_err(damage)?,
        join.taken.as_ref().map(|taken| signed(taken.at.0)),
    ];
    execute(database, REPLACE, parameters).map(drop)
}

/// Forgets the join of a room.
pub(super) fn end(database: &Connection, room_id: &RoomId) -> rusqlite::Result<()> {
    const DELETE: &str = "DELETE FROM joins WHERE room_id = ?1";
    execute(database, DELETE, (room_id.as_str(),)).map(drop)
}
