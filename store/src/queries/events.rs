//! Events: written once, promoted at most once, shown in the order of their positions.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    persistence::{
        queries::Direction,
        tables::{Position, StoredEvent, Verdict},
    },
    time::WallTime,
};
use ruma_common::{OwnedEventId, RoomId};
use rusqlite::{Connection, Row, params};

use super::{
    graph, names, redactions, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{damaged, parsed, signed, stored_event, verdict_columns};

/// The list as the parameter of a statement that reads it with `json_each`.
pub(super) fn id_list(ids: &[OwnedEventId]) -> rusqlite::Result<String> {
    serde_json::to_string(ids)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Those of these events that are held, those stored first before the others.
///
/// One after the other: they are few, and mostly it is asked whether an event is there that is not.
pub(super) fn stored(
    database: &Connection,
    ids: &[OwnedEventId],
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        SELECT * FROM stored_events
        WHERE event = (SELECT event FROM event_ids WHERE event_id = ?1)";
    let mut found = BTreeMap::new();
    for id in ids {
        let row = |row: &Row<'_>| Ok((row.get::<_, i64>("event")?, stored_event(row)?));
        found.extend(one_row(database, SELECT, (id.as_str(),), row)?);
    }
    Ok(found.into_values().collect())
}

/// Shown events of a room between two positions, neither included.
pub(super) fn timeline(
    database: &Connection,
    room_id: &RoomId,
    from: Option<Position>,
    to: Option<Position>,
    direction: Direction,
    limit: u32,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const BACKWARD: &str = "
        SELECT * FROM stored_events
        WHERE room = (SELECT room FROM rooms WHERE room_id = ?1) AND position < ?2 AND position > ?3
        ORDER BY position DESC LIMIT ?4";
    const FORWARD: &str = "
        SELECT * FROM stored_events
        WHERE room = (SELECT room FROM rooms WHERE room_id = ?1) AND position > ?2 AND position < ?3
        ORDER BY position LIMIT ?4";
    let (select, first, last) = match direction {
        Direction::Backward => (BACKWARD, i64::MAX, i64::MIN),
        Direction::Forward => (FORWARD, i64::MIN, i64::MAX),
    };
    let from = from.map_or(first, |position| position.0);
    let to = to.map_or(last, |position| position.0);
    rows(
        database,
        select,
        (room_id.as_str(), from, to, limit),
        stored_event,
    )
}

/// Shown events of a room from a time on, in the direction asked, the nearest first.
pub(super) fn by_time(
    database: &Connection,
    room_id: &RoomId,
    time: WallTime,
    direction: Direction,
    limit: u32,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    macro_rules! select {
        ($compared:literal, $order:literal) => {
            concat!(
                "WITH near (event, time, place) AS (
                    SELECT event, json ->> '$.origin_server_ts', position FROM events
                    WHERE room = (SELECT room FROM rooms WHERE room_id = ?1)
                        AND position IS NOT NULL AND json ->> '$.origin_server_ts' ",
                $compared,
                " ?2 ORDER BY 2 ",
                $order,
                ", 3 ",
                $order,
                " LIMIT ?3
                )
                SELECT stored_events.* FROM near CROSS JOIN stored_events USING (event)
                ORDER BY time ",
                $order,
                ", place ",
                $order
            )
        };
    }
    let select = match direction {
        Direction::Forward => select!(">=", "ASC"),
        Direction::Backward => select!("<=", "DESC"),
    };
    let parameters = (room_id.as_str(), signed(time.0), limit);
    rows(database, select, parameters, stored_event)
}

/// How far back from the newest event [`set_aside`] looks, since no index leads to what it finds.
const SET_ASIDE_WINDOW: i64 = 10_000;

/// The events of a room that were soft-failed or rejected, those stored last first.
pub(super) fn set_aside(
    database: &Connection,
    room_id: &RoomId,
    limit: u32,
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        WITH found (event) AS (
            SELECT event FROM events
            WHERE event > (SELECT max(event) FROM events) - ?3 AND verdict <> 'accepted'
                AND room = (SELECT room FROM rooms WHERE room_id = ?1)
            ORDER BY event DESC LIMIT ?2
        )
        SELECT stored_events.* FROM found CROSS JOIN stored_events USING (event)
        ORDER BY event DESC";
    rows(
        database,
        SELECT,
        (room_id.as_str(), limit, SET_ASIDE_WINDOW),
        stored_event,
    )
}

/// The ids of stored events that begin like this.
pub(super) fn ids_by_prefix(
    database: &Connection,
    prefix: &str,
    limit: u32,
) -> rusqlite::Result<Vec<OwnedEventId>> {
    const SELECT: &str = "
        SELECT event_id FROM event_ids CROSS JOIN events USING (event)
        WHERE event_id >= ?1 AND event_id < ?1 || char(0x10ffff)
        ORDER BY event_id LIMIT ?2";
    rows(database, SELECT, (prefix, limit), |row| {
        parsed(row, "event_id")
    })
}

/// Inserts an event with its edges, or replaces the outlier that is there by a row that knows more:
/// the rule is [`StoredEvent::gives_way_to`].
pub(super) fn insert(database: &Connection, stored: &StoredEvent) -> rusqlite::Result<()> {
    let event = names::event(database, stored.pdu.event_id())?;
    let room = names::room(database, stored.pdu.room_id())?;
    if insert_row(database, event, room, stored)? == 0 {
        return Ok(());
    }
    if let Some(position) = stored.position {
        start::use_position(database, position)?;
    }
    graph::insert_auth_edges(database, event, &stored.pdu)?;
    redactions::insert(database, event, &stored.pdu)?;
    let is_history = !stored.is_outlier() || stored.position.is_some();
    if stored.verdict.is_unverified() {
        return Ok(());
    }
    if stored.verdict.is_rejected() {
        graph::close_backward_extremity(database, event)?;
    } else if is_history {
        graph::close_backward_extremity(database, event)?;
        graph::insert_edges(database, event, room, &stored.pdu)?;
    }
    Ok(())
}

fn insert_row(
    database: &Connection,
    event: i64,
    room: i64,
    stored: &StoredEvent,
) -> rusqlite::Result<usize> {
    const INSERT: &str = "
        INSERT INTO events (event, room, depth, verdict, reason, state_before, state_after,
            position, redacted_because, json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (event) DO UPDATE SET
            verdict = excluded.verdict,
            reason = excluded.reason,
            state_before = excluded.state_before,
            state_after = excluded.state_after,
            position = excluded.position,
            redacted_because = coalesce(redacted_because, excluded.redacted_because),
            json = iif(redacted_because IS NULL, excluded.json, json)
        WHERE state_before IS NULL AND (excluded.state_before IS NOT NULL
            OR position IS NULL AND excluded.position IS NOT NULL
            OR reason IS ?11 AND excluded.reason IS NOT ?11)";
    let (verdict, reason) = verdict_columns(&stored.verdict);
    let because = stored.redacted_because.as_ref();
    let because = because
        .map(|event_id| names::event(database, event_id))
        .transpose()?;
    execute(
        database,
        INSERT,
        params![
            event,
            room,
            signed(stored.pdu.depth()),
            verdict,
            reason,
            stored.state.map(|state| signed(state.before.0)),
            stored.state.map(|state| signed(state.after.0)),
            stored.position.map(|position| position.0),
            because,
            stored.pdu.json(),
            verdict_columns(&Verdict::unverified()).1,
        ],
    )
}

/// Replaces an event that is held by its redacted form.
pub(super) fn redact(database: &Connection, redacted: &StoredEvent) -> rusqlite::Result<()> {
    const UPDATE: &str = "UPDATE events SET json = ?2, redacted_because = ?3 WHERE event = ?1";
    let event_id = redacted.pdu.event_id();
    let because = redacted.redacted_because.as_ref();
    let because = because
        .map(|event_id| names::event(database, event_id))
        .transpose()?;
    let event = names::event(database, event_id)?;
    match execute(database, UPDATE, (event, redacted.pdu.json(), because))? {
        0 => Err(damaged(format_args!(
            "event {event_id} is redacted but not stored"
        ))),
        _ => Ok(()),
    }
}
