//! The order of the events that are no power events: by the power levels that they are based on
//! (room versions, version 2, "Mainline ordering").

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::EventId;

use super::{EventLookup, Events};
use crate::pdu::{Pdu, event_type::POWER_LEVELS};

/// How recent the mainline event is that an event is based on: the higher, the more recent, and
/// `None` if it is based on none.
type Position = Option<usize>;

/// The events in mainline order, by the mainline of these power levels: first those based on none
/// or on older power levels, among those the older, then by id.
pub(super) fn sorted<'a, L: EventLookup>(
    unsorted: impl Iterator<Item = &'a Arc<Pdu>>,
    power_levels: Option<&EventId>,
    events: &mut Events<'a, L>,
) -> Vec<&'a Arc<Pdu>> {
    let mut positions = mainline(power_levels, events);
    let mut order: Vec<_> = unsorted
        .map(|event| {
            let position = position(event, &mut positions, events);
            (
                (position, event.origin_server_ts(), event.event_id()),
                event,
            )
        })
        .collect();
    order.sort_unstable_by_key(|(rank, _)| *rank);
    order.into_iter().map(|(_, event)| event).collect()
}

/// The positions of these power levels, of those they are based on, and so on.
fn mainline<'a, L: EventLookup>(
    power_levels: Option<&EventId>,
    events: &mut Events<'a, L>,
) -> BTreeMap<&'a EventId, Position> {
    let mut line = Vec::new();
    let mut next = power_levels.and_then(|event_id| events.get(event_id));
    while let Some(event) = next {
        line.push(event.event_id());
        next = events.auth_event(event, POWER_LEVELS, "");
    }
    line.into_iter()
        .rev()
        .enumerate()
        .map(|(index, id)| (id, Some(index)))
        .collect()
}

/// The position of the first power levels on the mainline that this event is based on. What is
/// learnt on the way is kept, so that a long side line is walked once and not once per event.
fn position<'a, L: EventLookup>(
    event: &'a Arc<Pdu>,
    positions: &mut BTreeMap<&'a EventId, Position>,
    events: &mut Events<'a, L>,
) -> Position {
    let mut walked = Vec::new();
    let mut next = Some(event);
    let mut found = None;
    while let Some(event) = next {
        if let Some(position) = positions.get(event.event_id()) {
            found = *position;
            break;
        }
        walked.push(event.event_id());
        next = events.auth_event(event, POWER_LEVELS, "");
    }
    positions.extend(walked.into_iter().map(|event_id| (event_id, found)));
    found
}
