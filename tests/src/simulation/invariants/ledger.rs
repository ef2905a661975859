//! What is on the disk of a server, as far as invariants ask: kept from what was seen written.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    pdu::{StateKey, event_type::MEMBER},
    persistence::{
        queries::{Batch, Write},
        tables::{RoomRecord, StateChange, StoredEvent},
    },
};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};

/// One server's.
#[derive(Debug, Default)]
pub struct Ledger {
    events: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    rooms: BTreeMap<OwnedRoomId, Room>,
}

/// A room and its current state.
#[derive(Debug)]
pub struct Room {
    /// The room.
    pub record: RoomRecord,
    state: BTreeMap<StateKey, OwnedEventId>,
}

impl Ledger {
    /// Takes in a batch.
    pub fn note(&mut self, batch: &Batch) {
        for write in &batch.writes {
            self.note_write(write);
        }
    }

    /// Takes in one part of a batch.
    pub fn note_write(&mut self, write: &Write) {
        match write {
            Write::Event(event) => self.note_event(event),
            Write::Membership(membership) => self.note_event(&membership.event),
            Write::Room { record, changes } => self.note_room(record, changes),
            _ => {}
        }
    }

    fn note_event(&mut self, event: &Arc<StoredEvent>) {
        let held = self
            .events
            .entry(event.pdu.event_id().to_owned())
            .or_insert_with(|| event.clone());
        if held.gives_way_to(event) {
            *held = event.clone();
        }
    }

    fn note_room(&mut self, record: &RoomRecord, changes: &[StateChange]) {
        let room = self
            .rooms
            .entry(record.room_id.clone())
            .or_insert_with(|| Room {
                record: record.clone(),
                state: BTreeMap::new(),
            });
        room.record = record.clone();
        for change in changes {
            match &change.event_id {
                Some(event_id) => room.state.insert(change.key.clone(), event_id.clone()),
                None => room.state.remove(&change.key),
            };
        }
    }

    /// An event.
    pub fn event(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        self.events.get(event_id)
    }

    /// A room.
    pub fn room(&self, room_id: &RoomId) -> Option<&Room> {
        self.rooms.get(room_id)
    }

    /// Whether a user of this server is joined to a room by its current state.
    pub fn has_joined(&self, room_id: &RoomId, server: &ServerName) -> bool {
        let state = self.room(room_id).into_iter().flat_map(|room| &room.state);
        let mut members = state.filter(|(key, _)| &*key.event_type == MEMBER);
        members.any(|(key, event_id)| {
            let user = <&UserId>::try_from(&*key.state_key);
            let is_joined = |event: &Arc<StoredEvent>| event.pdu.membership() == Some("join");
            user.is_ok_and(|user| user.server_name() == server)
                && self.event(event_id).is_some_and(is_joined)
        })
    }

    /// One event of a room's current state.
    pub fn state(
        &self,
        room_id: &RoomId,
        event_type: &str,
        state_key: &str,
    ) -> Option<&Arc<StoredEvent>> {
        let key = StateKey::new(event_type, state_key);
        self.event(self.room(room_id)?.state.get(&key)?)
    }
}
