//! What the world in memory answers when it is read.

use std::sync::Arc;

use comity_core::{
    pdu::{RoomVersion, StateMap, state::Entry},
    persistence::{
        queries::{Answer, Direction, LoadedRoom, Read},
        tables::{Position, RoomRecord, SnapshotId, StateEntry, StoredEvent},
    },
};
use ruma_common::RoomId;

use super::Inside;

impl Inside {
    /// Snapshot 0 is the empty state.
    pub(super) fn snapshot(&self, id: SnapshotId) -> StateMap {
        let index = usize::try_from(id.0).unwrap();
        index
            .checked_sub(1)
            .map(|index| self.snapshots[index].clone())
            .unwrap_or_default()
    }

    pub(super) fn add_snapshot(&mut self, state: StateMap) -> SnapshotId {
        self.snapshots.push(state);
        SnapshotId(self.snapshots.len() as u64)
    }

    fn entries(&self, id: SnapshotId) -> Vec<StateEntry> {
        let entry = |(key, event_id): (Entry<'_>, &ruma_common::EventId)| StateEntry {
            key: key.into(),
            event_id: event_id.to_owned(),
        };
        self.snapshot(id).iter().map(entry).collect()
    }

    fn state_events(&self, id: SnapshotId) -> Vec<Arc<StoredEvent>> {
        self.entries(id)
            .iter()
            .map(|entry| self.events[&entry.event_id].clone())
            .collect()
    }

    fn room(&self, room_id: &RoomId) -> Option<Box<LoadedRoom>> {
        let current = *self.rooms.get(room_id)?;
        let record = RoomRecord {
            room_id: room_id.to_owned(),
            version: RoomVersion::V11,
            extremities: Vec::new(),
            current,
            least_depth: 1,
        };
        let state = self.entries(current);
        Some(Box::new(LoadedRoom {
            record,
            state,
            joined: Vec::new(),
        }))
    }

    pub(super) fn read(&self, read: Read) -> Answer {
        let current = |room_id: &RoomId| self.rooms.get(room_id).copied().unwrap_or_default();
        match read {
            Read::Room(room_id) => Answer::Room(self.room(&room_id)),
            Read::Events(ids) => Answer::Events(
                ids.iter()
                    .filter_map(|id| self.events.get(id).cloned())
                    .collect(),
            ),
            Read::Snapshot(id) => Answer::State(Some(self.entries(id))),
            Read::CurrentState(room_id) => Answer::Events(self.state_events(current(&room_id))),
            Read::CurrentStateEvent(room_id, key) => {
                let state = self.snapshot(current(&room_id));
                let event = state
                    .get_key(&key)
                    .map(|event_id| self.events[event_id].clone());
                Answer::Events(event.into_iter().collect())
            }
            Read::SnapshotEvents(id) => Answer::Events(self.state_events(id)),
            Read::Memberships(user_id) => {
                let all = self.memberships.values();
                Answer::Memberships(
                    all.filter(|entry| entry.user_id == user_id)
                        .cloned()
                        .collect(),
                )
            }
            Read::Inbox { .. } => Answer::Inbox(Vec::new()),
            Read::NewestPosition => Answer::Position(Position(self.newest)),
            Read::Timeline {
                room_id,
                from,
                to,
                direction,
                limit,
            } => Answer::Events(self.timeline(&room_id, from, to, direction, limit)),
            Read::ByTime {
                room_id,
                time,
                direction,
                limit,
            } => {
                let mut near = self.timeline(&room_id, None, None, direction, u32::MAX);
                let sent = |event: &Arc<StoredEvent>| event.pdu.origin_server_ts();
                near.retain(|event| match direction {
                    Direction::Forward => sent(event) >= time.to_i64(),
                    Direction::Backward => sent(event) <= time.to_i64(),
                });
                near.sort_by_key(|event| sent(event).abs_diff(time.to_i64()));
                near.truncate(limit as usize);
                Answer::Events(near)
            }
            other => panic!("the API does not read {other:?}"),
        }
    }

    fn timeline(
        &self,
        room_id: &RoomId,
        from: Option<Position>,
        to: Option<Position>,
        direction: Direction,
        limit: u32,
    ) -> Vec<Arc<StoredEvent>> {
        let (low, high) = match direction {
            Direction::Forward => (from, to),
            Direction::Backward => (to, from),
        };
        let is_within = |event: &&Arc<StoredEvent>| {
            let position = event.position;
            let above = low.is_none() || position > low;
            let below = high.is_none() || position < high;
            *event.pdu.room_id() == *room_id && position.is_some() && above && below
        };
        let mut events: Vec<_> = self.events.values().filter(is_within).cloned().collect();
        events.sort_by_key(|event| event.position);
        if direction == Direction::Backward {
            events.reverse();
        }
        events.truncate(limit as usize);
        events
    }
}
