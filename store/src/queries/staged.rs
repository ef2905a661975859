//! Events that wait for other servers before they can be judged.

use std::sync::Arc;

use comity_core::{
    pdu::Pdu,
    persistence::tables::{Stage, StagedEvent},
};
use ruma_common::{EventId, OwnedEventId, ServerName};
use rusqlite::{Connection, Row, params};

use super::{
    names,
    statement::{execute, rows},
};
use crate::rows::{damaged, parsed, signed, time, version};

/// Every staged event, in the order in which they came.
pub(super) fn all(database: &Connection) -> rusqlite::Result<Vec<StagedEvent>> {
    const SELECT: &str = "
        SELECT event_id, (SELECT name FROM servers WHERE server = staged.server) AS sender,
            version, stage, received_at, json
        FROM staged ORDER BY staged";
    rows(database, SELECT, (), |row| {
        let event_id: OwnedEventId = parsed(row, "event_id")?;
        let json: String = row.get("json")?;
        let event = Pdu::from_stored(event_id.clone(), json, version(row)?)
            .map_err(|error| damaged(format_args!("staged event {event_id}: {error}")))?;
        Ok(StagedEvent {
            event: Arc::new(event),
            from: parsed(row, "sender")?,
            stage: stage(row)?,
            received_at: time(row, "received_at")?,
        })
    })
}

/// Stages an event, or replaces what is staged under its id and sender.
pub(super) fn stage_event(database: &Connection, staged: &StagedEvent) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO staged (event_id, server, version, stage, received_at, json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (event_id, server) DO UPDATE SET
            version = excluded.version, stage = excluded.stage, json = excluded.json";
    let stage = match staged.stage {
        Stage::Received => "received",
        Stage::Verified => "verified",
    };
    let parameters = params![
        staged.event.event_id().as_str(),
        names::server(database, &staged.from)?,
        staged.event.room_version().as_str(),
        stage,
        signed(staged.received_at.0),
        staged.event.json(),
    ];
    execute(database, INSERT, parameters).map(drop)
}

/// Forgets a staged event.
pub(super) fn unstage(
    database: &Connection,
    event_id: &EventId,
    from: &ServerName,
) -> rusqlite::Result<()> {
    const DELETE: &str = "
        DELETE FROM staged
        WHERE event_id = ?1 AND server = (SELECT server FROM servers WHERE name = ?2)";
    execute(database, DELETE, (event_id.as_str(), from.as_str())).map(drop)
}

fn stage(row: &Row<'_>) -> rusqlite::Result<Stage> {
    let stage: String = row.get("stage")?;
    match stage.as_str() {
        "received" => Ok(Stage::Received),
        "verified" => Ok(Stage::Verified),
        _ => Err(damaged(format_args!("{stage:?} is no stage"))),
    }
}
