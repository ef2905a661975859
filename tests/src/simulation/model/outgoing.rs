//! The queues towards other servers, and how those fare.

use std::sync::Arc;

use comity_core::{
    persistence::{
        queries::StoreError,
        tables::{
            AUDIENCES_NAMED, AudienceId, BegunTransaction, Excess, OldestOf, OutgoingItem,
            OutgoingRecord, Queued,
        },
    },
    time::WallTime,
};
use ruma_common::{OwnedServerName, ServerName};

use super::{
    refused,
    tables::{Counter, DestinationRow, LARGEST, OutgoingRow, Tables, kept},
};

/// What a server is owed, oldest first.
pub(super) fn owed<'t>(
    tables: &'t Tables,
    destination: &'t ServerName,
) -> impl Iterator<Item = (u64, &'t OutgoingRow)> {
    let row = row(tables, destination);
    let from = row.acknowledged.saturating_add(1);
    let queue = tables.outgoing.range(from..=LARGEST);
    queue.filter_map(move |(sequence, item)| {
        let servers = tables.audiences.get(&item.audience)?;
        let is_for_it = servers.iter().any(|server| server == destination);
        (is_for_it && row.keeps(*sequence, &item.queued)).then_some((*sequence, item))
    })
}

impl DestinationRow {
    /// Whether it was not given up: what was begun never is.
    fn keeps(&self, sequence: u64, queued: &Queued) -> bool {
        let was_begun = sequence <= self.through();
        let lost = match (queued, was_begun) {
            (Queued::Event(_), true) => self.events_lost_before,
            (Queued::Event(_), false) => self.events_lost,
            (Queued::Edu(_), true) => self.edus_lost_before,
            (Queued::Edu(_), false) => self.edus_lost,
        };
        sequence > lost
    }

    fn through(&self) -> u64 {
        self.begun.as_ref().map_or(0, |begun| begun.through)
    }
}

/// The queue for a destination, oldest first.
pub(super) fn queue(tables: &Tables, destination: &ServerName, limit: u32) -> Vec<OutgoingRecord> {
    let queue = owed(tables, destination).take(limit as usize);
    let record = |(sequence, row): (u64, &OutgoingRow)| {
        let item = match &row.queued {
            Queued::Event(id) => OutgoingItem::Pdu(tables.event(id)?.pdu.json().into()),
            Queued::Edu(text) => OutgoingItem::Edu(text.clone()),
        };
        Some(OutgoingRecord { sequence, item })
    };
    queue.filter_map(record).collect()
}

/// What of a queue is more than `depth` of a kind, or older than `queued_since`.
pub(super) fn excess(
    tables: &Tables,
    destination: &ServerName,
    depth: u32,
    queued_since: WallTime,
) -> Excess {
    let through = row(tables, destination).through();
    let oldest_of = |is_edu: bool| {
        let waiting: Vec<_> = owed(tables, destination)
            .filter(|(sequence, row)| {
                *sequence > through && matches!(row.queued, Queued::Edu(_)) == is_edu
            })
            .collect();
        let too_many = waiting.len().saturating_sub(depth as usize);
        let too_old = waiting
            .iter()
            .rposition(|(_, row)| row.queued_at < kept(queued_since))
            .map_or(0, |last| last + 1);
        let count = too_many.max(too_old);
        let last = count.checked_sub(1).and_then(|last| waiting.get(last));
        OldestOf {
            count: count as u64,
            through: last.map_or(0, |(sequence, _)| *sequence),
        }
    };
    Excess {
        events: oldest_of(false),
        edus: oldest_of(true),
    }
}

/// Notes a set of servers.
pub(super) fn note_audience(
    tables: &mut Tables,
    id: AudienceId,
    servers: &Arc<[OwnedServerName]>,
) -> Result<(), StoreError> {
    if tables.audiences.has(&id) {
        return Err(refused("the name is taken"));
    }
    tables.audiences.set(id, servers.clone());
    for server in servers.iter() {
        let row = row(tables, server);
        tables.destinations.set(server.clone(), row);
    }
    let number = i64::try_from(id.0).unwrap_or(i64::MAX);
    tables.raise(Counter::LastAudience, number);
    Ok(())
}

/// Queues something for an audience.
pub(super) fn enqueue(
    tables: &mut Tables,
    sequence: u64,
    row: OutgoingRow,
) -> Result<(), StoreError> {
    let is_held = match &row.queued {
        Queued::Event(event_id) => {
            tables.hear(event_id);
            tables.events.has(event_id)
        }
        Queued::Edu(_) => true,
    };
    if tables.outgoing.has(&sequence) || !tables.audiences.has(&row.audience) || !is_held {
        return Err(refused("the place is taken, or nobody or nothing there"));
    }
    let queued_at = kept(row.queued_at);
    tables
        .outgoing
        .set(sequence, OutgoingRow { queued_at, ..row });
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
    let row = row(tables, destination);
    let row = DestinationRow {
        begun: Some(begun),
        events_lost_before: row.events_lost,
        edus_lost_before: row.edus_lost,
        ..row
    };
    tables.destinations.set(destination.to_owned(), row);
}

/// Moves the cursor, and forgets the transaction and all failures.
pub(super) fn delivered(tables: &mut Tables, destination: &ServerName, through: u64) {
    let Some(row) = tables.destinations.get(&destination.to_owned()).cloned() else {
        return;
    };
    let row = DestinationRow {
        acknowledged: row.acknowledged.max(through),
        failures: 0,
        retry_at: WallTime(0),
        begun: None,
        ..row
    };
    tables.destinations.set(destination.to_owned(), row);
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

/// Takes the oldest events and other messages off a queue unsent.
pub(super) fn give_up(tables: &mut Tables, destination: &ServerName, events: u64, edus: u64) {
    let Some(row) = tables.destinations.get(&destination.to_owned()).cloned() else {
        return;
    };
    let row = DestinationRow {
        events_lost: row.events_lost.max(events),
        edus_lost: row.edus_lost.max(edus),
        ..row
    };
    tables.destinations.set(destination.to_owned(), row);
}

/// Forgets what nobody is owed of the next so many items, or at their end, audiences.
pub(super) fn forget_sent(tables: &mut Tables, limit: u32) {
    let done = tables.counter(Counter::SentForgotten).unsigned_abs();
    let next = tables.outgoing.range(done + 1..=LARGEST);
    let next: Vec<_> = next
        .take(limit as usize)
        .map(|(sequence, row)| (*sequence, row.clone()))
        .collect();
    let last = next.last().map_or(0, |(sequence, _)| *sequence);
    let number = i64::try_from(last).unwrap_or(i64::MAX);
    tables.counters.set(Counter::SentForgotten, number);
    if next.is_empty() {
        forget_audiences(tables);
    }
    for (sequence, row) in next {
        if !is_owed(tables, sequence, &row) {
            tables.outgoing.remove(&sequence);
        }
    }
}

fn is_owed(tables: &Tables, sequence: u64, item: &OutgoingRow) -> bool {
    let servers = tables.audiences.get(&item.audience);
    servers
        .into_iter()
        .flat_map(|servers| servers.iter())
        .any(|server| {
            let row = row(tables, server);
            sequence > row.acknowledged && row.keeps(sequence, &item.queued)
        })
}

fn forget_audiences(tables: &mut Tables) {
    let last = tables.counter(Counter::LastAudience).unsigned_abs();
    let queued = |id| tables.outgoing.iter().any(|(_, row)| row.audience == id);
    let unused: Vec<_> = tables
        .audiences
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| id.0 + AUDIENCES_NAMED < last && !queued(*id))
        .take(64)
        .collect();
    unused.iter().for_each(|id| tables.audiences.remove(id));
}

fn row(tables: &Tables, destination: &ServerName) -> DestinationRow {
    let row = tables.destinations.get(&destination.to_owned());
    row.cloned().unwrap_or_default()
}
