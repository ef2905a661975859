//! Versions 2 and 2.1 of the algorithm (room versions, version 2 and version 12, "Algorithm").

use super::{
    EventLookup, MissingEvents, Observer,
    auth_difference::auth_difference,
    conflicts::{Conflicts, subgraph},
    graph::Graph,
    iterative_auth::Resolving,
    mainline, power_order,
    tables::NodeSet,
};
use crate::pdu::{StateMap, event_type::POWER_LEVELS, room_version::StateResolution};

pub(super) fn resolve<'a, L: EventLookup>(
    algorithm: StateResolution,
    conflicts: &Conflicts<'a>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> Result<StateMap, MissingEvents> {
    let full_set = full_conflicted_set(algorithm, conflicts, graph, observer);
    let full_set = graph.if_complete(full_set)?;

    let resolving = match algorithm {
        StateResolution::V2_1 => Resolving::new(&full_set, |_| None, graph),
        _ => Resolving::new(&full_set, |entry| conflicts.agreed(entry), graph),
    };
    let mut resolving = graph.if_complete(resolving)?;

    let power_events = power_order::sorted(&full_set, graph);
    resolving.apply(&power_events, graph, observer);

    let power_events: NodeSet<'a> = power_events.into_iter().map(|(node, _)| node).collect();
    let rest = full_set.iter().filter(|node| !power_events.contains(*node));
    let levels = resolving.get((POWER_LEVELS, ""), graph);
    let rest = mainline::sorted(rest, levels, graph, observer);
    resolving.apply(&rest, graph, observer);
    let settled = resolving.settled(conflicts, graph);
    graph.if_complete(settled)
}

/// The conflicted events, the auth difference, and in version 2.1 the conflicted state subgraph.
fn full_conflicted_set<'a, L: EventLookup>(
    algorithm: StateResolution,
    conflicts: &Conflicts<'a>,
    graph: &mut Graph<'a, L>,
    observer: &mut impl Observer,
) -> NodeSet<'a> {
    let by_state = conflicts.by_state(graph);
    let conflicted: NodeSet<'a> = by_state.iter().flatten().copied().collect();
    let difference = auth_difference(conflicts, &by_state, graph);
    difference
        .iter()
        .for_each(|node| observer.auth_difference(node.event_id()));
    let subgraph = match algorithm {
        StateResolution::V2_1 => subgraph(&conflicted, graph),
        _ => NodeSet::default(),
    };
    for node in subgraph.iter().filter(|node| !conflicted.contains(*node)) {
        observer.subgraph(node.event_id());
    }
    let all = conflicted
        .iter()
        .chain(difference.iter())
        .chain(subgraph.iter());
    all.filter(|node| graph.reading(*node).sets.is_some())
        .collect()
}
