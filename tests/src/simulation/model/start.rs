//! Counters, and what the core needs when it starts.

use comity_core::persistence::{
    queries::{Boot, Counts},
    tables::{AudienceId, DestinationRecord, InboxId, Position, SnapshotId},
};
use ruma_common::OwnedServerName;

use super::{
    outgoing, staged, streams,
    tables::{Counter, DestinationRow, Tables},
};

/// Where the last run ended. Also counts this start.
pub(super) fn boot(tables: &mut Tables) -> Boot {
    let boot = Boot {
        starts: number(tables, Counter::Starts),
        last_snapshot: SnapshotId(number(tables, Counter::LastSnapshot)),
        newest_position: newest_position(tables),
        oldest_position: Position(tables.counter(Counter::OldestPosition)),
        last_sequence: number(tables, Counter::LastSequence),
        last_audience: AudienceId(number(tables, Counter::LastAudience)),
        last_inbox: InboxId(number(tables, Counter::LastInbox)),
        destinations: destinations(tables),
        staged: staged::all(tables),
        joins: tables.joins.iter().map(|(_, join)| join.clone()).collect(),
        streams: streams::offered(tables),
    };
    let starts = tables.counter(Counter::Starts);
    tables.raise(Counter::Starts, starts + 1);
    boot
}

fn number(tables: &Tables, counter: Counter) -> u64 {
    tables.counter(counter).unsigned_abs()
}

/// The highest position in use.
pub(super) fn newest_position(tables: &Tables) -> Position {
    Position(tables.counter(Counter::NewestPosition))
}

/// How much is stored.
pub(super) fn counts(tables: &Tables) -> Counts {
    let rooms = tables
        .rooms
        .iter()
        .filter(|(_, room)| room.current.is_some());
    Counts {
        events: tables.events.len() as u64,
        rooms: rooms.count() as u64,
        queued: tables
            .destinations
            .iter()
            .map(|(destination, _)| outgoing::owed(tables, destination).count() as u64)
            .sum(),
        received_transactions: tables.received.len() as u64,
    }
}

/// Notes that the core has used a position.
pub(super) fn use_position(tables: &mut Tables, position: Position) {
    tables.raise(Counter::NewestPosition, position.0);
    if position.0 < tables.counter(Counter::OldestPosition) {
        tables.counters.set(Counter::OldestPosition, position.0);
    }
}

/// Every server with something queued or on record, sorted by name.
fn destinations(tables: &Tables) -> Vec<DestinationRecord> {
    let record = |(destination, row): (&OwnedServerName, &DestinationRow)| DestinationRecord {
        destination: destination.clone(),
        failures: row.failures,
        retry_at: row.retry_at,
        begun: row.begun.clone(),
        queued: outgoing::owed(tables, destination).next().is_some(),
    };
    let all = tables.destinations.iter().map(record);
    all.filter(|it| it.queued || it.failures > 0 || it.begun.is_some())
        .collect()
}
