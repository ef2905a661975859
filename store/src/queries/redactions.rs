//! Which events ask to redact which: a redaction may be stored before its target.

use std::sync::Arc;

use comity_core::{pdu::Pdu, persistence::tables::StoredEvent};
use ruma_common::OwnedEventId;
use rusqlite::Connection;

use super::{
    events::id_list,
    names,
    statement::{execute, rows},
};
use crate::rows::stored_event;

/// How many are looked at: of one event there is hardly more than one.
const MAX: u32 = 1_000;

/// Notes what a redaction asks to redact.
pub(super) fn insert(database: &Connection, event: i64, pdu: &Pdu) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT OR IGNORE INTO redactions (target, event) VALUES (?1, ?2)";
    let Some(target) = pdu.redacts() else {
        return Ok(());
    };
    let target = names::event(database, target)?;
    execute(database, INSERT, (target, event)).map(drop)
}

/// The accepted events that ask to redact these, held or not; those stored first come first.
pub(super) fn of(
    database: &Connection,
    targets: &[OwnedEventId],
) -> rusqlite::Result<Vec<Arc<StoredEvent>>> {
    const SELECT: &str = "
        SELECT stored_events.* FROM redactions CROSS JOIN stored_events USING (event)
        WHERE verdict = 'accepted' AND target IN (
            SELECT event FROM event_ids WHERE event_id IN (SELECT value FROM json_each(?1))
        )
        ORDER BY event LIMIT ?2";
    rows(database, SELECT, (id_list(targets)?, MAX), stored_event)
}
