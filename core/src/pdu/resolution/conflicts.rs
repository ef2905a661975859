//! What several states agree on, and what not (room versions, version 2, "Definitions").

use ruma_common::EventId;

use super::{
    EventLookup, Observer,
    entry_map::EntryMap,
    graph::{Citations, Graph, Node, NodeSet},
};
use crate::pdu::{Pdu, StateMap, state::Entry};

/// The entries on which states differ. All others are agreed.
pub(super) struct Conflicts<'a> {
    first: &'a StateMap,
    candidates: EntryMap<'a, Candidates<'a>>,
}

/// The event of one entry in each state.
pub(super) type Candidates<'a> = Vec<Option<&'a EventId>>;

impl<'a> Conflicts<'a> {
    /// Compares states. An entry that is missing in one of them is a difference too.
    pub fn between(first: &'a StateMap, others: &'a [StateMap]) -> Self {
        let mut candidates = EntryMap::<Candidates<'a>>::default();
        for (index, other) in others.iter().enumerate() {
            for change in first.diff(other) {
                let as_in_first = || vec![change.before; others.len() + 1];
                let in_each = candidates.get_or_insert_with(change.key, as_in_first);
                if let Some(candidate) = in_each.get_mut(index + 1) {
                    *candidate = change.after;
                }
            }
        }
        Self { first, candidates }
    }

    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Entry<'a>, &[Option<&'a EventId>])> {
        let entries = self.candidates.iter();
        entries.map(|(entry, candidates)| (entry, &**candidates))
    }

    pub fn tell(&self, observer: &mut impl Observer) {
        self.iter()
            .for_each(|(entry, candidates)| observer.conflict(entry, candidates));
    }

    /// The event of an entry on which the states agree.
    pub fn agreed(&self, (event_type, state_key): Entry<'_>) -> Option<&'a EventId> {
        if self.candidates.contains((event_type, state_key)) {
            return None;
        }
        self.first.get(event_type, state_key)
    }

    /// All agreed entries' events.
    pub fn all_agreed(&self) -> impl Iterator<Item = &'a EventId> {
        let entries = self.first.iter();
        let agreed = entries.filter(|(key, _)| !self.candidates.contains(*key));
        agreed.map(|(_, event_id)| event_id)
    }

    /// Whether the event is the one of an agreed entry.
    pub fn is_agreed(&self, event: &Pdu) -> bool {
        let entry = event.state_key().map(|key| (event.event_type(), key));
        entry.and_then(|entry| self.agreed(entry)) == Some(event.event_id())
    }

    /// The conflicted events of each state.
    pub fn by_state<L: EventLookup>(&self, graph: &mut Graph<'a, L>) -> Vec<Vec<Node<'a>>> {
        let count = self.iter().next().map_or(0, |(_, in_each)| in_each.len());
        let of_state = |index: usize| {
            let ids = self.iter().filter_map(|(_, in_each)| *in_each.get(index)?);
            ids.filter_map(|event_id| graph.get(event_id)).collect()
        };
        (0..count).map(of_state).collect()
    }

    /// The state that has the agreed entries and, for all others, what was resolved.
    pub fn settled(&self, resolved: &EntryMap<'a, Option<&'a EventId>>) -> StateMap {
        let conflicted = self.iter().map(|(entry, in_each)| {
            let event_id = resolved.get(entry).flatten();
            (entry, in_each.first().copied().flatten(), event_id)
        });
        let others = resolved.iter().filter_map(|(entry, event_id)| {
            let is_new = !self.candidates.contains(entry) && self.agreed(entry).is_none();
            is_new.then_some((entry, None, *event_id))
        });
        let changes = conflicted.chain(others).filter(|(_, old, new)| old != new);
        let mut changes: Vec<_> = changes.map(|(entry, _, new)| (entry, new)).collect();
        changes.sort_unstable();
        let mut state = self.first.clone();
        state.change(changes);
        state
    }
}

/// The conflicted events and all events on a path of auth events between two of them: the
/// conflicted state subgraph (room versions, version 12, "Definitions").
pub(super) fn subgraph<'a, L: EventLookup>(
    conflicted: &NodeSet<'a>,
    graph: &mut Graph<'a, L>,
) -> NodeSet<'a> {
    let mut chain = NodeSet::default();
    graph.walk(conflicted.iter(), |node| chain.insert(node));
    let citations = Citations::among(&chain, graph);
    let mut found = NodeSet::default();
    let mut to_visit: Vec<_> = conflicted.iter().collect();
    while let Some(node) = to_visit.pop() {
        if found.insert(node) {
            to_visit.extend(citations.of(node));
        }
    }
    found
}
