//! Reliable EDUs, until the application has acknowledged them.

use comity_core::{
    persistence::{
        queries::InboxStanding,
        tables::{InboxId, InboxRecord},
    },
    time::WallTime,
};
use ruma_common::ServerName;
use rusqlite::{Connection, params};

use super::{
    names, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{damaged, parsed, signed, time, unsigned};

/// Those that wait for the application, in the order in which they came.
pub(super) fn waiting(
    database: &Connection,
    after: InboxId,
    limit: u32,
) -> rusqlite::Result<Vec<InboxRecord>> {
    const SELECT: &str = "
        SELECT entry, (SELECT name FROM servers WHERE server = inbox.server) AS origin,
            type, content, name, received_at
        FROM inbox WHERE entry > ?1 AND content IS NOT NULL ORDER BY entry LIMIT ?2";
    rows(database, SELECT, (signed(after.0), limit), |row| {
        let content: String = row.get("content")?;
        Ok(InboxRecord {
            id: InboxId(unsigned(row, "entry")?),
            origin: parsed(row, "origin")?,
            edu_type: row.get("type")?,
            content: serde_json::from_str(&content)
                .map_err(|error| damaged(format_args!("an EDU's content: {error}")))?,
            name: row.get("name")?,
            received_at: time(row, "received_at")?,
        })
    })
}

/// How much of a server's waits, and which of these names are known.
pub(super) fn standing(
    database: &Connection,
    origin: &ServerName,
    asked: &[String],
) -> rusqlite::Result<InboxStanding> {
    const WAITING: &str = "
        SELECT count(*) AS waiting, coalesce(sum(length(CAST(content AS BLOB))), 0) AS bytes
        FROM inbox
        WHERE content IS NOT NULL AND server = (SELECT server FROM servers WHERE name = ?1)";
    const KNOWN: &str = "
        SELECT 1 FROM inbox
        WHERE server = (SELECT server FROM servers WHERE name = ?1) AND name = ?2";
    let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row, "waiting")?, unsigned(row, "bytes")?));
    let (waiting, bytes) =
        one_row(database, WAITING, (origin.as_str(),), read)?.unwrap_or_default();
    let mut known = Vec::new();
    for name in asked {
        let parameters = (origin.as_str(), name);
        if one_row(database, KNOWN, parameters, |_| Ok(()))?.is_some() {
            known.push(name.clone());
        }
    }
    known.sort();
    known.dedup();
    Ok(InboxStanding {
        waiting,
        bytes,
        known,
    })
}

/// Keeps one.
pub(super) fn receive(database: &Connection, record: &InboxRecord) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO inbox (entry, server, type, content, name, received_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let id = signed(record.id.0);
    let content = serde_json::to_string(&record.content)
        .map_err(|error| damaged(format_args!("an EDU's content: {error}")))?;
    let parameters = params![
        id,
        names::server(database, &record.origin)?,
        record.edu_type,
        content,
        record.name,
        signed(record.received_at.0),
    ];
    execute(database, INSERT, parameters)?;
    start::raise(database, "last_inbox", id)
}

/// The application has dealt with this one and all before it. Of those that have a name it is kept.
pub(super) fn acknowledge(database: &Connection, through: InboxId) -> rusqlite::Result<()> {
    const DELETE: &str = "DELETE FROM inbox WHERE entry <= ?1 AND name IS NULL";
    const UPDATE: &str = "
        UPDATE inbox SET content = NULL WHERE entry <= ?1 AND content IS NOT NULL";
    execute(database, DELETE, (signed(through.0),))?;
    execute(database, UPDATE, (signed(through.0),)).map(drop)
}

/// Forgets the names of acknowledged EDUs received before a time.
pub(super) fn forget(database: &Connection, received_before: WallTime) -> rusqlite::Result<()> {
    const DELETE: &str = "DELETE FROM inbox WHERE content IS NULL AND received_at < ?1";
    execute(database, DELETE, (signed(received_before.0),)).map(drop)
}
