//! What several states agree on, and the events that have to be looked at where they do not (room
//! versions, version 2 and version 12, "Definitions").

use std::collections::{BTreeMap, BTreeSet};

use ruma_common::EventId;

use super::{
    EventLookup, EventSet, Events, Observer,
    auth_difference::{EventIds, auth_chain, auth_difference, auth_events},
};
use crate::pdu::{StateKey, StateMap, room_version::StateResolution};

/// The two halves of the states to resolve.
pub(super) struct Conflicts<'a> {
    /// The entries that are the same in every state.
    pub unconflicted: StateMap,
    /// The full conflicted set: the events of all other entries, the auth difference, and in
    /// version 2.1 the conflicted state subgraph.
    pub full_set: EventSet<'a>,
}

impl<'a> Conflicts<'a> {
    pub fn between<L: EventLookup>(
        first: &'a StateMap,
        others: &'a [StateMap],
        algorithm: StateResolution,
        events: &mut Events<'a, L>,
        observer: &mut impl Observer,
    ) -> Self {
        let differences = others.iter().flat_map(|other| first.diff(other));
        let keys: BTreeSet<&StateKey> = differences.map(|change| change.key).collect();
        for key in &keys {
            let states = std::iter::once(first).chain(others);
            observer.conflict(key, states.map(|state| state.get_key(key)));
        }
        let mut unconflicted = first.clone();
        keys.iter().for_each(|key| unconflicted.remove(key));

        let conflicted_in =
            |state: &'a StateMap| keys.iter().filter_map(|key| state.get_key(key)).collect();
        let by_state: Vec<EventIds<'a>> = std::iter::once(first)
            .chain(others)
            .map(conflicted_in)
            .collect();
        let conflicted: EventIds<'a> = by_state.iter().flatten().copied().collect();

        let mut ids = auth_difference(&by_state, &unconflicted, events);
        observer.auth_difference(ids.iter().copied());
        if algorithm == StateResolution::V2_1 {
            let subgraph = subgraph(&conflicted, events);
            observer.subgraph(subgraph.difference(&conflicted).copied());
            ids.extend(subgraph);
        }
        ids.extend(conflicted);
        let held = ids.into_iter().filter_map(|id| events.get(id));
        let state_events = held.filter(|event| event.is_state());
        let full_set = state_events
            .map(|event| (event.event_id(), event))
            .collect();
        Self {
            unconflicted,
            full_set,
        }
    }
}

/// The conflicted events and all events on a path of auth events between two of them.
fn subgraph<'a, L: EventLookup>(
    conflicted: &EventIds<'a>,
    events: &mut Events<'a, L>,
) -> EventIds<'a> {
    let mut cited_by: BTreeMap<&EventId, Vec<&EventId>> = BTreeMap::new();
    for event_id in auth_chain(conflicted, events, |_| false) {
        for cited in auth_events(events.get(event_id)) {
            cited_by.entry(cited).or_default().push(event_id);
        }
    }
    let mut found = EventIds::new();
    let mut to_visit: Vec<_> = conflicted.iter().copied().collect();
    while let Some(event_id) = to_visit.pop() {
        if found.insert(event_id) {
            to_visit.extend(cited_by.get(event_id).into_iter().flatten());
        }
    }
    found
}
