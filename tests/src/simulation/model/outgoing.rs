//! The queues towards other servers, and how those fare.

use comity_core::{
    persistence::{
        queries::StoreError,
        tables::{BegunTransaction, OutgoingRecord},
    },
    time::WallTime,
};
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::{
    refused,
    tables::{Counter, DestinationRow, LARGEST, Tables, kept},
};

/// The queue for a destination, oldest first.
pub(super) fn queue(
    tables: &Tables,
    destination: &ServerName,
    after: u64,
    limit: u32,
) -> Vec<OutgoingRecord> {
    let from = (destination.to_owned(), after.saturating_add(1));
    let queue = tables
        .outgoing
        .range(from..=(destination.to_owned(), LARGEST));
    queue
        .take(limit as usize)
        .filter_map(|((_, sequence), event_id)| {
            let (sequence, event) = (*sequence, tables.event(event_id)?.clone());
            Some(OutgoingRecord { sequence, event })
        })
        .collect()
}

/// Queues an event that is held for several servers.
pub(super) fn enqueue(
    tables: &mut Tables,
    sequence: u64,
    event_id: &OwnedEventId,
    destinations: &[OwnedServerName],
) -> Result<(), StoreError> {
    tables.hear(event_id);
    for destination in destinations {
        let place = (destination.clone(), sequence);
        if tables.outgoing.has(&place) || !tables.events.has(event_id) {
            return Err(refused("the place is taken, or the event not held"));
        }
        tables.outgoing.set(place, event_id.clone());
    }
    let number = i64::try_from(sequence).unwrap_or(i64::MAX);
    tables.raise(Counter::LastSequence, number);
    Ok(())
}

/// Remembers the transaction that is about to be sent.
pub(super) fn begin(tables: &mut Tables, destination: &ServerName, begun: &BegunTransaction) {
    let begun = BegunTransaction {
        begun_at: kept(begun.begun_at),
        ..begun.clone()
    };
    let row = DestinationRow {
        begun: Some(begun),
        ..row(tables, destination)
    };
    tables.destinations.set(destination.to_owned(), row);
}

/// Takes out of the queue what was delivered, and forgets the transaction and all failures.
pub(super) fn delivered(tables: &mut Tables, destination: &ServerName, through: u64) {
    let queue = tables
        .outgoing
        .range((destination.to_owned(), 0)..=(destination.to_owned(), through));
    let places: Vec<_> = queue.map(|(place, _)| place.clone()).collect();
    places
        .iter()
        .for_each(|place| tables.outgoing.remove(place));
    tables.destinations.remove(&destination.to_owned());
}

/// Remembers that an attempt failed.
pub(super) fn failed(
    tables: &mut Tables,
    destination: &ServerName,
    failures: u32,
    retry_at: WallTime,
) {
    let row = DestinationRow {
        failures,
        retry_at: kept(retry_at),
        ..row(tables, destination)
    };
    tables.destinations.set(destination.to_owned(), row);
}

fn row(tables: &Tables, destination: &ServerName) -> DestinationRow {
    let row = tables.destinations.get(&destination.to_owned());
    row.cloned().unwrap_or_default()
}
