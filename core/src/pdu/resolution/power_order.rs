//! The power events of a conflict and their order (room versions, version 2, "Reverse topological
//! power ordering").

use std::{cmp::Reverse, collections::BTreeMap};

use ruma_common::EventId;

use super::{
    EventLookup, Place,
    graph::{Graph, Kind, Node},
    tables::{Citations, NodeSet, Table},
};
use crate::pdu::authorisation::{PowerLevel, PowerLevels};

/// Earlier events first; among events that could come next, those of more powerful senders, then
/// older ones, then by id.
type Rank<'a> = (Reverse<PowerLevel>, i64, &'a EventId);

/// The power events of the full conflicted set, together with those members of the set that are
/// reached from them through members of the set, earliest first.
pub(super) fn sorted<'a, L: EventLookup>(
    full_set: &NodeSet<'a>,
    graph: &mut Graph<'a, L>,
) -> Vec<(Node<'a>, Place)> {
    let mut to_sort = NodeSet::default();
    let power_events = full_set.iter().filter(|node| node.is_power_event);
    graph.walk(power_events, |_, node| {
        full_set.contains(node) && to_sort.insert(node)
    });

    let citations = Citations::among(&to_sort, graph);
    let mut waits_for = Table::<usize>::default();
    for citing in to_sort.iter().flat_map(|node| citations.of(node)) {
        waits_for.set(citing, waits_for.get(citing) + 1);
    }
    let ready = to_sort.iter().filter(|node| waits_for.get(*node) == 0);
    let mut ready: BTreeMap<_, _> = ready.map(|node| (rank(node, graph), node)).collect();
    let mut order = Vec::new();
    while let Some(((Reverse(sender_level), origin_server_ts, _), node)) = ready.pop_first() {
        let place = Place::Power {
            sender_level,
            origin_server_ts,
        };
        order.push((node, place));
        for citing in citations.of(node) {
            let count = waits_for.get(citing).saturating_sub(1);
            waits_for.set(citing, count);
            if count == 0 {
                ready.insert(rank(citing, graph), citing);
            }
        }
    }
    order
}

fn rank<'a, L: EventLookup>(node: Node<'a>, graph: &mut Graph<'a, L>) -> Rank<'a> {
    (
        Reverse(sender_level(node, graph)),
        node.event.origin_server_ts(),
        node.event_id(),
    )
}

/// The power of the event's sender by the event's own auth events.
fn sender_level<'a, L: EventLookup>(node: Node<'a>, graph: &mut Graph<'a, L>) -> PowerLevel {
    let power_levels = graph.auth_event(node, Kind::PowerLevels);
    match graph.create_event(node) {
        Some(create) => PowerLevels::new(create.event, power_levels.map(|levels| &**levels.event))
            .of_user(node.event.sender()),
        None => PowerLevel::Level(0),
    }
}
