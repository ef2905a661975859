//! A room's recent events and how they follow each other, to be drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId};

use super::{Archive, EventBrief, ExplainError};
use crate::persistence::{
    queries::{Direction, LoadedRoom, Read, StoreError},
    tables::{StoredEvent, Verdict},
};

/// Of the events drawn, one in so many may be one that was set aside: a server that sends much that
/// is refused must not push what counts out of the picture.
const SET_ASIDE_SHARE: usize = 3;

/// A part of a room's graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomGraph {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub room_version: String,
    /// The events, each after those of its previous events that are here.
    pub events: Vec<GraphEvent>,
}

/// An event of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEvent {
    /// The event.
    pub event: EventBrief,
    /// The events that it follows.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise it.
    pub auth_events: Vec<OwnedEventId>,
    /// Whether it is one of the room's forward extremities.
    pub is_forward_extremity: bool,
    /// Why it was soft-failed or rejected.
    pub reason: Option<String>,
}

/// The `limit` most recent events of a room, those that were set aside among them; with
/// `auth_events`, also what authorises these.
pub fn recent_graph(
    room_id: &RoomId,
    limit: usize,
    auth_events: bool,
    archive: &Archive<'_>,
) -> Result<RoomGraph, ExplainError> {
    let room = archive.room(room_id)?;
    let room = room.ok_or_else(|| ExplainError::UnknownRoom(room_id.to_owned()))?;
    let mut events = recent(&room, limit, archive)?;
    if auth_events {
        let named: BTreeSet<OwnedEventId> = events
            .iter()
            .flat_map(|event| event.pdu.auth_events().iter().map(ToOwned::to_owned))
            .collect();
        events.extend(archive.events(named.iter().map(|id| &**id))?);
    }
    let ends: BTreeSet<&EventId> = room.record.extremities.iter().map(|id| &**id).collect();
    Ok(RoomGraph {
        room_id: room_id.to_owned(),
        room_version: room.record.version.to_string(),
        events: in_order(events)
            .iter()
            .map(|event| GraphEvent::of(event, &ends))
            .collect(),
    })
}

fn recent(
    room: &LoadedRoom,
    limit: usize,
    archive: &Archive<'_>,
) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
    let room_id = &room.record.room_id;
    let set_aside = archive.read_events(Read::SetAside {
        room_id: room_id.clone(),
        limit: count(limit / SET_ASIDE_SHARE),
    })?;
    let ends = archive.events(room.record.extremities.iter().map(|id| &**id))?;
    let shown = archive.read_events(Read::Timeline {
        room_id: room_id.clone(),
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: count(limit),
    })?;
    let oldest = shown.iter().map(|event| event.pdu.depth()).min();
    let is_recent = |event: &Arc<StoredEvent>| Some(event.pdu.depth()) >= oldest;
    let set_aside: Vec<_> = set_aside.into_iter().filter(is_recent).collect();
    let places = limit.saturating_sub(set_aside.len());
    let shown = shown.into_iter().take(places);
    Ok(ends.into_iter().chain(shown).chain(set_aside).collect())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl GraphEvent {
    fn of(event: &StoredEvent, ends: &BTreeSet<&EventId>) -> Self {
        Self {
            event: EventBrief::from(event),
            prev_events: event.pdu.prev_events().to_vec(),
            auth_events: event.pdu.auth_events().to_vec(),
            is_forward_extremity: ends.contains(event.pdu.event_id()),
            reason: match &event.verdict {
                Verdict::Accepted => None,
                Verdict::SoftFailed(reason) | Verdict::Rejected(reason) => Some(reason.clone()),
            },
        }
    }
}

/// By depth, then by time, then by id.
type Rank<'a> = (u64, i64, &'a EventId);

/// The events, each once and after its previous events, otherwise by depth and time. Of events that
/// follow each other in a circle, which room versions with chosen ids cannot exclude, the one with
/// the least depth comes first.
fn in_order(events: Vec<Arc<StoredEvent>>) -> Vec<Arc<StoredEvent>> {
    let events: BTreeMap<OwnedEventId, Arc<StoredEvent>> = events
        .into_iter()
        .map(|event| (event.pdu.event_id().to_owned(), event))
        .collect();
    let mut followers: BTreeMap<&EventId, Vec<&Arc<StoredEvent>>> = BTreeMap::new();
    let mut waiting: BTreeMap<Rank<'_>, usize> = BTreeMap::new();
    let mut ready: BTreeSet<Rank<'_>> = BTreeSet::new();
    for event in events.values() {
        let previous: BTreeSet<_> = event.pdu.prev_events().iter().collect();
        let held = previous
            .into_iter()
            .filter_map(|id| events.get_key_value(id));
        let mut count = 0;
        for (previous, _) in held {
            followers.entry(previous).or_default().push(event);
            count += 1;
        }
        match count {
            0 => drop(ready.insert(rank(event))),
            count => drop(waiting.insert(rank(event), count)),
        }
    }
    let mut order = Vec::with_capacity(events.len());
    while let Some(next) = ready
        .pop_first()
        .or_else(|| waiting.pop_first().map(|(rank, _)| rank))
    {
        let (_, _, event_id) = next;
        order.extend(events.get(event_id).cloned());
        for follower in followers.remove(event_id).into_iter().flatten() {
            let rank = rank(follower);
            if let Some(count) = waiting.get_mut(&rank) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(&rank);
                    ready.insert(rank);
                }
            }
        }
    }
    order
}

fn rank(event: &Arc<StoredEvent>) -> Rank<'_> {
    let pdu = &event.pdu;
    (pdu.depth(), pdu.origin_server_ts(), pdu.event_id())
}
