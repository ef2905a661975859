//! Events: written once, promoted at most once, shown in the order of their positions.

use std::{cmp::Reverse, sync::Arc};

use comity_core::{
    persistence::{
        queries::{Direction, StoreError},
        tables::{Position, StoredEvent, Verdict},
    },
    time::WallTime,
};
use ruma_common::{OwnedEventId, RoomId};

use super::{damaged, graph, redactions, refused, start, tables::Tables};

/// Those of these events that are held.
pub(super) fn stored(tables: &Tables, ids: &[OwnedEventId]) -> Vec<Arc<StoredEvent>> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids.dedup();
    let held = ids.iter().filter_map(|id| tables.event(id));
    held.cloned().collect()
}

/// Shown events of a room between two positions, neither included.
pub(super) fn timeline(
    tables: &Tables,
    room_id: &RoomId,
    from: Option<Position>,
    to: Option<Position>,
    direction: Direction,
    limit: u32,
) -> Vec<Arc<StoredEvent>> {
    let (after, before) = match direction {
        Direction::Forward => (from, to),
        Direction::Backward => (to, from),
    };
    let first = after.map_or(i64::MIN, |after| after.0.saturating_add(1));
    let last = before.map_or(i64::MAX, |before| before.0.saturating_sub(1));
    if first > last {
        return Vec::new();
    }
    let [first, last] = [first, last].map(|number| (room_id.to_owned(), Position(number)));
    let shown = tables.timeline.range(first..=last);
    let shown = shown.filter_map(|(_, event_id)| tables.event(event_id).cloned());
    match direction {
        Direction::Forward => shown.take(limit as usize).collect(),
        Direction::Backward => shown.rev().take(limit as usize).collect(),
    }
}

/// Shown events of a room from a time on, the nearest first.
pub(super) fn by_time(
    tables: &Tables,
    room_id: &RoomId,
    time: WallTime,
    direction: Direction,
    limit: u32,
) -> Vec<Arc<StoredEvent>> {
    let mut shown = timeline(tables, room_id, None, None, direction, u32::MAX);
    let sent = |event: &Arc<StoredEvent>| event.pdu.origin_server_ts();
    match direction {
        Direction::Forward => {
            shown.retain(|event| sent(event) >= time.to_i64());
            shown.sort_by_key(sent);
        }
        Direction::Backward => {
            shown.retain(|event| sent(event) <= time.to_i64());
            shown.sort_by_key(|event| Reverse(sent(event)));
        }
    }
    shown.truncate(limit as usize);
    shown
}

/// The events of a room that were soft-failed or rejected, those heard of last first, among the
/// last 10,000.
pub(super) fn set_aside(tables: &Tables, room_id: &RoomId, limit: u32) -> Vec<Arc<StoredEvent>> {
    let newest_first = || {
        let heard = tables.in_order.iter().rev();
        heard.filter_map(|(number, event_id)| Some((*number, tables.event(event_id)?)))
    };
    let Some((newest, _)) = newest_first().next() else {
        return Vec::new();
    };
    newest_first()
        .take_while(|(number, _)| number + 10_000 > newest)
        .map(|(_, event)| event)
        .filter(|event| event.pdu.room_id() == room_id && event.verdict != Verdict::Accepted)
        .take(limit as usize)
        .cloned()
        .collect()
}

/// The ids of stored events that begin like this.
pub(super) fn ids_by_prefix(tables: &Tables, prefix: &str, limit: u32) -> Vec<OwnedEventId> {
    let ids = tables.events.iter().map(|(event_id, _)| event_id);
    ids.filter(|event_id| event_id.as_str().starts_with(prefix))
        .take(limit as usize)
        .cloned()
        .collect()
}

/// Inserts an event, or replaces the outlier that is there by a row that knows more.
pub(super) fn insert(tables: &mut Tables, event: &Arc<StoredEvent>) -> Result<(), StoreError> {
    let pdu = &event.pdu;
    if !tables.rooms.has(&pdu.room_id().to_owned()) {
        return Err(damaged("the event's room has no version"));
    }
    let number = tables.hear(pdu.event_id());
    if let Some(because) = &event.redacted_because {
        tables.hear(because);
    }
    let row = match tables.event(pdu.event_id()) {
        None => event.clone(),
        Some(there) if there.gives_way_to(event) => Arc::new(promoted(there, event)),
        Some(_) => return Ok(()),
    };
    put(tables, row)?;
    graph::cite(tables, number, pdu);
    redactions::insert(tables, number, pdu);
    if event.verdict.is_unverified() {
        return Ok(());
    }
    let is_history = !event.is_outlier() || event.position.is_some();
    if event.verdict.is_rejected() || is_history {
        graph::close_end(tables, pdu.event_id());
    }
    if is_history && !event.verdict.is_rejected() {
        graph::open_ends(tables, pdu);
    }
    Ok(())
}

/// What an outlier becomes when more is known about it: it stays redacted.
fn promoted(there: &StoredEvent, newer: &StoredEvent) -> StoredEvent {
    match &there.redacted_because {
        None => newer.clone(),
        Some(because) => StoredEvent {
            pdu: there.pdu.clone(),
            redacted_because: Some(because.clone()),
            ..newer.clone()
        },
    }
}

/// Puts a row into the table and into the timeline.
fn put(tables: &mut Tables, event: Arc<StoredEvent>) -> Result<(), StoreError> {
    let event_id = event.pdu.event_id().to_owned();
    let room_id = event.pdu.room_id().to_owned();
    let old_place = tables.event(&event_id).and_then(|old| old.position);
    if let Some(position) = old_place {
        tables.timeline.remove(&(room_id.clone(), position));
    }
    if let Some(position) = event.position {
        let place = (room_id, position);
        if tables.timeline.has(&place) {
            return Err(refused("the position is taken"));
        }
        tables.timeline.set(place, event_id.clone());
        start::use_position(tables, position);
    }
    tables.events.set(event_id, event);
    Ok(())
}

/// Replaces an event that is held by its redacted form.
pub(super) fn redact(tables: &mut Tables, redacted: &StoredEvent) -> Result<(), StoreError> {
    let event_id = redacted.pdu.event_id();
    let Some(there) = tables.event(event_id).cloned() else {
        return Err(damaged("the event is redacted but not stored"));
    };
    if let Some(because) = &redacted.redacted_because {
        tables.hear(because);
    }
    let row = StoredEvent {
        pdu: redacted.pdu.clone(),
        redacted_because: redacted.redacted_because.clone(),
        ..StoredEvent::clone(&there)
    };
    tables.events.set(event_id.to_owned(), Arc::new(row));
    Ok(())
}
