//! The events in the auth chain of some states but not of all (room versions, version 2,
//! "Definitions").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::EventId;

use super::{EventLookup, Events};
use crate::pdu::{Pdu, StateMap};

pub(super) type EventIds<'a> = BTreeSet<&'a EventId>;

/// The auth difference of states, given the conflicted events of each and the entries that they
/// agree on. Conflicted events are left out.
///
/// What is reached from an agreed event is in every chain. Finding all of that would mean to walk
/// the whole state, so it is done as late as possible: first from those agreed events that are in
/// the difference themselves, such as the power levels, which nearly always is enough.
pub(super) fn auth_difference<'a, L: EventLookup>(
    conflicted: &[EventIds<'a>],
    agreed: &StateMap,
    events: &mut Events<'a, L>,
) -> EventIds<'a> {
    let mut chains = Chains::of(conflicted, events);
    let held = chains.in_some.iter().filter_map(|id| events.get(id));
    let held = held
        .filter(|event| is_entry_of(agreed, event))
        .map(|event| event.event_id());
    let held = held.collect();
    chains.add_to_every(&held, events);
    if !chains.in_some.is_empty() && events.missing.is_empty() {
        let all = agreed
            .iter()
            .filter_map(|(_, id)| events.get(id))
            .map(|event| event.event_id());
        let all = all.collect();
        chains.add_to_every(&all, events);
    }
    chains.in_some
}

fn is_entry_of(state: &StateMap, event: &Pdu) -> bool {
    let state_key = event.state_key();
    state_key.and_then(|key| state.get(event.event_type(), key)) == Some(event.event_id())
}

/// The auth chains of several states, sorted by whether events are in all of them.
struct Chains<'a> {
    in_every: EventIds<'a>,
    in_some: EventIds<'a>,
}

impl<'a> Chains<'a> {
    /// The chains of each state's conflicted events; those events themselves only if in every one.
    fn of<L: EventLookup>(conflicted: &[EventIds<'a>], events: &mut Events<'a, L>) -> Self {
        let mut occurrences: BTreeMap<&'a EventId, usize> = BTreeMap::new();
        for of_state in conflicted {
            for event_id in auth_chain(of_state, &EventIds::new(), events) {
                *occurrences.entry(event_id).or_default() += 1;
            }
        }
        let mut chains = Self {
            in_every: EventIds::new(),
            in_some: EventIds::new(),
        };
        for (event_id, count) in occurrences {
            if count == conflicted.len() {
                chains.in_every.insert(event_id);
            } else if !conflicted
                .iter()
                .any(|of_state| of_state.contains(event_id))
            {
                chains.in_some.insert(event_id);
            }
        }
        chains
    }

    /// Notes that every chain has these events, and therefore all behind them.
    fn add_to_every<L: EventLookup>(&mut self, ids: &EventIds<'a>, events: &mut Events<'a, L>) {
        let reached = auth_chain(ids, &self.in_every, events);
        self.in_some.retain(|event_id| !reached.contains(event_id));
        self.in_every.extend(reached);
    }
}

/// These events and everything reached from them through auth events, without walking through the
/// events in `known`.
///
/// Counting the events themselves is how Synapse reads "auth chain of a state"; the letter of the
/// specification leaves them out. It matters in about one of 200 conflicted resolutions.
pub(super) fn auth_chain<'a, L: EventLookup>(
    from: &EventIds<'a>,
    known: &EventIds<'a>,
    events: &mut Events<'a, L>,
) -> EventIds<'a> {
    let mut chain = EventIds::new();
    let mut to_visit: Vec<_> = from.iter().copied().collect();
    while let Some(event_id) = to_visit.pop() {
        if !known.contains(event_id) && chain.insert(event_id) {
            to_visit.extend(auth_events(events.get(event_id)).filter(|id| !chain.contains(id)));
        }
    }
    chain
}

/// The ids of the event's auth events.
pub(super) fn auth_events(event: Option<&Arc<Pdu>>) -> impl Iterator<Item = &EventId> {
    event
        .into_iter()
        .flat_map(|event| event.auth_events())
        .map(|event_id| &**event_id)
}
