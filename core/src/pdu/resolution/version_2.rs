//! Versions 2 and 2.1 of the algorithm (room versions, version 2 and version 12, "Algorithm").

use std::collections::BTreeSet;

use super::{
    EventLookup, EventSet, Events, MissingEvents, Observer, conflicts::Conflicts,
    iterative_auth::Resolving, mainline, power_order,
};
use crate::pdu::{
    RoomVersion, StateKey, StateMap, auth_events::needed_state, event_type::POWER_LEVELS,
    room_version::StateResolution,
};

pub(super) fn resolve<'a, L: EventLookup>(
    version: RoomVersion,
    first: &'a StateMap,
    others: &'a [StateMap],
    events: &mut Events<'a, L>,
    observer: &mut impl Observer,
) -> Result<StateMap, MissingEvents> {
    let algorithm = version.rules().state_resolution;
    let conflicts = Conflicts::between(first, others, algorithm, events, observer);
    let conflicts = events.unless_missing(conflicts)?;

    let start = match algorithm {
        StateResolution::V1 | StateResolution::V2 => conflicts.unconflicted.clone(),
        StateResolution::V2_1 => StateMap::new(),
    };
    load_start(&start, &conflicts.full_set, events);
    events.unless_missing(())?;

    let mut resolving = Resolving::new(start);
    let power_events = power_order::sorted(&conflicts.full_set, events);
    resolving.apply(&power_events, events, observer);

    let already: BTreeSet<_> = power_events
        .iter()
        .map(|(event, _)| event.event_id())
        .collect();
    let rest = conflicts
        .full_set
        .values()
        .filter(|event| !already.contains(event.event_id()));
    let levels = resolving.get_key(&StateKey::new(POWER_LEVELS, ""));
    let rest = mainline::sorted(rest.copied(), levels, events, observer);
    resolving.apply(&rest, events, observer);
    events.unless_missing(resolving.finish(&conflicts.unconflicted))
}

/// Looks at the events of the starting state that the conflicted events will be judged by, so that
/// all that are missing are asked for at once.
fn load_start<L: EventLookup>(start: &StateMap, set: &EventSet<'_>, events: &mut Events<'_, L>) {
    for event in set.values() {
        for (event_type, state_key) in needed_state(&***event, event.room_version()).entries() {
            start
                .get(event_type, state_key)
                .and_then(|event_id| events.get(event_id));
        }
    }
}
