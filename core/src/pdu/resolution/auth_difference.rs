//! The events in the auth chain of some states but not of all (room versions, version 2,
//! "Definitions").
//!
//! The chain of a state holds the state's own events. That is how Synapse reads "auth chain"; the
//! letter of the specification leaves them out. It matters in about one of 200 conflicted
//! resolutions.

use super::{
    EventLookup,
    conflicts::Conflicts,
    graph::{Graph, Node},
    tables::{NodeSet, Table},
};
use crate::pdu::event_type::POWER_LEVELS;

/// The auth difference without the conflicted events, given those of each state.
///
/// An agreed entry, and whatever is reached from it, is in every chain; so is what conflicted events
/// of every state name. So the walk from the conflicted events stops at these, which in most forks
/// is at once. What it meets on the way in some chains only is in question: an agreed entry that the
/// walk did not meet may lead there too. The likeliest are tried first: those that were met, and the
/// power levels, behind which old power levels are found. For what is then left, it is asked who cites it, and who
/// cites those, until an agreed entry is found or all are known. Only a caller that cannot tell
/// who cites an event makes us walk from all agreed entries, which is the whole state.
pub(super) fn auth_difference<'a, L: EventLookup>(
    conflicts: &Conflicts<'a>,
    by_state: &[Vec<Node<'a>>],
    graph: &mut Graph<'a, L>,
) -> NodeSet<'a> {
    let mut chains = Chains::up_to_common(conflicts, by_state, graph);
    if chains.is_in_question(graph) {
        let levels = conflicts.agreed((POWER_LEVELS, ""));
        let levels = levels.and_then(|event_id| graph.get(event_id));
        let ends = std::mem::take(&mut chains.ends);
        chains.add_common(ends.iter().chain(levels), graph);
    }
    if chains.is_in_question(graph) && chains.ask_who_cites(conflicts, graph).is_none() {
        let agreed = conflicts.all_agreed().filter_map(|id| graph.get(id));
        let agreed: Vec<_> = agreed.collect();
        chains.add_common(agreed, graph);
    }
    chains.in_question
}

/// The auth chains of several states, sorted by whether events are in all of them.
struct Chains<'a> {
    /// Events that are in every chain.
    common: NodeSet<'a>,
    /// Not in every chain, as far as is known.
    in_question: NodeSet<'a>,
    /// Events in every chain at which the walk stopped.
    ends: NodeSet<'a>,
}

impl<'a> Chains<'a> {
    /// The chains of each state's conflicted events, without what is easily seen to be in all of
    /// them, and what is behind that.
    fn up_to_common<L: EventLookup>(
        conflicts: &Conflicts<'a>,
        by_state: &[Vec<Node<'a>>],
        graph: &mut Graph<'a, L>,
    ) -> Self {
        let conflicted: NodeSet<'a> = by_state.iter().flatten().copied().collect();
        let (mut met, mut ends) = (NodeSet::default(), named_by_all(by_state, graph));
        let mut in_chains = Table::<usize>::default();
        for of_state in by_state {
            let mut chain = Table::<bool>::default();
            graph.walk(of_state.iter().copied(), |graph, node| {
                if chain.set(node, true) || ends.contains(node) {
                    return false;
                }
                let is_known = conflicted.contains(node) || met.contains(node);
                if !is_known && conflicts.is_agreed(node, graph) {
                    ends.insert(node);
                    return false;
                }
                met.insert(node);
                in_chains.set(node, in_chains.get(node) + 1);
                true
            });
        }
        let is_common = |node: &Node<'a>| in_chains.get(*node) == by_state.len();
        let others = met.iter().filter(|node| !is_common(node));
        Self {
            common: met.iter().filter(is_common).collect(),
            in_question: others.filter(|node| !conflicted.contains(*node)).collect(),
            ends,
        }
    }

    /// Whether it is worth to look further. Not while events are missing: then nearly everything
    /// seems to be in some chains only.
    fn is_in_question<L: EventLookup>(&self, graph: &Graph<'a, L>) -> bool {
        !self.in_question.is_empty() && graph.is_complete()
    }

    /// Notes that every chain has these events, and therefore all behind them.
    fn add_common<L: EventLookup>(
        &mut self,
        from: impl IntoIterator<Item = Node<'a>>,
        graph: &mut Graph<'a, L>,
    ) {
        graph.walk(from, |_, node| self.common.insert(node));
        self.in_question.retain(|node| !self.common.contains(node));
    }

    /// Walks from the events in question to those that cite them, up to events that every chain
    /// has. `None`: the caller cannot tell who cites an event.
    fn ask_who_cites<L: EventLookup>(
        &mut self,
        conflicts: &Conflicts<'a>,
        graph: &mut Graph<'a, L>,
    ) -> Option<()> {
        let mut met: NodeSet<'a> = self.in_question.iter().collect();
        let mut to_visit: Vec<_> = self.in_question.iter().collect();
        let mut common = Vec::new();
        while let Some(node) = to_visit.pop() {
            for event_id in graph.lookup.cited_by(node.event_id())? {
                let Some(citing) = graph.get(event_id) else {
                    continue;
                };
                if self.common.contains(citing) || conflicts.is_agreed(citing, graph) {
                    common.push(node);
                    break;
                }
                if met.insert(citing) {
                    to_visit.push(citing);
                }
            }
        }
        graph.walk(common, |_, node| {
            met.contains(node) && self.common.insert(node)
        });
        self.in_question.retain(|node| !self.common.contains(node));
        Some(())
    }
}

/// The events that conflicted events of every state name among their auth events.
fn named_by_all<'a, L: EventLookup>(
    by_state: &[Vec<Node<'a>>],
    graph: &Graph<'a, L>,
) -> NodeSet<'a> {
    let mut by_all = NodeSet::default();
    // By how many states each is named, of those looked at one after the other.
    let mut named_by = Table::<usize>::default();
    for (before, of_state) in by_state.iter().enumerate() {
        let named = of_state
            .iter()
            .flat_map(|node| graph.known_auth_events(*node));
        for node in named.copied() {
            if named_by.get(node) == before {
                named_by.set(node, before + 1);
                if before + 1 == by_state.len() {
                    by_all.insert(node);
                }
            }
        }
    }
    by_all
}
