//! The power events of a conflict and their order (room versions, version 2, "Reverse topological
//! power ordering").

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::EventId;

use super::{EventLookup, EventSet, Events, Place, iterative_auth::create_event_of};
use crate::pdu::{
    Pdu,
    authorisation::{PowerLevel, PowerLevels},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
};

/// Earlier events first; among events that could come next, those of more powerful senders, then
/// older ones, then by id.
type Rank<'a> = (Reverse<PowerLevel>, i64, &'a EventId);

/// The power events of the full conflicted set, together with those members of the set that are
/// reached from them through members of the set, earliest first.
pub(super) fn sorted<'a, L: EventLookup>(
    full_set: &EventSet<'a>,
    events: &mut Events<'a, L>,
) -> Vec<(&'a Arc<Pdu>, Place)> {
    let graph = power_graph(full_set);
    let mut cited_by: BTreeMap<&EventId, Vec<&'a Arc<Pdu>>> = BTreeMap::new();
    let mut waits_for: BTreeMap<&EventId, usize> = BTreeMap::new();
    let mut ready: BTreeSet<Rank<'a>> = BTreeSet::new();
    for (event, cited) in graph.values() {
        waits_for.insert(event.event_id(), cited.len());
        cited
            .iter()
            .for_each(|id| cited_by.entry(id).or_default().push(event));
        if cited.is_empty() {
            ready.insert(rank(event, events));
        }
    }
    let mut order = Vec::with_capacity(graph.len());
    while let Some((Reverse(sender_level), origin_server_ts, event_id)) = ready.pop_first() {
        let place = Place::Power {
            sender_level,
            origin_server_ts,
        };
        order.extend(full_set.get(event_id).map(|event| (*event, place)));
        for event in cited_by.remove(event_id).into_iter().flatten() {
            let count = waits_for.entry(event.event_id()).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                ready.insert(rank(event, events));
            }
        }
    }
    order
}

/// Each event to sort, with those of its auth events that are in the set.
fn power_graph<'a>(
    full_set: &EventSet<'a>,
) -> BTreeMap<&'a EventId, (&'a Arc<Pdu>, BTreeSet<&'a EventId>)> {
    let mut graph = BTreeMap::new();
    let mut to_visit: Vec<_> = full_set
        .values()
        .copied()
        .filter(|event| is_power_event(event))
        .collect();
    while let Some(event) = to_visit.pop() {
        if graph.contains_key(event.event_id()) {
            continue;
        }
        let in_set = event
            .auth_events()
            .iter()
            .filter_map(|id| full_set.get(&**id).copied());
        let cited: BTreeMap<_, _> = in_set.map(|cited| (cited.event_id(), cited)).collect();
        graph.insert(event.event_id(), (event, cited.keys().copied().collect()));
        to_visit.extend(cited.into_values());
    }
    graph
}

/// Whether the event may take power from somebody, or from everybody.
fn is_power_event(event: &Pdu) -> bool {
    match event.event_type() {
        CREATE | POWER_LEVELS | JOIN_RULES => event.state_key() == Some(""),
        MEMBER => {
            matches!(event.membership(), Some("leave" | "ban"))
                && event.state_key() != Some(event.sender().as_str())
        }
        _ => false,
    }
}

fn rank<'a, L: EventLookup>(event: &'a Arc<Pdu>, events: &mut Events<'a, L>) -> Rank<'a> {
    (
        Reverse(sender_level(event, events)),
        event.origin_server_ts(),
        event.event_id(),
    )
}

/// The power of the event's sender by the event's own auth events.
fn sender_level<L: EventLookup>(event: &Pdu, events: &mut Events<'_, L>) -> PowerLevel {
    let power_levels = events.auth_event(event, POWER_LEVELS, "");
    match create_event_of(event, events) {
        Some(create) => {
            PowerLevels::new(create, power_levels.map(|event| &**event)).of_user(event.sender())
        }
        None => PowerLevel::Level(0),
    }
}
