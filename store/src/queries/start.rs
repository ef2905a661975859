//! Counters, and what the core needs when it starts.

use comity_core::persistence::{
    queries::{Boot, Counts},
    tables::{AudienceId, BegunTransaction, DestinationRecord, InboxId, Position, SnapshotId},
};
use rusqlite::{Connection, Row};

use super::{
    joins, staged,
    statement::{execute, one_row, rows},
    streams,
};
use crate::rows::{damaged, parsed, time, unsigned};

/// Where the last run ended. Also counts this start, which is durable when the answer is given.
pub(super) fn boot(database: &Connection) -> rusqlite::Result<Boot> {
    let boot = Boot {
        starts: count(database, "starts")?,
        last_snapshot: SnapshotId(count(database, "last_snapshot")?),
        newest_position: newest_position(database)?,
        oldest_position: Position(counter(database, "oldest_position")?),
        last_sequence: count(database, "last_sequence")?,
        last_audience: AudienceId(count(database, "last_audience")?),
        last_inbox: InboxId(count(database, "last_inbox")?),
        destinations: destinations(database)?,
        staged: staged::all(database)?,
        joins: joins::all(database)?,
        streams: streams::offered(database)?,
    };
    execute(
        database,
        "UPDATE counters SET value = value + 1 WHERE name = 'starts'",
        (),
    )?;
    Ok(boot)
}

/// The highest position in use.
pub(super) fn newest_position(database: &Connection) -> rusqlite::Result<Position> {
    counter(database, "newest_position").map(Position)
}

/// How much is stored.
pub(super) fn counts(database: &Connection) -> rusqlite::Result<Counts> {
    const SELECT: &str = "
        SELECT (SELECT value FROM counters WHERE name = 'events') AS events,
            (SELECT count(*) FROM rooms WHERE current IS NOT NULL) AS rooms,
            (SELECT count(*) FROM owed) AS queued,
            (SELECT count(*) FROM received_transactions) AS received_transactions";
    let read_row = |row: &Row<'_>| {
        Ok(Counts {
            events: unsigned(row, "events")?,
            rooms: unsigned(row, "rooms")?,
            queued: unsigned(row, "queued")?,
            received_transactions: unsigned(row, "received_transactions")?,
        })
    };
    one_row(database, SELECT, (), read_row).map(Option::unwrap_or_default)
}

/// Notes that the core has used a number, if it is the highest so far.
pub(super) fn raise(database: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    const UPDATE: &str = "UPDATE counters SET value = ?2 WHERE name = ?1 AND value < ?2";
    execute(database, UPDATE, (name, value)).map(drop)
}

/// Notes that the core has used a position.
pub(super) fn use_position(database: &Connection, position: Position) -> rusqlite::Result<()> {
    const LOWER: &str =
        "UPDATE counters SET value = ?1 WHERE name = 'oldest_position' AND value > ?1";
    raise(database, "newest_position", position.0)?;
    execute(database, LOWER, (position.0,)).map(drop)
}

/// The value of a counter.
pub(super) fn counter(database: &Connection, name: &str) -> rusqlite::Result<i64> {
    one_row(
        database,
        "SELECT value FROM counters WHERE name = ?1",
        (name,),
        |row| row.get(0),
    )?
    .ok_or_else(|| damaged(format_args!("counter {name} is gone")))
}

fn count(database: &Connection, name: &str) -> rusqlite::Result<u64> {
    let value = counter(database, name)?;
    u64::try_from(value).map_err(|_| damaged(format_args!("counter {name} is negative")))
}

fn destinations(database: &Connection) -> rusqlite::Result<Vec<DestinationRecord>> {
    const SELECT: &str = "
        WITH newest AS (SELECT audience, max(sequence) AS sequence FROM outgoing GROUP BY audience),
            queues AS (
                SELECT server, max(sequence) AS newest
                FROM newest JOIN audience_members USING (audience) GROUP BY server)
        SELECT name, failures, retry_at, transaction_id, through, begun_at,
            coalesce(newest > acknowledged
                AND EXISTS (SELECT 1 FROM owed WHERE owed.server = destinations.server), 0) AS queued
        FROM destinations JOIN servers USING (server) LEFT JOIN queues USING (server)
        WHERE queued OR failures > 0 OR transaction_id IS NOT NULL
        ORDER BY name";
    rows(database, SELECT, (), |row| {
        Ok(DestinationRecord {
            destination: parsed(row, "name")?,
            failures: row.get("failures")?,
            retry_at: time(row, "retry_at")?,
            begun: begun(row)?,
            queued: row.get("queued")?,
        })
    })
}

fn begun(row: &Row<'_>) -> rusqlite::Result<Option<BegunTransaction>> {
    let Some(transaction_id) = row.get("transaction_id")? else {
        return Ok(None);
    };
    Ok(Some(BegunTransaction {
        transaction_id,
        through: unsigned(row, "through")?,
        begun_at: time(row, "begun_at")?,
    }))
}
