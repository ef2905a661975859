//! Replaying events over a state, keeping those that are allowed (room versions, version 2,
//! "Iterative auth checks").

use ruma_common::EventId;

use super::{
    EventLookup, Observer, Place, Verdict,
    conflicts::Conflicts,
    graph::{Graph, Kind, Node, NodeSet, Table},
    numbers::Numbers,
};
use crate::pdu::{
    Pdu, StateMap,
    auth_events::needed_state,
    authorisation::{Denied, StateView, check_state},
    event_type::CREATE,
    state::Entry,
};

/// A partially resolved state, as far as the events to replay are concerned with it.
pub(super) struct Resolving<'a> {
    /// Where in `state` each entry stands that some event needs or sets: first those in conflict,
    /// in their order.
    places: Numbers<Entry<'a>>,
    state: Vec<Option<Node<'a>>>,
    needs: Table<Needs>,
}

/// The places of the entries that an event is judged by, and of the one that it sets.
#[derive(Clone, Copy, Default)]
struct Needs {
    judged_by: [Option<usize>; 6],
    sets: usize,
}

impl<'a> Resolving<'a> {
    /// Before the replay of these events, with the entries they need as they are in the starting
    /// state, which has none of those in conflict.
    pub fn new<L: EventLookup>(
        full_set: &NodeSet<'a>,
        conflicts: &Conflicts<'a>,
        start: impl Fn(Entry<'a>) -> Option<&'a EventId>,
        graph: &mut Graph<'a, L>,
    ) -> Self {
        let places = conflicts.entries().clone();
        let mut resolving = Self {
            state: vec![None; places.len()],
            places,
            needs: Table::default(),
        };
        for node in full_set.iter() {
            let event: &'a Pdu = node.event;
            let mut place = |entry| {
                let place = resolving.places.find_or_add(entry);
                if place == resolving.state.len() {
                    let event_id = start(entry);
                    let node = event_id.and_then(|event_id| graph.get(event_id));
                    resolving.state.push(node);
                }
                place
            };
            let own = (event.event_type(), event.state_key().unwrap_or_default());
            let mut needs = Needs {
                sets: place(own),
                ..Needs::default()
            };
            let needed = needed_state(event, event.room_version());
            for (needed, judged_by) in needed.entries().zip(&mut needs.judged_by) {
                *judged_by = Some(if needed == own {
                    needs.sets
                } else {
                    place(needed)
                });
            }
            resolving.needs.set(node, needs);
            graph.create_event(node);
        }
        resolving
    }

    /// The event that the state has by now for this entry.
    pub fn get(&self, entry: Entry<'_>) -> Option<Node<'a>> {
        *self.state.get(self.places.find(entry)?)?
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
            let entry = self.state.get_mut(self.needs.get(*node).sets);
            if let Some(entry) = entry.filter(|_| verdict == Verdict::Allowed) {
                *entry = Some(*node);
            }
            observer.judged(node.event, *place, verdict);
        }
    }

    fn verdict<L: EventLookup>(&self, node: Node<'a>, graph: &mut Graph<'a, L>) -> Verdict {
        if node.rejected {
            return Verdict::Rejected;
        }
        let judged_by = self.needs.get(node).judged_by;
        let resolved = judged_by.map(|place| *self.state.get(place?)?);
        let create = graph.create_event(node);
        let view = View {
            resolved,
            auth_events: graph.auth_events(node),
            create,
        };
        match view.event(CREATE, "") {
            Some(create) => check_state(node.event, create, &view).into(),
            None => Verdict::Denied(Denied::no_create_event(node.event)),
        }
    }

    /// The state that comes of it: where the states agree, what they agree on.
    pub fn settled(&self, conflicts: &Conflicts<'a>) -> StateMap {
        let count = conflicts.entries().len();
        let resolved = self.state.iter().map(|node| node.map(Node::event_id));
        let others = self.places.names().zip(resolved.clone()).skip(count);
        let others = others.filter_map(|(entry, event_id)| Some((entry, event_id?)));
        conflicts.settled(resolved.take(count), others)
    }
}

/// What an event is judged by: the partially resolved state for the entries that the rules need,
/// then the event's own auth events, leaving out rejected ones.
struct View<'v, 'a> {
    resolved: [Option<Node<'a>>; 6],
    auth_events: &'v [Node<'a>],
    /// The create event, where room ids name it.
    create: Option<Node<'a>>,
}

impl StateView for View<'_, '_> {
    fn event(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        let kind = Kind::of(event_type, Some(state_key));
        let is_it = |node: &&Node<'_>| {
            node.kind == kind
                && !node.rejected
                && (kind != Kind::Other || node.event.is_state_for(event_type, state_key))
        };
        let resolved = self.resolved.iter().flatten();
        let mut events = resolved.chain(self.auth_events).chain(&self.create);
        events.find(is_it).map(|node| &**node.event)
    }
}
