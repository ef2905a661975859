//! The order of the events that are no power events: by the power levels that they are based on
//! (room versions, version 2, "Mainline ordering").

use std::cmp::Reverse;

use super::{
    EventLookup, Observer, Place,
    graph::{Graph, Kind, Node},
    tables::{NodeSet, Table},
};

/// Where the mainline event stands that an event is based on: the higher, the older, and `None` if
/// it is based on none.
type Position = Option<usize>;

/// The events in mainline order, by the mainline of these power levels: first those based on none
/// or on older power levels, among those the older, then by id.
pub(super) fn sorted<'a, L: EventLookup>(
    unsorted: impl Iterator<Item = Node<'a>>,
    power_levels: Option<Node<'a>>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> Vec<(Node<'a>, Place)> {
    let mut positions = Table::default();
    for (index, node) in mainline(power_levels, graph).iter().enumerate() {
        observer.mainline(node.event_id());
        positions.set(node, Some(Some(index)));
    }
    let mut walked = Vec::new();
    let mut order: Vec<_> = unsorted
        .map(|node| {
            let position = position(node, &mut walked, &mut positions, graph);
            let oldest_first = Reverse(position.unwrap_or(usize::MAX));
            let time = graph.reading(node).origin_server_ts;
            ((oldest_first, time), node, position)
        })
        .collect();
    order.sort_unstable_by(|(rank, node, _), (other_rank, other, _)| {
        let by_rank = rank.cmp(other_rank);
        by_rank.then_with(|| node.event_id().cmp(other.event_id()))
    });
    let with_place = |((_, origin_server_ts), node, position): ((_, i64), Node<'a>, _)| {
        let place = Place::Mainline {
            position,
            origin_server_ts,
        };
        (node, place)
    };
    order.into_iter().map(with_place).collect()
}

/// These power levels, those they are based on, and so on.
fn mainline<'a, L: EventLookup>(
    power_levels: Option<Node<'a>>,
    graph: &mut Graph<'a, L>,
) -> NodeSet<'a> {
    let mut line = NodeSet::default();
    let mut next = power_levels;
    while let Some(node) = next.filter(|node| line.insert(*node)) {
        next = graph.auth_event(node, Kind::PowerLevels);
    }
    line
}

/// The position of the first power levels on the mainline that this event is based on.
///
/// What is learnt on the way is kept, so that a long side line is walked once and not once per
/// event, and one that leads back to itself, as chosen event ids may, not for ever. `walked` is
/// there to be used again.
fn position<'a, L: EventLookup>(
    node: Node<'a>,
    walked: &mut Vec<Node<'a>>,
    positions: &mut Table<Option<Position>>,
    graph: &mut Graph<'a, L>,
) -> Position {
    walked.clear();
    let mut next = Some(node);
    let mut found = None;
    while let Some(node) = next {
        walked.push(node);
        if let Some(position) = positions.set(node, Some(None)) {
            found = position;
            break;
        }
        next = graph.auth_event(node, Kind::PowerLevels);
    }
    for node in walked.iter() {
        positions.set(*node, Some(found));
    }
    found
}
