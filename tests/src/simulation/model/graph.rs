//! The graph of events: walks along auth events and previous events, and where it ends.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::{
    pdu::Pdu,
    persistence::{queries::Ancestors, tables::StoredEvent},
};
use ruma_common::{EventId, OwnedEventId, RoomId};

use super::tables::{LARGEST, Tables};

fn depth(event: &StoredEvent) -> u64 {
    event.pdu.depth().min(LARGEST)
}

/// Whether an event is part of the graph: no outlier, and not rejected.
pub(super) fn in_graph(event: &StoredEvent) -> bool {
    !event.is_outlier() && !event.verdict.is_rejected()
}

/// Those of these events that are held, and all that are reachable from them by auth events;
/// causes before effects.
pub(super) fn auth_chain(tables: &Tables, ids: &[OwnedEventId]) -> Vec<Arc<StoredEvent>> {
    let mut found = BTreeMap::new();
    let mut to_visit = ids.to_vec();
    while let Some(event_id) = to_visit.pop() {
        let Some(event) = tables.event(&event_id) else {
            continue;
        };
        let place = (depth(event), tables.heard_at(&event_id));
        if found.insert(place, event.clone()).is_none() {
            to_visit.extend(event.pdu.auth_events().iter().map(ToOwned::to_owned));
        }
    }
    found.into_values().collect()
}

/// Notes which events authorise this one, if it is a state event.
pub(super) fn cite(tables: &mut Tables, number: u64, pdu: &Pdu) {
    for auth in pdu.auth_events() {
        tables.hear(auth);
        if pdu.is_state() {
            let row = (auth.to_owned(), number);
            tables.citations.set(row, pdu.event_id().to_owned());
        }
    }
}

/// The state events from which one of these is reachable by auth events, causes before effects;
/// `None` if there are more than the limit.
pub(super) fn auth_descendants(
    tables: &Tables,
    of: &[OwnedEventId],
    limit: u32,
) -> Option<Vec<Arc<StoredEvent>>> {
    let mut found = BTreeMap::new();
    let mut to_visit = of.to_vec();
    while let Some(cited) = to_visit.pop() {
        let citing = (cited.clone(), 0)..=(cited, u64::MAX);
        for ((_, number), event_id) in tables.citations.range(citing) {
            let Some(event) = tables.event(event_id) else {
                continue;
            };
            if found
                .insert((depth(event), *number), event.clone())
                .is_none()
            {
                to_visit.push(event_id.clone());
            }
        }
    }
    (found.len() <= limit as usize).then(|| found.into_values().collect())
}

/// These events and what they build on.
pub(super) fn ancestors(tables: &Tables, asked: &Ancestors) -> Vec<Arc<StoredEvent>> {
    let known = |event_id: &&OwnedEventId| tables.heard.has(event_id);
    let walk = Walk {
        tables,
        room_id: &asked.room_id,
        from: asked.from.iter().filter(known).collect(),
        stop_at: &asked.stop_at,
        limit: asked.limit as usize,
        ahead: BTreeMap::new(),
        seen: BTreeMap::new(),
    };
    walk.ancestors(asked.include_from)
}

/// A walk back through the graph of a room, always to the deepest event first, and among equally
/// deep ones to the one heard of first.
struct Walk<'a> {
    tables: &'a Tables,
    room_id: &'a RoomId,
    from: BTreeSet<&'a OwnedEventId>,
    stop_at: &'a [OwnedEventId],
    limit: usize,
    ahead: BTreeMap<Place, &'a Arc<StoredEvent>>,
    seen: BTreeMap<Place, &'a Arc<StoredEvent>>,
}

type Place = (Reverse<u64>, u64);

impl<'a> Walk<'a> {
    /// The events on the way, with or without those it starts from.
    fn ancestors(mut self, include_from: bool) -> Vec<Arc<StoredEvent>> {
        for event_id in self.from.clone() {
            self.look_at(event_id);
        }
        while self.seen.len() < self.limit + self.from.len()
            && let Some((place, event)) = self.ahead.pop_first()
        {
            self.seen.insert(place, event);
            for previous in event.pdu.prev_events() {
                self.look_at(previous);
            }
        }
        let wanted = |event: &Arc<StoredEvent>| {
            include_from || !self.from.contains(&event.pdu.event_id().to_owned())
        };
        let found = self.seen.values().copied();
        found
            .filter(|event| wanted(event))
            .take(self.limit)
            .cloned()
            .collect()
    }

    fn look_at(&mut self, event_id: &EventId) {
        let Some(event) = self.tables.event(event_id) else {
            return;
        };
        let place = (Reverse(depth(event)), self.tables.heard_at(event_id));
        let is_ours = event.pdu.room_id() == self.room_id && in_graph(event);
        let is_shut = self.stop_at.iter().any(|stop| stop == event_id);
        if is_ours && !is_shut && !self.seen.contains_key(&place) {
            self.ahead.insert(place, event);
        }
    }
}

/// Where the history of a room that is held ends, the deepest first, and of equally deep ends the
/// one heard of last.
pub(super) fn backward_extremities(tables: &Tables, room_id: &RoomId) -> Vec<(OwnedEventId, u64)> {
    let ends = tables.ends.iter().filter(|((_, room), _)| room == room_id);
    let mut ends: Vec<_> = ends
        .map(|((event_id, _), depth)| (event_id.clone(), *depth))
        .collect();
    ends.sort_by_key(|(event_id, depth)| Reverse((*depth, tables.heard_at(event_id))));
    ends.truncate(20);
    ends
}

/// History now ends at those previous events of this one that are not held, or only as outliers
/// that are not shown; of rejected ones nothing more is wanted, unless they were only never
/// verified.
pub(super) fn open_ends(tables: &mut Tables, pdu: &Pdu) {
    for previous in pdu.prev_events() {
        tables.hear(previous);
        let is_wanted = tables.event(previous).is_none_or(|held| {
            let is_refused = held.verdict.is_rejected() && !held.verdict.is_unverified();
            !in_graph(held) && held.position.is_none() && !is_refused
        });
        if !is_wanted {
            continue;
        }
        let end = (previous.to_owned(), pdu.room_id().to_owned());
        let shallowest = tables.ends.get(&end).copied().unwrap_or(LARGEST);
        tables.ends.set(end, shallowest.min(pdu.depth()));
    }
}

/// Notes that an event need not be asked for any more, in whatever room.
pub(super) fn close_end(tables: &mut Tables, event_id: &EventId) {
    let rooms = tables.rooms.iter().map(|(room_id, _)| room_id.clone());
    let ends: Vec<_> = rooms
        .map(|room_id| (event_id.to_owned(), room_id))
        .collect();
    ends.iter().for_each(|end| tables.ends.remove(end));
}
