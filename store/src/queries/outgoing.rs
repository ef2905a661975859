//! The queues towards other servers. What goes out is there once, for a set of servers; how far
//! each of them is along, its row of `destinations` says. The view `owed` puts the two together.

use std::sync::Arc;

use comity_core::{
    persistence::tables::{
        AUDIENCES_NAMED, AudienceId, BegunTransaction, Excess, OldestOf, OutgoingItem,
        OutgoingRecord, Queued,
    },
    time::WallTime,
};
use ruma_common::{OwnedServerName, ServerName};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use super::{
    names, start,
    statement::{execute, one_row, rows},
};
use crate::rows::{damaged, signed, unsigned};

/// The queue for a destination, oldest first.
pub(super) fn queue(
    database: &Connection,
    destination: &ServerName,
    limit: u32,
) -> rusqlite::Result<Vec<OutgoingRecord>> {
    const SELECT: &str = "
        WITH page AS (
            SELECT sequence, event, edu FROM owed
            WHERE server = (SELECT server FROM servers WHERE name = ?1)
            ORDER BY sequence LIMIT ?2)
        SELECT sequence, edu, json FROM page LEFT JOIN events USING (event) ORDER BY sequence";
    rows(database, SELECT, (destination.as_str(), limit), |row| {
        Ok(OutgoingRecord {
            sequence: unsigned(row, "sequence")?,
            item: item(row)?,
        })
    })
}

/// Its text is checked, since one that is no JSON would stop the queue for ever.
fn item(row: &Row<'_>) -> rusqlite::Result<OutgoingItem> {
    let text = |column| -> rusqlite::Result<Option<Arc<str>>> {
        let text: Option<Arc<str>> = row.get(column)?;
        let damage = |error| damaged(format_args!("{column} to send: {error}"));
        text.iter()
            .try_for_each(|text| serde_json::from_str::<&RawValue>(text).map(drop))
            .map_err(damage)?;
        Ok(text)
    };
    match (text("edu")?, text("json")?) {
        (Some(edu), _) => Ok(OutgoingItem::Edu(edu)),
        (None, Some(json)) => Ok(OutgoingItem::Pdu(json)),
        (None, None) => Err(damaged("an event to send is gone")),
    }
}

/// What of a destination's queue exceeds a bound. What was begun is left out, since it is always
/// the oldest.
pub(super) fn excess(
    database: &Connection,
    destination: &ServerName,
    depth: u32,
    queued_since: WallTime,
) -> rusqlite::Result<Excess> {
    let oldest = |is_edu| oldest_of(database, destination, is_edu, depth, queued_since);
    Ok(Excess {
        events: oldest(false)?,
        edus: oldest(true)?,
    })
}

fn oldest_of(
    database: &Connection,
    destination: &ServerName,
    is_edu: bool,
    depth: u32,
    queued_since: WallTime,
) -> rusqlite::Result<OldestOf> {
    const SELECT: &str = "
        WITH waiting AS (
            SELECT sequence, queued_at FROM owed JOIN destinations USING (server)
            WHERE server = (SELECT server FROM servers WHERE name = ?1)
                AND (event IS NULL) = ?2 AND sequence > coalesce(through, 0)),
        last AS (
            SELECT max(
                coalesce((SELECT sequence FROM waiting ORDER BY sequence DESC LIMIT 1 OFFSET ?3), 0),
                coalesce((SELECT max(sequence) FROM waiting WHERE queued_at < ?4), 0)) AS sequence)
        SELECT (SELECT sequence FROM last) AS through,
            (SELECT count(*) FROM waiting WHERE sequence <= (SELECT sequence FROM last)) AS count";
    let parameters = (destination.as_str(), is_edu, depth, signed(queued_since.0));
    let read_row = |row: &Row<'_>| {
        Ok(OldestOf {
            count: unsigned(row, "count")?,
            through: unsigned(row, "through")?,
        })
    };
    one_row(database, SELECT, parameters, read_row).map(Option::unwrap_or_default)
}

/// Notes a set of servers.
pub(super) fn note_audience(
    database: &Connection,
    id: AudienceId,
    servers: &[OwnedServerName],
) -> rusqlite::Result<()> {
    const MEMBER: &str = "INSERT INTO audience_members (audience, server) VALUES (?1, ?2)";
    const DESTINATION: &str = "INSERT OR IGNORE INTO destinations (server) VALUES (?1)";
    let id = signed(id.0);
    execute(
        database,
        "INSERT INTO audiences (audience) VALUES (?1)",
        (id,),
    )?;
    for name in servers {
        let server = names::server(database, name)?;
        execute(database, MEMBER, (id, server))?;
        execute(database, DESTINATION, (server,))?;
    }
    start::raise(database, "last_audience", id)
}

/// Queues something for a set of servers.
pub(super) fn enqueue(
    database: &Connection,
    sequence: u64,
    audience: AudienceId,
    queued_at: WallTime,
    queued: &Queued,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO outgoing (sequence, audience, queued_at, event, edu)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let sequence = signed(sequence);
    let (event, edu) = match queued {
        Queued::Event(event_id) => (Some(names::event(database, event_id)?), None),
        Queued::Edu(text) => (None, Some(text)),
    };
    let parameters = params![
        sequence,
        signed(audience.0),
        signed(queued_at.0),
        event,
        edu
    ];
    execute(database, INSERT, parameters)?;
    start::raise(database, "last_sequence", sequence)
}

/// Remembers the transaction that is about to be sent.
pub(super) fn begin(
    database: &Connection,
    destination: &ServerName,
    transaction: &BegunTransaction,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO destinations (server, transaction_id, through, begun_at)
        VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (server) DO UPDATE SET transaction_id = excluded.transaction_id,
            through = excluded.through, begun_at = excluded.begun_at,
            events_lost_before = events_lost, edus_lost_before = edus_lost";
    let server = names::server(database, destination)?;
    let BegunTransaction {
        transaction_id,
        through,
        begun_at,
    } = transaction;
    let parameters = (server, transaction_id, signed(*through), signed(begun_at.0));
    execute(database, INSERT, parameters).map(drop)
}

/// Takes out of the queue what was delivered, and forgets the transaction and all failures.
pub(super) fn delivered(
    database: &Connection,
    destination: &ServerName,
    through: u64,
) -> rusqlite::Result<()> {
    const UPDATE: &str = "
        UPDATE destinations SET acknowledged = max(acknowledged, ?2), failures = 0, retry_at = 0,
            transaction_id = NULL, through = NULL, begun_at = NULL
        WHERE server = ?1";
    let server = names::server(database, destination)?;
    execute(database, UPDATE, (server, signed(through))).map(drop)
}

/// Remembers that an attempt failed.
pub(super) fn failed(
    database: &Connection,
    destination: &ServerName,
    failures: u32,
    retry_at: WallTime,
) -> rusqlite::Result<()> {
    const INSERT: &str = "
        INSERT INTO destinations (server, failures, retry_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (server)
            DO UPDATE SET failures = excluded.failures, retry_at = excluded.retry_at";
    let server = names::server(database, destination)?;
    execute(database, INSERT, (server, failures, signed(retry_at.0))).map(drop)
}

/// Takes the oldest events and ephemeral messages off a queue unsent.
pub(super) fn give_up(
    database: &Connection,
    destination: &ServerName,
    events_through: u64,
    edus_through: u64,
) -> rusqlite::Result<()> {
    const UPDATE: &str = "
        UPDATE destinations SET events_lost = max(events_lost, ?2), edus_lost = max(edus_lost, ?3)
        WHERE server = ?1";
    let server = names::server(database, destination)?;
    let parameters = (server, signed(events_through), signed(edus_through));
    execute(database, UPDATE, parameters).map(drop)
}

/// Looks at the next items, deletes those that nobody is owed, and starts over at the end. Then
/// audiences go that nothing is queued for and that the core no longer names.
pub(super) fn forget_sent(database: &Connection, limit: u32) -> rusqlite::Result<()> {
    const LAST: &str = "
        SELECT max(sequence) FROM
            (SELECT sequence FROM outgoing WHERE sequence > ?1 ORDER BY sequence LIMIT ?2)";
    const DELETE: &str = "
        DELETE FROM outgoing WHERE sequence > ?1 AND sequence <= ?2
            AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.sequence = outgoing.sequence)";
    let done = start::counter(database, "sent_forgotten")?;
    let last: Option<i64> = one_row(database, LAST, (done, limit), |row| row.get(0))?.flatten();
    if let Some(last) = last {
        execute(database, DELETE, (done, last))?;
    } else {
        forget_audiences(database)?;
    }
    let done = last.unwrap_or(0);
    execute(
        database,
        "UPDATE counters SET value = ?1 WHERE name = 'sent_forgotten'",
        (done,),
    )
    .map(drop)
}

fn forget_audiences(database: &Connection) -> rusqlite::Result<()> {
    const UNUSED: &str = "
        SELECT audience FROM audiences
        WHERE audience < ?1 AND NOT EXISTS
            (SELECT 1 FROM outgoing WHERE outgoing.audience = audiences.audience)
        LIMIT 64";
    let named_since = start::counter(database, "last_audience")? - signed(AUDIENCES_NAMED);
    let unused: Vec<i64> = rows(database, UNUSED, (named_since,), |row| row.get(0))?;
    for audience in unused {
        for table in ["audience_members", "audiences"] {
            let delete = format!("DELETE FROM {table} WHERE audience = ?1");
            execute(database, &delete, (audience,))?;
        }
    }
    Ok(())
}
