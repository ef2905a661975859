//! Counters, and what the core needs when it starts.

use std::collections::BTreeMap;

use comity_core::persistence::{
    queries::{Boot, Counts},
    tables::{DestinationRecord, Position, SnapshotId},
};
use ruma_common::OwnedServerName;

use super::{
    staged,
    tables::{Counter, Tables},
};

/// Where the last run ended. Also counts this start.
pub(super) fn boot(tables: &mut Tables) -> Boot {
    let boot = Boot {
        starts: number(tables, Counter::Starts),
        last_snapshot: SnapshotId(number(tables, Counter::LastSnapshot)),
        newest_position: newest_position(tables),
        oldest_position: Position(tables.counter(Counter::OldestPosition)),
        last_sequence: number(tables, Counter::LastSequence),
        destinations: destinations(tables),
        staged: staged::all(tables),
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
        queued: tables.outgoing.len() as u64,
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
    let mut queued: BTreeMap<&OwnedServerName, u64> = BTreeMap::new();
    for (destination, _) in tables.destinations.iter() {
        queued.insert(destination, 0);
    }
    for ((destination, _), _) in tables.outgoing.iter() {
        *queued.entry(destination).or_default() += 1;
    }
    let record = |(destination, queued): (&OwnedServerName, u64)| {
        let row = tables.destinations.get(destination).cloned();
        let row = row.unwrap_or_default();
        DestinationRecord {
            destination: destination.clone(),
            failures: row.failures,
            retry_at: row.retry_at,
            begun: row.begun,
            queued,
        }
    };
    queued.into_iter().map(record).collect()
}
