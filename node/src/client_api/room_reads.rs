//! Typed reads of what the federation has stored.

use std::sync::Arc;

use comity_core::{
    messaging::command::{Events, Reply},
    pdu::{StateKey, StateMap, event_type::MEMBER},
    persistence::{
        queries::{Answer, Direction, LoadedRoom, Read},
        tables::{LocalMembership, Position, SnapshotId, StateEntry, StoredEvent},
    },
    time::WallTime,
    transport::matrix_error::MatrixError,
};
use ruma_common::{EventId, OwnedEventId, RoomId, UserId};

use super::{errors, session::Session, token::Token};

type Result<T> = std::result::Result<T, MatrixError>;

/// How many whole states a request keeps in memory.
const SNAPSHOTS_MAX: usize = 16;

/// A stretch of a room's timeline.
pub(super) struct Stretch<'a> {
    pub(super) room_id: &'a RoomId,
    /// Where to start; `None` is the very end to start from.
    pub(super) from: Option<Token>,
    /// Where to stop; `None` is no bound.
    pub(super) to: Option<Token>,
    pub(super) direction: Direction,
    pub(super) limit: u32,
}

impl Session<'_> {
    fn read(&self, read: Read) -> Result<Answer> {
        match self.command(read)? {
            Reply::Read(answer) => Ok(answer),
            _ => Err(errors::unexpected_reply()),
        }
    }

    fn read_events(&self, read: Read) -> Result<Events> {
        match self.read(read)? {
            Answer::Events(events) => Ok(events),
            _ => Err(errors::unexpected_reply()),
        }
    }

    pub(super) fn newest_position(&self) -> Result<Position> {
        match self.read(Read::NewestPosition)? {
            Answer::Position(position) => Ok(position),
            _ => Err(errors::unexpected_reply()),
        }
    }

    /// How the user stands to the rooms that they have not forgotten.
    pub(super) fn memberships(&self) -> Result<Vec<LocalMembership>> {
        match self.read(Read::Memberships(self.user_id.clone()))? {
            Answer::Memberships(memberships) => self.without_forgotten(memberships),
            _ => Err(errors::unexpected_reply()),
        }
    }

    /// A room with its current state; `None` if we take no part in it.
    pub(super) fn room(&self, room_id: &RoomId) -> Result<Option<Box<LoadedRoom>>> {
        match self.read(Read::Room(room_id.to_owned()))? {
            Answer::Room(room) => Ok(room),
            _ => Err(errors::unexpected_reply()),
        }
    }

    pub(super) fn events(&self, event_ids: Vec<OwnedEventId>) -> Result<Events> {
        match event_ids.is_empty() {
            true => Ok(Vec::new()),
            false => self.read_events(Read::Events(event_ids)),
        }
    }

    pub(super) fn event(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>> {
        Ok(self.events(vec![event_id.to_owned()])?.into_iter().next())
    }

    pub(super) fn current_state(&self, room_id: &RoomId) -> Result<Events> {
        self.read_events(Read::CurrentState(room_id.to_owned()))
    }

    pub(super) fn current_state_event(
        &self,
        room_id: &RoomId,
        key: StateKey,
    ) -> Result<Option<Arc<StoredEvent>>> {
        let read = Read::CurrentStateEvent(room_id.to_owned(), key);
        Ok(self.read_events(read)?.into_iter().next())
    }

    pub(super) fn snapshot_events(&self, snapshot: SnapshotId) -> Result<Events> {
        self.read_events(Read::SnapshotEvents(snapshot))
    }

    /// A whole state. Neighbouring events share theirs, so the last ones read are kept.
    pub(super) fn snapshot(&self, id: SnapshotId) -> Result<Arc<StateMap>> {
        if let Some(state) = self.snapshots.borrow().get(&id) {
            return Ok(state.clone());
        }
        let entries = match self.read(Read::Snapshot(id))? {
            Answer::State(entries) => entries.unwrap_or_default(),
            _ => return Err(errors::unexpected_reply()),
        };
        let state = Arc::new(state_map(entries));
        if self.snapshots.borrow().len() >= SNAPSHOTS_MAX {
            self.snapshots.borrow_mut().clear();
        }
        self.snapshots.borrow_mut().insert(id, state.clone());
        Ok(state)
    }

    /// One event of a state.
    pub(super) fn snapshot_event(
        &self,
        id: SnapshotId,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>> {
        match self.snapshot(id)?.get(event_type, state_key) {
            Some(event_id) => self.event(event_id),
            None => Ok(None),
        }
    }

    /// A user's membership in a state; `leave` if there is none.
    pub(super) fn membership_in(&self, id: SnapshotId, user_id: &UserId) -> Result<String> {
        let event = self.snapshot_event(id, MEMBER, user_id.as_str())?;
        Ok(membership_of(event.as_deref()).to_owned())
    }

    /// Shown events from a time on, the nearest first.
    pub(super) fn by_time(
        &self,
        room_id: &RoomId,
        time: WallTime,
        direction: Direction,
        limit: u32,
    ) -> Result<Events> {
        self.read_events(Read::ByTime {
            room_id: room_id.to_owned(),
            time,
            direction,
            limit,
        })
    }

    /// The events of a stretch, in its direction.
    pub(super) fn timeline(&self, stretch: &Stretch<'_>) -> Result<Events> {
        let Stretch { from, to, .. } = stretch;
        let (from, to) = match stretch.direction {
            Direction::Backward => (from.map(Token::next_position), to.map(|to| to.0)),
            Direction::Forward => (from.map(|from| from.0), to.map(Token::next_position)),
        };
        self.read_events(Read::Timeline {
            room_id: stretch.room_id.to_owned(),
            from,
            to,
            direction: stretch.direction,
            limit: stretch.limit,
        })
    }
}

pub(super) fn state_map(entries: Vec<StateEntry>) -> StateMap {
    entries
        .into_iter()
        .map(|entry| (entry.key, entry.event_id))
        .collect()
}

/// What a member event says; no event says `leave`.
pub(super) fn membership_of(event: Option<&StoredEvent>) -> &str {
    event
        .and_then(|event| event.pdu.membership())
        .unwrap_or("leave")
}
