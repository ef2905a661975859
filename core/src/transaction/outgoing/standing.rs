//! How the destinations stand, for people.

use std::collections::BTreeMap;

use ruma_common::{OwnedServerName, ServerName};

use super::{
    Outgoing,
    destination::{Destination, State},
};
use crate::{
    messaging::status::{DestinationState, DestinationStatus, Failure, LISTED_MAX},
    time::{Now, WallTime},
};

/// What is remembered of a server beyond what is owed to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Contact {
    last_success: Option<WallTime>,
    last_error: Option<Failure>,
}

impl Outgoing {
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

    /// How many destinations are in each state.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, _> = DestinationState::NAMES.map(|name| (name, 0)).into();
        for destination in self.destinations.values() {
            *counts
                .entry(told(destination.state, Now::default()).name())
                .or_default() += 1;
        }
        counts
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
            last_error: contact.last_error,
        }
    }

    pub(super) fn note_success(&mut self, name: &ServerName, now: Now) {
        let mut contact = self.contacts.get(name).cloned().unwrap_or_default();
        contact.last_success = Some(now.wall);
        self.contacts.insert(name.to_owned(), contact);
    }

    pub(super) fn note_failure(&mut self, name: &ServerName, reason: &str, now: Now) {
        let mut contact = self.contacts.get(name).cloned().unwrap_or_default();
        contact.last_error = Some(Failure {
            at: now.wall,
            reason: reason.to_owned(),
        });
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
