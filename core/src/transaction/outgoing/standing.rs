//! How the destinations stand, for people.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{OwnedServerName, ServerName};

use super::{
    Outgoing,
    destination::{BYTES_MAX, Destination, State},
};
use crate::{
    messaging::status::{
        DestinationState, DestinationStatus, Failure, HeldBytes, LISTED_MAX, Queues,
    },
    time::{Now, WallTime},
};

/// What is remembered of a server beyond what is owed to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Contact {
    last_success: Option<WallTime>,
    /// Shared, since every success takes a copy of the rest.
    last_error: Option<Arc<Failure>>,
}

impl Outgoing {
    /// How many bytes the items are that are queued in memory, counted once per destination.
    #[must_use]
    pub fn held(&self) -> HeldBytes {
        let destinations = self.destinations.values();
        let bytes = destinations.map(Destination::bytes_in_memory).sum();
        HeldBytes::new(bytes, self.destinations.len() * BYTES_MAX)
    }

    /// Every server that is owed something or failed last time, the longest failing first.
    #[must_use]
    pub fn status(&self, now: Now) -> Vec<DestinationStatus> {
        let mut destinations: Vec<_> = self
            .destinations
            .iter()
            .map(|(name, destination)| self.standing(name, destination, now))
            .collect();
        destinations.sort_by_key(|standing| std::cmp::Reverse(standing.failures));
        destinations.truncate(LISTED_MAX);
        destinations
    }

    /// The destinations by their state, each of [`DestinationState::NAMES`].
    #[must_use]
    pub fn queues(&self, now: Now) -> BTreeMap<&'static str, Queues> {
        let mut queues: BTreeMap<_, Queues> = DestinationState::NAMES
            .map(|name| (name, Queues::default()))
            .into();
        for destination in self.destinations.values() {
            let lag = destination
                .begun()
                .map(|begun| now.wall.since(begun.begun_at));
            let queues = queues
                .entry(told(destination.state, now).name())
                .or_default();
            queues.destinations += 1;
            queues.queued += destination.in_memory() as u64;
            queues.lag = queues.lag.max(lag.unwrap_or_default());
        }
        queues
    }

    fn standing(&self, name: &OwnedServerName, of: &Destination, now: Now) -> DestinationStatus {
        let contact = self.contacts.get(name).cloned().unwrap_or_default();
        DestinationStatus {
            server: name.clone(),
            state: told(of.state, now),
            queued: of.in_memory() as u64,
            more_on_disk: of.has_more_on_disk(),
            failures: of.failures,
            last_success: contact.last_success,
            last_error: contact.last_error.as_deref().cloned(),
        }
    }

    pub(super) fn note_success(&mut self, name: &ServerName, now: Now) {
        let mut contact = self.contacts.get(name).cloned().unwrap_or_default();
        contact.last_success = Some(now.wall);
        self.contacts.insert(name.to_owned(), contact);
    }

    pub(super) fn note_failure(&mut self, name: &ServerName, reason: &str, now: Now) {
        let mut contact = self.contacts.get(name).cloned().unwrap_or_default();
        let (at, reason) = (now.wall, reason.to_owned());
        contact.last_error = Some(Arc::new(Failure { at, reason }));
        self.contacts.insert(name.to_owned(), contact);
    }
}

fn told(state: State, now: Now) -> DestinationState {
    match state {
        State::Idle => DestinationState::Idle,
        State::CatchingUp { .. } => DestinationState::CatchingUp,
        State::InFlight { .. } => DestinationState::InFlight,
        State::BackingOff { until } => DestinationState::BackingOff {
            until: now.wall.plus(until.since(now.monotonic)),
        },
    }
}
