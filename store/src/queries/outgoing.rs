//! The queues towards other servers. A row of `destinations` is there only while something is to
//! be remembered: failures, or a transaction that was begun.

use comity_core::{
    persistence::tables::{BegunTransaction, OutgoingRecord},
    time::WallTime,
};
use ruma_common::{EventId, OwnedServerName, ServerName};
use rusqlite::Connection;

use super::{
    names, start,
    statement::{execute, rows},
};
use crate::rows::{signed, stored_event, unsigned};

/// The queue for a destination, oldest first.
pub(super) fn queue(
    database: &Connection,
    destination: &ServerName,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<OutgoingRecord>> {
    const SELECT: &str = "
        SELECT sequence, stored_events.* FROM outgoing JOIN stored_events USING (event)
        WHERE server = (SELECT server FROM servers WHERE name = ?1) AND sequence > ?2
        ORDER BY sequence LIMIT ?3";
    rows(
        database,
        SELECT,
        (destination.as_str(), signed(after), limit),
        |row| {
            Ok(OutgoingRecord {
                sequence: unsigned(row, "sequence")?,
                event: stored_event(row)?,
            })
        },
    )
}

/// Queues an event for several servers.
pub(super) fn enqueue(
    database: &Connection,
    sequence: u64,
    event_id: &EventId,
    destinations: &[OwnedServerName],
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO outgoing (server, sequence, event) VALUES (?1, ?2, ?3)";
    let sequence = signed(sequence);
    let event = names::event(database, event_id)?;
    for destination in destinations {
        execute(
            database,
            INSERT,
            (names::server(database, destination)?, sequence, event),
        )?;
    }
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
            through = excluded.through, begun_at = excluded.begun_at";
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
    const DEQUEUE: &str = "DELETE FROM outgoing WHERE server = ?1 AND sequence <= ?2";
    let server = names::server(database, destination)?;
    execute(database, DEQUEUE, (server, signed(through)))?;
    execute(
        database,
        "DELETE FROM destinations WHERE server = ?1",
        (server,),
    )
    .map(drop)
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
