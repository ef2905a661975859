//! Reliable EDUs, until the application has acknowledged them.

use comity_core::{
    persistence::{
        queries::{InboxStanding, StoreError},
        tables::{InboxId, InboxRecord},
    },
    time::WallTime,
};
use ruma_common::ServerName;

use super::{
    refused,
    tables::{Counter, InboxRow, Tables, kept},
};

/// Those that wait for the application, in the order in which they came.
pub(super) fn waiting(tables: &Tables, after: InboxId, limit: u32) -> Vec<InboxRecord> {
    let later = tables.inbox.iter().filter(|(id, _)| **id > after);
    let waiting = later.filter(|(_, row)| !row.acknowledged);
    let records = waiting.map(|(_, row)| row.record.clone());
    records.take(limit as usize).collect()
}

/// How much of a server's waits, and which of these names are known.
pub(super) fn standing(tables: &Tables, origin: &ServerName, asked: &[String]) -> InboxStanding {
    let theirs = || {
        let rows = tables.inbox.iter().map(|(_, row)| row);
        rows.filter(|row| row.record.origin == origin)
    };
    let is_known = |name: &&String| theirs().any(|row| row.record.name.as_ref() == Some(name));
    let mut known: Vec<String> = asked.iter().filter(is_known).cloned().collect();
    known.sort();
    known.dedup();
    let bytes = |row: &InboxRow| {
        let content = serde_json::to_string(&row.record.content);
        content.map_or(0, |content| content.len() as u64)
    };
    let waiting = || theirs().filter(|row| !row.acknowledged);
    InboxStanding {
        waiting: waiting().count() as u64,
        bytes: waiting().map(bytes).sum(),
        known,
    }
}

/// Keeps one.
pub(super) fn receive(tables: &mut Tables, record: &InboxRecord) -> Result<(), StoreError> {
    let stands_beside = |row: &InboxRow| {
        let same_name = row.record.name.is_some() && row.record.name == record.name;
        row.record.id != record.id && !(same_name && row.record.origin == record.origin)
    };
    if !tables.inbox.iter().all(|(_, row)| stands_beside(row)) {
        return Err(refused("an EDU has this id or name"));
    }
    let mut record = record.clone();
    record.received_at = kept(record.received_at);
    let id = record.id;
    let acknowledged = false;
    let row = InboxRow {
        record,
        acknowledged,
    };
    tables.inbox.set(id, row);
    tables.raise(Counter::LastInbox, i64::try_from(id.0).unwrap_or(i64::MAX));
    Ok(())
}

/// The application has dealt with this one and all before it. Of those that have a name it is kept.
pub(super) fn acknowledge(tables: &mut Tables, through: InboxId) {
    tables
        .inbox
        .retain(|id, row| *id > through || row.record.name.is_some());
    let done: Vec<(InboxId, InboxRow)> = tables
        .inbox
        .range(..=through)
        .map(|(id, row)| (*id, row.clone()))
        .collect();
    for (id, mut row) in done {
        row.acknowledged = true;
        tables.inbox.set(id, row);
    }
}

/// Forgets the names of acknowledged EDUs received before a time.
pub(super) fn forget(tables: &mut Tables, received_before: WallTime) {
    let before = kept(received_before);
    tables
        .inbox
        .retain(|_, row| !row.acknowledged || row.record.received_at >= before);
}
