//! A room: where its graph ends, and how its current state was resolved.

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::{EventId, OwnedRoomId, RoomId};
use serde::Serialize;

use super::{
    Archive, EventBrief, ExplainError,
    resolution::{self, Branch, ResolutionReport, Resolved, StateBrief},
};
use crate::persistence::{
    queries::{Ancestors, LoadedRoom, Read, StoreError},
    tables::StoredEvent,
};

/// How many of a room's latest events are searched for the latest merge.
pub const SEARCHED_MAX: u32 = 1000;

/// A room and how it came by its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomReport {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub room_version: String,
    /// Its forward extremities: the ends of its graph, which the next event would follow.
    pub forward_extremities: Vec<EventBrief>,
    /// Its current state.
    pub current_state: StateBrief,
    /// How many users are joined.
    pub joined_members: usize,
    /// How many of the room's latest events were searched for a merge, if its forward extremities
    /// do not differ in their state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<usize>,
    /// How its current state was resolved, or else that of the latest merge; `null` if no merge
    /// was found.
    pub resolution: Option<ResolutionReport>,
}

/// Explains a room that we take or took part in.
pub fn explain_room(room_id: &RoomId, archive: &Archive<'_>) -> Result<RoomReport, ExplainError> {
    let room = archive.room(room_id)?;
    let room = room.ok_or_else(|| ExplainError::UnknownRoom(room_id.to_owned()))?;
    let ends = archive.events(room.record.extremities.iter().map(|id| &**id))?;
    let branches = Branch::after(&ends, archive)?;
    let mut report = describe(&room, &ends);
    if branches.len() > 1 {
        let (version, current) = (room.record.version, room.record.current);
        let explained =
            resolution::explain(Resolved::Current, version, &branches, current, archive);
        report.resolution = Some(explained?);
    } else {
        let events = latest(&room, archive)?;
        report.searched = Some(events.len());
        report.resolution = latest_merge(&events, archive)?;
    }
    Ok(report)
}

/// Explains how the state before an event was resolved; there is no resolution if its previous
/// events do not differ in their state.
pub fn explain_state_before(
    event_id: &EventId,
    archive: &Archive<'_>,
) -> Result<RoomReport, ExplainError> {
    let event = archive.event(event_id)?;
    let event = event.ok_or_else(|| ExplainError::UnknownEvent(event_id.to_owned()))?;
    let room_id = event.pdu.room_id();
    let room = archive.room(room_id)?;
    let room = room.ok_or_else(|| ExplainError::UnknownRoom(room_id.to_owned()))?;
    let ends = archive.events(room.record.extremities.iter().map(|id| &**id))?;
    Ok(RoomReport {
        resolution: merge_before(&event, archive)?,
        ..describe(&room, &ends)
    })
}

fn describe(room: &LoadedRoom, ends: &[Arc<StoredEvent>]) -> RoomReport {
    let state = room.state.iter();
    let state = state.map(|entry| (entry.key.clone(), entry.event_id.clone()));
    RoomReport {
        room_id: room.record.room_id.clone(),
        room_version: room.record.version.to_string(),
        forward_extremities: ends
            .iter()
            .map(|event| EventBrief::from(&**event))
            .collect(),
        current_state: StateBrief::of(&state.collect(), Some(room.record.current)),
        joined_members: room.joined.len(),
        searched: None,
        resolution: None,
    }
}

fn latest(room: &LoadedRoom, archive: &Archive<'_>) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
    archive.read_events(Read::Ancestors(Ancestors {
        room_id: room.record.room_id.clone(),
        from: room.record.extremities.clone(),
        include_from: true,
        stop_at: Vec::new(),
        limit: SEARCHED_MAX,
    }))
}

/// The first of these events that follows different states.
fn latest_merge(
    events: &[Arc<StoredEvent>],
    archive: &Archive<'_>,
) -> Result<Option<ResolutionReport>, ExplainError> {
    for event in events
        .iter()
        .filter(|event| event.pdu.prev_events().len() > 1)
    {
        if let Some(merge) = merge_before(event, archive)? {
            return Ok(Some(merge));
        }
    }
    Ok(None)
}

fn merge_before(
    event: &Arc<StoredEvent>,
    archive: &Archive<'_>,
) -> Result<Option<ResolutionReport>, ExplainError> {
    let Some(state) = event.state else {
        return Ok(None);
    };
    let previous = archive.events(event.pdu.prev_events().iter())?;
    let differ = differ(&previous);
    let branches = differ.then(|| Branch::after(&previous, archive));
    let branches = branches.transpose()?.unwrap_or_default();
    if branches.len() < 2 {
        return Ok(None);
    }
    let of = Resolved::Before {
        event: EventBrief::from(&**event),
    };
    let version = event.pdu.room_version();
    resolution::explain(of, version, &branches, state.before, archive).map(Some)
}

/// Whether the states after these events have different names; they may be equal even so.
fn differ(events: &[Arc<StoredEvent>]) -> bool {
    let names = events.iter().filter_map(|event| event.state);
    let names: BTreeSet<_> = names.map(|state| state.after).collect();
    names.len() > 1
}
