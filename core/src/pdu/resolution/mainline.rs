//! The order of the events that are no power events: by the power levels that they are based on
//! (room versions, version 2, "Mainline ordering").

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::EventId;

use super::{EventLookup, Events, Observer, Place};
use crate::pdu::{Pdu, event_type::POWER_LEVELS};

/// Where the mainline event stands that an event is based on: the higher, the older, and `None` if
/// it is based on none.
type Position = Option<usize>;

/// The events in mainline order, by the mainline of these power levels: first those based on none
/// or on older power levels, among those the older, then by id.
pub(super) fn sorted<'a, L: EventLookup>(
    unsorted: impl Iterator<Item = &'a Arc<Pdu>>,
    power_levels: Option<&EventId>,
    events: &mut Events<'a, L>,
    observer: &mut impl Observer,
) -> Vec<(&'a Arc<Pdu>, Place)> {
    let mainline = mainline(power_levels, events);
    observer.mainline(mainline.iter().copied());
    let positions = mainline.into_iter().enumerate();
    let mut positions = positions.map(|(index, id)| (id, Some(index))).collect();
    let mut order: Vec<_> = unsorted
        .map(|event| (event, position(event, &mut positions, events)))
        .collect();
    order.sort_unstable_by_key(|(event, position)| {
        let oldest_first = Reverse(position.unwrap_or(usize::MAX));
        (oldest_first, event.origin_server_ts(), event.event_id())
    });
    let place = |event: &Pdu, position| Place::Mainline {
        position,
        origin_server_ts: event.origin_server_ts(),
    };
    order
        .into_iter()
        .map(|(event, position)| (event, place(event, position)))
        .collect()
}

/// These power levels, those they are based on, and so on.
fn mainline<'a, L: EventLookup>(
    power_levels: Option<&EventId>,
    events: &mut Events<'a, L>,
) -> Vec<&'a EventId> {
    let (mut line, mut seen) = (Vec::new(), BTreeSet::new());
    let mut next = power_levels.and_then(|event_id| events.get(event_id));
    while let Some(event) = next.filter(|event| seen.insert(event.event_id())) {
        line.push(event.event_id());
        next = events.auth_event(event, POWER_LEVELS, "");
    }
    line
}

/// The position of the first power levels on the mainline that this event is based on. What is
/// learnt on the way is kept, so that a long side line is walked once and not once per event, and
/// one that leads back to itself, as chosen event ids may, not for ever.
fn position<'a, L: EventLookup>(
    event: &'a Arc<Pdu>,
    positions: &mut BTreeMap<&'a EventId, Position>,
    events: &mut Events<'a, L>,
) -> Position {
    let mut walked = Vec::new();
    let mut next = Some(event);
    let mut found = None;
    while let Some(event) = next {
        if let Some(position) = positions.insert(event.event_id(), None) {
            found = position;
            walked.push(event.event_id());
            break;
        }
        walked.push(event.event_id());
        next = events.auth_event(event, POWER_LEVELS, "");
    }
    positions.extend(walked.into_iter().map(|event_id| (event_id, found)));
    found
}
