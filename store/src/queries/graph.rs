//! The graph of events: walks along auth events and previous events, and where it ends.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::{queries::Ancestors, tables::StoredEvent},
};
use ruma_common::{OwnedEventId, RoomId};
use rusqlite::Connection;

use super::{
    events::id_list,
    names, rooms,
    statement::{execute, one_row, rows},
};
use crate::rows::{parsed, signed, stored_event, unsigned};

/// Those of these events that are held, and all that are reachable from them by auth events;
/// causes before effects.
pub(super) fn auth_chain(
    database: &Connection,
    ids: &[OwnedEventId],
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        WITH RECURSIVE chain (event) AS (
            SELECT event FROM event_ids WHERE event_id IN (SELECT value FROM json_each(?1))
            UNION
            SELECT auth FROM chain JOIN event_auth USING (event)
        )
        SELECT stored_events.* FROM chain CROSS JOIN stored_events USING (event)
        ORDER BY depth, event";
    rows(database, SELECT, (id_list(ids)?,), stored_event)
}

/// The state events from which one of these is reachable by auth events, causes before effects;
/// `None` if there are more than the limit.
///
/// The recursion is a queue, so that its limit bounds the work too.
pub(super) fn auth_descendants(
    database: &Connection,
    of: &[OwnedEventId],
    limit: u32,
) -> rusqlite::Result<Option<Vec<Arc<StoredEvent>>>> {
    const WALK: &str = "
        WITH RECURSIVE descendants (event) AS (
            SELECT citations.event FROM event_ids CROSS JOIN citations ON auth = event_ids.event
            WHERE event_id IN (SELECT value FROM json_each(?1))
            UNION
            SELECT citations.event FROM descendants
            CROSS JOIN citations ON auth = descendants.event
            LIMIT ?2 + 1
        )
        SELECT json_group_array(event), count(*) <= ?2 FROM descendants";
    const SELECT: &str = "
        SELECT * FROM stored_events WHERE event IN (SELECT value FROM json_each(?1))
        ORDER BY depth, event";
    let walked = one_row(database, WALK, (id_list(of)?, limit), |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?))
    })?;
    match walked {
        Some((events, true)) => rows(database, SELECT, (events,), stored_event).map(Some),
        _ => Ok(None),
    }
}

/// These events and their ancestors, in the graph of the room, deepest first.
///
/// The recursion is a queue ordered by depth, so that its limit bounds the work too.
pub(super) fn ancestors(
    database: &Connection,
    asked: &Ancestors,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        WITH RECURSIVE
        start (event) AS MATERIALIZED (
            SELECT event FROM event_ids WHERE event_id IN (SELECT value FROM json_each(?2))
        ),
        stop (event) AS MATERIALIZED (
            SELECT event FROM event_ids WHERE event_id IN (SELECT value FROM json_each(?4))
        ),
        walk (event, depth, room) AS (
            SELECT event, depth, room FROM start CROSS JOIN events USING (event)
            WHERE in_graph AND event NOT IN stop
                AND room = (SELECT room FROM rooms WHERE room_id = ?1)
            UNION
            SELECT events.event, events.depth, events.room FROM walk
            CROSS JOIN event_edges ON event_edges.event = walk.event
            CROSS JOIN events ON events.event = event_edges.prev
            WHERE events.in_graph AND events.room = walk.room AND events.event NOT IN stop
            ORDER BY 2 DESC, 1
            LIMIT ?5 + (SELECT count(*) FROM start)
        )
        SELECT stored_events.* FROM walk CROSS JOIN stored_events USING (event)
        WHERE ?3 OR event NOT IN start
        ORDER BY stored_events.depth DESC, event
        LIMIT ?5";
    let parameters = (
        asked.room_id.as_str(),
        id_list(&asked.from)?,
        asked.include_from,
        id_list(&asked.stop_at)?,
        asked.limit,
    );
    rows(database, SELECT, parameters, stored_event)
}

/// Where the history of a room that is held ends, the deepest first.
pub(super) fn backward_extremities(
    database: &Connection,
    room_id: &RoomId,
) -> rusqlite::Result<Vec<(OwnedEventId, u64)>> {
    const SELECT: &str = "
        SELECT event_id, depth FROM backward_extremities JOIN event_ids USING (event)
        WHERE room = (SELECT room FROM rooms WHERE room_id = ?1)
        ORDER BY depth DESC, event DESC LIMIT 20";
    rows(database, SELECT, (room_id.as_str(),), |row| {
        Ok((parsed(row, "event_id")?, unsigned(row, "depth")?))
    })
}

/// Writes the edges from an event to its auth events.
pub(super) fn insert_auth_edges(
    database: &Connection,
    event: i64,
    pdu: &Pdu,
) -> rusqlite::Result<()> {
    const EDGE: &str = "INSERT OR IGNORE INTO event_auth (event, auth) VALUES (?1, ?2)";
    const CITATION: &str = "INSERT OR IGNORE INTO citations (event, auth) VALUES (?1, ?2)";
    for auth in pdu.auth_events() {
        let auth = names::event(database, auth)?;
        execute(database, EDGE, (event, auth))?;
        if pdu.is_state() {
            execute(database, CITATION, (event, auth))?;
        }
    }
    Ok(())
}

/// Writes the edges from an event to its previous events. History now ends where such an event is
/// not held, or only as an outlier that is not shown; of a rejected one nothing more is wanted,
/// unless it was only never verified.
pub(super) fn insert_edges(
    database: &Connection,
    event: i64,
    room: i64,
    pdu: &Pdu,
) -> rusqlite::Result<()> {
    const EDGE: &str = "INSERT OR IGNORE INTO event_edges (event, prev) VALUES (?1, ?2)";
    const EXTREMITY: &str = "
        INSERT INTO backward_extremities (event, room, depth)
        SELECT ?1, ?2, ?3 WHERE NOT EXISTS (
            SELECT 1 FROM events WHERE event = ?1
                AND (in_graph OR position IS NOT NULL
                    OR verdict = 'rejected' AND reason IS NOT ?4)
        )
        ON CONFLICT (event, room) DO UPDATE SET depth = min(depth, excluded.depth)";
    for prev in pdu.prev_events() {
        let prev = names::event(database, prev)?;
        execute(database, EDGE, (event, prev))?;
        let row = (prev, room, signed(pdu.depth()), rooms::unverified());
        execute(database, EXTREMITY, row)?;
    }
    Ok(())
}

/// Notes that an event need not be asked for any more.
pub(super) fn close_backward_extremity(database: &Connection, event: i64) -> rusqlite::Result<()> {
    execute(
        database,
        "DELETE FROM backward_extremities WHERE event = ?1",
        (event,),
    )
    .map(drop)
}
