//! Rooms: their versions, their ends, and their current state.

use std::sync::Arc;

use comity_core::{
    pdu::{RoomVersion, StateKey},
    persistence::{
        queries::{LoadedRoom, StoreError},
        tables::{RoomRecord, StateChange, StateEntry, StoredEvent},
    },
};
use ruma_common::{OwnedUserId, RoomId, UserId};

use super::{
    damaged,
    tables::{CurrentEntry, LARGEST, RoomRow, Tables},
};

/// A room with what is needed to judge its next event; `None` if we take no part in it.
pub(super) fn load(
    tables: &Tables,
    room_id: &RoomId,
) -> Result<Option<Box<LoadedRoom>>, StoreError> {
    let Some(row) = tables.rooms.get(&room_id.to_owned()) else {
        return Ok(None);
    };
    let Some(current) = row.current else {
        return Ok(None);
    };
    let joined = current_entries(tables, room_id).filter(|(_, entry)| entry.joins);
    let joined = joined.map(|(key, _)| OwnedUserId::try_from(&*key.state_key));
    let joined = joined.collect::<Result<Vec<_>, _>>();
    let state = current_entries(tables, room_id).map(|(key, entry)| StateEntry {
        key: key.clone(),
        event_id: entry.event_id.clone(),
    });
    Ok(Some(Box::new(LoadedRoom {
        record: RoomRecord {
            room_id: room_id.to_owned(),
            version: row.version,
            extremities: row.extremities.clone(),
            current,
            least_depth: row.least_depth,
        },
        state: state.collect(),
        joined: joined.map_err(|error| damaged(error.to_string()))?,
    })))
}

fn current_entries<'a>(
    tables: &'a Tables,
    room_id: &RoomId,
) -> impl Iterator<Item = (&'a StateKey, &'a CurrentEntry)> {
    let room_id = room_id.to_owned();
    let from = (room_id.clone(), StateKey::new("", ""));
    let rows = tables.current_state.range(from..);
    rows.take_while(move |((of, _), _)| *of == room_id)
        .map(|((_, key), entry)| (key, entry))
}

/// The events of a room's current state, sorted by type and state key.
pub(super) fn current_state(tables: &Tables, room_id: &RoomId) -> Vec<Arc<StoredEvent>> {
    current_entries(tables, room_id)
        .filter_map(|(_, entry)| tables.event(&entry.event_id))
        .filter(|event| event.counts())
        .cloned()
        .collect()
}

/// One event of a room's current state.
pub(super) fn current_state_event(
    tables: &Tables,
    room_id: &RoomId,
    key: &StateKey,
) -> Vec<Arc<StoredEvent>> {
    let entry = tables.current_state.get(&(room_id.to_owned(), key.clone()));
    let event = entry.and_then(|entry| tables.event(&entry.event_id));
    let event = event.filter(|event| event.counts());
    event.cloned().into_iter().collect()
}

/// Remembers a room's version. Once we take part in a room it does not change any more.
pub(super) fn remember_version(tables: &mut Tables, room_id: &RoomId, version: RoomVersion) {
    let room = tables.rooms.get(&room_id.to_owned());
    if room.is_none_or(|room| room.current.is_none()) {
        let row = RoomRow {
            version,
            current: None,
            extremities: Vec::new(),
            least_depth: 0,
        };
        tables.rooms.set(room_id.to_owned(), row);
    }
}

/// Replaces what is known of a room's ends, and applies the changes to its current state.
pub(super) fn replace(
    tables: &mut Tables,
    record: &RoomRecord,
    changes: &[StateChange],
) -> Result<(), StoreError> {
    let room_id = &record.room_id;
    remember_version(tables, room_id, record.version);
    let known = tables.rooms.get(room_id);
    let version = known.map_or(record.version, |room| room.version);
    let mut extremities = Vec::new();
    for end in &record.extremities {
        tables.hear(end);
        if !extremities.contains(end) {
            extremities.push(end.clone());
        }
    }
    let current = Some(record.current);
    let row = RoomRow {
        version,
        current,
        extremities,
        least_depth: record.least_depth.min(LARGEST),
    };
    tables.rooms.set(room_id.clone(), row);
    changes
        .iter()
        .try_for_each(|change| change_entry(tables, room_id, change))
}

fn change_entry(
    tables: &mut Tables,
    room_id: &RoomId,
    change: &StateChange,
) -> Result<(), StoreError> {
    let place = (room_id.to_owned(), change.key.clone());
    let Some(event_id) = &change.event_id else {
        tables.current_state.remove(&place);
        return Ok(());
    };
    tables.hear(event_id);
    let Some(event) = tables.event(event_id) else {
        return Err(damaged("an event is current state but not stored"));
    };
    let is_member = &*change.key.event_type == "m.room.member" && event.counts();
    let entry = CurrentEntry {
        event_id: event_id.clone(),
        joins: is_member && event.pdu.membership() == Some("join"),
    };
    if entry.joins
        && let Ok(user_id) = <&UserId>::try_from(&*change.key.state_key)
    {
        let place = (user_id.server_name().to_owned(), room_id.to_owned());
        tables.room_servers.set(place, ());
    }
    tables.current_state.set(place, entry);
    Ok(())
}
