//! What several states agree on, and what not (room versions, version 2, "Definitions").

use ruma_common::EventId;

use super::{
    EventLookup, Observer,
    graph::{Graph, Node, Place},
    numbers::Numbers,
    tables::{Citations, NodeSet},
};
use crate::pdu::{StateMap, state::Entry};

/// The entries on which states differ. All others are agreed.
pub(super) struct Conflicts<'a> {
    first: &'a StateMap,
    states: usize,
    /// In the order of the state.
    entries: Numbers<Entry<'a>>,
    /// Of each entry, its event in each state.
    candidates: Vec<Option<&'a EventId>>,
}

impl<'a> Conflicts<'a> {
    /// Compares states. An entry that is missing in one of them is a difference too.
    pub fn between(first: &'a StateMap, others: &'a [StateMap]) -> Self {
        let mut changes = Vec::new();
        for (index, other) in others.iter().enumerate() {
            changes.extend(first.diff(other).map(|change| (index, change)));
        }
        changes.sort_by_key(|(_, change)| change.key);
        let mut conflicts = Self {
            first,
            states: others.len() + 1,
            entries: Numbers::default(),
            candidates: Vec::new(),
        };
        let mut last = None;
        for (index, change) in changes {
            if last != Some(change.key) {
                last = Some(change.key);
                conflicts.entries.add(change.key);
                let as_in_first = std::iter::repeat_n(change.before, conflicts.states);
                conflicts.candidates.extend(as_in_first);
            }
            let in_others = conflicts.candidates.iter_mut().rev().take(others.len());
            if let Some(candidate) = in_others.rev().nth(index) {
                *candidate = change.after;
            }
        }
        conflicts
    }

    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The entries in conflict, numbered in the order of [`Conflicts::iter`].
    pub fn entries(&self) -> &Numbers<Entry<'a>> {
        &self.entries
    }

    /// How many events a resolution is likely to look at: each candidate, and half as many that
    /// they name.
    pub fn likely_events(&self) -> usize {
        self.candidates.len() + self.candidates.len() / 2
    }

    /// Each entry with its event in each state.
    pub fn iter(&self) -> impl Iterator<Item = (Entry<'a>, &[Option<&'a EventId>])> {
        self.entries
            .names()
            .zip(self.candidates.chunks(self.states))
    }

    pub fn tell(&self, observer: &mut impl Observer) {
        self.iter()
            .for_each(|(entry, candidates)| observer.conflict(entry, candidates));
    }

    /// The event of an entry on which the states agree.
    pub fn agreed(&self, entry: Entry<'_>) -> Option<&'a EventId> {
        match self.entries.find(entry) {
            Some(_) => None,
            None => self.first.get(entry.0, entry.1),
        }
    }

    /// All agreed entries' events.
    pub fn all_agreed(&self) -> impl Iterator<Item = &'a EventId> {
        let entries = self.first.iter();
        let agreed = entries.filter(|(entry, _)| self.entries.find(*entry).is_none());
        agreed.map(|(_, event_id)| event_id)
    }

    /// Whether the event is the one of an agreed entry.
    pub fn is_agreed<L: EventLookup>(&self, node: Node<'a>, graph: &Graph<'a, L>) -> bool {
        let is_in_conflict = |place: &Place| place.index() < self.entries.len();
        let place = graph.reading(node).sets.filter(|p| !is_in_conflict(p));
        let entry = place.and_then(|place| graph.places().name(place));
        let agreed = entry.and_then(|(event_type, key)| self.first.get(event_type, key));
        agreed == Some(node.event_id())
    }

    /// The conflicted events of each state. Their auth events are looked up too, while the events
    /// are near.
    pub fn by_state<L: EventLookup>(&self, graph: &mut Graph<'a, L>) -> Vec<Vec<Node<'a>>> {
        let of_state = |index: usize| {
            let ids = self.candidates.iter().skip(index).step_by(self.states);
            let ids = ids.copied().flatten();
            let nodes = ids.filter_map(|event_id| {
                let node = graph.get(event_id)?;
                graph.auth_events(node);
                Some(node)
            });
            nodes.collect()
        };
        (0..self.states).map(of_state).collect()
    }

    /// The state that has the agreed entries and, for all others, what they were resolved to: the
    /// entries in conflict by their numbers, then those that no state has.
    pub fn settled(
        &self,
        resolved: impl IntoIterator<Item = Option<&'a EventId>>,
        others: impl IntoIterator<Item = (Entry<'a>, &'a EventId)>,
    ) -> StateMap {
        let conflicted = self.iter().zip(resolved);
        let conflicted = conflicted
            .filter(|((_, in_each), resolved)| in_each.first() != Some(resolved))
            .map(|((entry, _), resolved)| (entry, resolved));
        let others = others.into_iter();
        let new = others.filter(|(entry, _)| self.first.get(entry.0, entry.1).is_none());
        let new = new.map(|(entry, event_id)| (entry, Some(event_id)));
        let mut changes: Vec<_> = conflicted.chain(new).collect();
        changes.sort_by_key(|(entry, _)| *entry);
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
    graph.walk(conflicted.iter(), |_, node| chain.insert(node));
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
