//! Replaying events over a state, keeping those that are allowed (room versions, version 2,
//! "Iterative auth checks").

use ruma_common::EventId;

use super::{
    EventLookup, Observer, Place, Verdict,
    conflicts::Conflicts,
    graph::{Graph, Kind, Node},
    tables::{NodeSet, Table},
};
use crate::pdu::{
    Pdu, StateMap,
    authorisation::{Denied, StateView, check_state},
    event_type::CREATE,
    state::Entry,
};

/// A partially resolved state, as far as the events to replay are concerned with it.
pub(super) struct Resolving<'a>(Table<Option<Node<'a>>>);

impl<'a> Resolving<'a> {
    /// Before the replay of these events, with the entries they need as they are in the starting
    /// state, which has none of those in conflict.
    pub fn new<L: EventLookup>(
        full_set: &NodeSet<'a>,
        start: impl Fn(Entry<'a>) -> Option<&'a EventId>,
        graph: &mut Graph<'a, L>,
    ) -> Self {
        let (mut is_met, mut state) = (Table::default(), Table::default());
        for node in full_set.iter() {
            for place in graph.reading(node).judged_by.into_iter().flatten() {
                if !is_met.set(place, true) {
                    let event_id = graph.places().name(place).and_then(&start);
                    let event = event_id.and_then(|event_id| graph.get(event_id));
                    state.set(place, event);
                }
            }
            graph.create_event(node);
        }
        Self(state)
    }

    /// The event that the state has by now for this entry.
    pub fn get<L: EventLookup>(
        &self,
        entry: Entry<'a>,
        graph: &mut Graph<'a, L>,
    ) -> Option<Node<'a>> {
        self.0.get(graph.place(entry)?)
    }

    /// Takes in, one after the other, the events that the state allows by then.
    ///
    /// A rejected event never enters. The specification would let it, if the state allows it now;
    /// this is what Synapse does.
    pub fn apply<L: EventLookup>(
        &mut self,
        in_order: &[(Node<'a>, Place)],
        graph: &mut Graph<'a, L>,
        observer: &mut impl Observer,
    ) {
        for (node, place) in in_order {
            let verdict = self.verdict(*node, graph);
            let sets = graph.reading(*node).sets;
            if let Some(sets) = sets.filter(|_| verdict == Verdict::Allowed) {
                self.0.set(sets, Some(*node));
            }
            observer.judged(node.event, *place, verdict);
        }
    }

    fn verdict<L: EventLookup>(&self, node: Node<'a>, graph: &mut Graph<'a, L>) -> Verdict {
        if node.rejected {
            return Verdict::Rejected;
        }
        let create = match node.kind {
            Kind::Create => Some(node),
            _ => graph.create_event(node),
        };
        graph.auth_events(node);
        let view = View {
            node,
            create,
            state: self,
            graph,
        };
        match view.event(CREATE, "") {
            Some(create) => check_state(node.event, create, &view).into(),
            None => Verdict::Denied(Denied::no_create_event(node.event)),
        }
    }

    /// The state that comes of it: where the states agree, what they agree on.
    pub fn settled<L: EventLookup>(
        &self,
        conflicts: &Conflicts<'a>,
        graph: &Graph<'a, L>,
    ) -> StateMap {
        let count = conflicts.entries().len();
        let resolved = self.0.iter().map(|node| node.map(Node::event_id));
        let resolved = resolved.chain(std::iter::repeat(None));
        let others = graph.places().names().zip(resolved.clone()).skip(count);
        let others = others.filter_map(|(entry, event_id)| Some((entry, event_id?)));
        conflicts.settled(resolved.take(count), others)
    }
}

/// What an event is judged by: the partially resolved state for the entries that the rules need,
/// then the event's own auth events, leaving out rejected ones.
struct View<'v, 'a, L> {
    node: Node<'a>,
    /// The create event of its room, which for a create event is itself.
    create: Option<Node<'a>>,
    state: &'v Resolving<'a>,
    graph: &'v Graph<'a, L>,
}

impl<L: EventLookup> StateView for View<'_, '_, L> {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        let entry = (event_type, state_key);
        let place = self.graph.place_needed(self.node, entry);
        let resolved = place.and_then(|place| self.state.0.get(place));
        let named = self.graph.known_auth_events(self.node).iter().copied();
        let named = named.filter(|node| place.is_some() && self.graph.reading(*node).sets == place);
        let create = self.create.filter(|_| entry == (CREATE, ""));
        let mut events = resolved.into_iter().chain(named).chain(create);
        let event = events.find(|node| !node.rejected);
        event.map(|node| &**node.event)
    }
}
