//! What one input makes the engine ask of the store, gathered, so that many jobs share a query.
//!
//! **Invariants.** What was written before something is asked is submitted before it. Nothing stays
//! here once the actions that an input caused have been taken.

use std::{collections::BTreeSet, mem};

use ruma_common::OwnedEventId;

use super::{Engine, departures::Departure, pending::QueryFor};
use crate::{
    action::Action,
    input::QueryId,
    persistence::queries::{Batch, Query, Read, Write},
};

/// What is not submitted yet.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// The batch under construction.
    batch: Option<(QueryId, Vec<Write>)>,
    /// Events to look for.
    events: Vec<OwnedEventId>,
}

impl Engine {
    /// Notes what is to be written, and keeps the rest until it is there. What the same input has
    /// written elsewhere becomes durable with it.
    pub(super) fn commit(&mut self, writes: Vec<Write>, held: Vec<Departure>) {
        if writes.is_empty() {
            let free = self.commits.hold(held);
            self.departures.extend(free);
            return;
        }
        if let Some((_, gathered)) = &mut self.gathering.batch {
            gathered.extend(writes);
            self.commits.hold(held);
            return;
        }
        let query = QueryId(self.next_id());
        self.pending.commit(query);
        self.commits.submit(query, held);
        self.gathering.batch = Some((query, writes));
    }

    /// Looks for these events before the next input.
    pub(super) fn read_events(&mut self, event_ids: Vec<OwnedEventId>) {
        self.gathering.events.extend(event_ids);
    }

    /// Asks the store, which has been given everything that was written before.
    pub(super) fn read(&mut self, purpose: QueryFor, read: Read) {
        self.submit_batch();
        let id = QueryId(self.next_id());
        self.pending.queries.insert(id, purpose);
        self.push(Action::Query(id, Query::Read(read)));
    }

    /// Hands everything over that was gathered.
    pub(super) fn submit_gathered(&mut self) {
        self.submit_batch();
        let event_ids = mem::take(&mut self.gathering.events);
        if !event_ids.is_empty() {
            self.read(QueryFor::Events(event_ids.clone()), Read::Events(event_ids));
        }
    }

    fn submit_batch(&mut self) {
        if let Some((query, writes)) = self.gathering.batch.take() {
            let writes = without_superseded(writes);
            self.push(Action::Query(query, Query::Commit(Batch { writes })));
        }
    }
}

/// The writes without those that only say where a room ends, if another that comes later says so.
fn without_superseded(mut writes: Vec<Write>) -> Vec<Write> {
    let mut said = BTreeSet::new();
    let mut is_needed: Vec<bool> = writes
        .iter()
        .rev()
        .map(|write| match write {
            Write::Room { record, changes } => said.insert(&*record.room_id) || !changes.is_empty(),
            _ => true,
        })
        .collect();
    drop(said);
    writes.retain(|_| is_needed.pop().unwrap_or(true));
    writes
}
