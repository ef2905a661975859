//! Streams of events: ours as another server shares it, and where we stand in those of others.

use std::sync::Arc;

use comity_core::persistence::{
    queries::EventsAfter,
    tables::{PeerStream, Position, StoredEvent, StreamCursor},
};
use ruma_common::{OwnedRoomId, ServerName};
use rusqlite::{Connection, Row};

use super::{
    names, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{damaged, parsed, signed, stored_event, time};

/// Up to how many rooms are looked at one by one; who shares more of them shares most of the
/// stream, and the stream itself is looked through.
const ROOMS_ONE_BY_ONE: i64 = 500;

/// How many events of the stream are looked at for one answer.
const WINDOW: i64 = 2_000;

/// New events, oldest first, of the rooms in which a server has, or once had, a user.
///
/// However long the stream is and however little of it the server shares, this takes at most
/// [`ROOMS_ONE_BY_ONE`] and `limit` steps, or [`WINDOW`].
pub(super) fn events_after(
    database: &Connection,
    server: &ServerName,
    position: Position,
    limit: u32,
) -> rusqlite::Result<EventsAfter> {
    const ROOMS: &str = "
        SELECT server, (
            SELECT count(*) FROM (
                SELECT 1 FROM room_servers WHERE room_servers.server = servers.server LIMIT ?2
            )
        ) AS rooms
        FROM servers WHERE name = ?1";
    let newest = start::newest_position(database)?;
    // What has no positive position is old, and no part of the stream.
    let position = position.max(Position(0));
    let parameters = (server.as_str(), ROOMS_ONE_BY_ONE + 1);
    let found = one_row(database, ROOMS, parameters, |row| {
        Ok((row.get("server")?, row.get::<_, i64>("rooms")?))
    })?;
    let (events, through) = match found {
        None => (Vec::new(), None),
        Some((server, ..=ROOMS_ONE_BY_ONE)) => by_rooms(database, server, position, limit)?,
        Some((server, _)) => by_position(database, server, position, limit)?,
    };
    Ok(EventsAfter {
        events,
        through: through.unwrap_or(newest),
        newest,
    })
}

/// Events, and the position up to which there is nothing else; `None` if that is the end.
type Part = (Vec<Arc<StoredEvent>>, Option<Position>);

/// The next events of each room, merged: the recursion is a queue ordered by position, which holds
/// one event of each room.
fn by_rooms(
    database: &Connection,
    server: i64,
    position: Position,
    limit: u32,
) -> rusqlite::Result<Part> {
    const SELECT: &str = "
        WITH RECURSIVE walk (position, room) AS (
            SELECT (
                SELECT min(position) FROM events
                WHERE events.room = room_servers.room AND position > ?2
            ), room
            FROM room_servers WHERE server = ?1
            UNION ALL
            SELECT (
                SELECT min(position) FROM events
                WHERE events.room = walk.room AND events.position > walk.position
            ), walk.room
            FROM walk WHERE walk.position IS NOT NULL
            ORDER BY 1 NULLS LAST
            LIMIT ?3
        )
        SELECT stored_events.* FROM walk CROSS JOIN stored_events USING (room, position)
        WHERE walk.position IS NOT NULL
        ORDER BY stored_events.position";
    let events = rows(database, SELECT, (server, position.0, limit), stored_event)?;
    let is_full = events.len() >= limit as usize;
    let last = events.last().and_then(|event| event.position);
    Ok((events, last.filter(|_| is_full)))
}

/// The next events of the stream, those of other rooms left out.
fn by_position(
    database: &Connection,
    server: i64,
    position: Position,
    limit: u32,
) -> rusqlite::Result<Part> {
    const WINDOW_END: &str = "
        SELECT position FROM events WHERE position > 0 AND position > ?1
        ORDER BY position LIMIT 1 OFFSET ?2";
    const SELECT: &str = "
        SELECT stored_events.* FROM (
            SELECT event, room FROM events
            WHERE position > 0 AND position > ?2 AND position <= ?3
            ORDER BY position
        ) AS near
        CROSS JOIN room_servers ON room_servers.server = ?1 AND room_servers.room = near.room
        CROSS JOIN stored_events ON stored_events.event = near.event
        ORDER BY stored_events.position LIMIT ?4";
    let end = one_row(database, WINDOW_END, (position.0, WINDOW - 1), |row| {
        row.get("position").map(Position)
    })?;
    let last = end.map_or(i64::MAX, |end| end.0);
    let parameters = (server, position.0, last, limit);
    let events = rows(database, SELECT, parameters, stored_event)?;
    let is_full = events.len() >= limit as usize;
    let last = events.last().and_then(|event| event.position);
    Ok((events, last.filter(|_| is_full).or(end)))
}

/// Rooms in which a server has, or once had, a user.
pub(super) fn rooms(
    database: &Connection,
    server: &ServerName,
    limit: u32,
) -> rusqlite::Result<Vec<OwnedRoomId>> {
    const SELECT: &str = "
        SELECT room_id FROM room_servers JOIN rooms USING (room)
        WHERE server = (SELECT server FROM servers WHERE name = ?1) ORDER BY room_id LIMIT ?2";
    rows(database, SELECT, (server.as_str(), limit), |row| {
        parsed(row, "room_id")
    })
}

/// Notes that a server has a user in a room.
pub(super) fn take_part(
    database: &Connection,
    server: &ServerName,
    room: i64,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT OR IGNORE INTO room_servers (server, room) VALUES (?1, ?2)";
    let server = names::server(database, server)?;
    execute(database, INSERT, (server, room)).map(drop)
}

/// What we know of a server's stream.
pub(super) fn peer(
    database: &Connection,
    server: &ServerName,
) -> rusqlite::Result<Option<PeerStream>> {
    const SELECT: &str = "
        SELECT name, asked_at, pull_after, end, looked_at
        FROM peer_streams JOIN servers USING (server) WHERE name = ?1";
    one_row(database, SELECT, (server.as_str(),), peer_stream)
}

/// Every server that offers its stream.
pub(super) fn offered(database: &Connection) -> rusqlite::Result<Vec<PeerStream>> {
    const SELECT: &str = "
        SELECT name, asked_at, pull_after, end, looked_at
        FROM peer_streams JOIN servers USING (server)
        WHERE pull_after IS NOT NULL ORDER BY name";
    rows(database, SELECT, (), peer_stream)
}

/// Replaces what we know of a server's stream.
pub(super) fn replace_peer(database: &Connection, stream: &PeerStream) -> rusqlite::Result<()> {
    const REPLACE: &str = "
        INSERT OR REPLACE INTO peer_streams (server, asked_at, pull_after, end, looked_at)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let cursor = stream.cursor.as_ref();
    let parameters = (
        names::server(database, &stream.server)?,
        signed(stream.asked_at.0),
        cursor.map(|cursor| &cursor.pull_after),
        cursor.map(|cursor| &cursor.end),
        cursor.map(|cursor| signed(cursor.looked_at.0)),
    );
    execute(database, REPLACE, parameters).map(drop)
}

fn peer_stream(row: &Row<'_>) -> rusqlite::Result<PeerStream> {
    let cursor = |pull_after: String| -> rusqlite::Result<StreamCursor> {
        let end: Option<String> = row.get("end")?;
        Ok(StreamCursor {
            pull_after,
            end: end.ok_or_else(|| damaged("a stream has a cursor and no end"))?,
            looked_at: time(row, "looked_at")?,
        })
    };
    let pull_after: Option<String> = row.get("pull_after")?;
    Ok(PeerStream {
        server: parsed(row, "name")?,
        asked_at: time(row, "asked_at")?,
        cursor: pull_after.map(cursor).transpose()?,
    })
}
