//! What a client must be told of a room's state besides the timeline.
//!
//! The timeline alone does not make a client's state right: it may be cut, forks may have been
//! merged otherwise than in the order of positions, and the state of a joined room comes with no
//! place in the timeline at all. So what the client knows is compared with where the room ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::{
    messaging::command::Events,
    pdu::StateMap,
    persistence::{
        queries::Direction,
        tables::{SnapshotId, StoredEvent},
    },
    transport::matrix_error::MatrixError,
};
use ruma_common::{EventId, OwnedEventId, RoomId};

use super::{
    super::{room_reads::Stretch, session::Session, token::Token},
    room::Timeline,
};

/// The state of a room at the end of what is told. It may be newer than that.
pub(super) struct EndState {
    pub(super) id: SnapshotId,
    pub(super) state: Arc<StateMap>,
}

/// What the client knows of the room's state.
pub(super) enum Known {
    /// It is new to it.
    Nothing,
    /// This.
    State(SnapshotId),
}

impl Session<'_> {
    /// The state after the last event up to a place.
    pub(super) fn known_state(&self, room_id: &RoomId, after: Token) -> Result<Known, MatrixError> {
        let last = self.timeline(&Stretch {
            room_id,
            from: Some(after),
            to: None,
            direction: Direction::Backward,
            limit: 1,
        })?;
        let state = last.first().and_then(|event| event.state);
        Ok(state.map_or(Known::Nothing, |state| Known::State(state.after)))
    }

    /// The state that is new at the end of the timeline.
    pub(super) fn state_after(
        &self,
        known: &Known,
        end: &EndState,
        until: Token,
    ) -> Result<Events, MatrixError> {
        let known = self.known_map(known)?;
        let changed = known.diff(&end.state).filter_map(|change| change.after);
        let events = self.events(changed.map(EventId::to_owned).collect())?;
        Ok(events
            .into_iter()
            .filter(|event| is_told_by(event, until))
            .collect())
    }

    /// The state that is new at the start of the timeline, and what of the end's state the
    /// timeline does not say.
    pub(super) fn state_before(
        &self,
        known: &Known,
        end: &EndState,
        until: Token,
        timeline: &Timeline,
    ) -> Result<Events, MatrixError> {
        let is_settled = matches!(known, Known::State(id) if *id == end.id);
        if is_settled && !timeline.limited {
            return Ok(Vec::new());
        }
        let known_map = self.known_map(known)?;
        let in_timeline: BTreeSet<&EventId> = timeline
            .events
            .iter()
            .map(|event| event.pdu.event_id())
            .collect();
        let at_end = self.state_after(known, end, until)?;
        let mut told: BTreeMap<(String, String), Arc<StoredEvent>> = BTreeMap::new();
        if timeline.limited || matches!(known, Known::Nothing) {
            let start = self.state_at_start(&known_map, end, timeline)?;
            told.extend(start.into_iter().filter_map(keyed));
        }
        let is_news = |event: &Arc<StoredEvent>| !in_timeline.contains(event.pdu.event_id());
        told.extend(at_end.into_iter().filter(is_news).filter_map(keyed));
        Ok(told.into_values().collect())
    }

    /// What was new before the first event of a timeline, of what is not again at the end as the
    /// client knows it.
    fn state_at_start(
        &self,
        known: &StateMap,
        end: &EndState,
        timeline: &Timeline,
    ) -> Result<Events, MatrixError> {
        let Some(state) = timeline.events.first().and_then(|event| event.state) else {
            return Ok(Vec::new());
        };
        let start = self.snapshot(state.before)?;
        let changed = known.diff(&start);
        let changed = changed.filter(|change| {
            let (event_type, state_key) = change.key;
            end.state.get(event_type, state_key) != change.before
        });
        let changed: Vec<OwnedEventId> = changed
            .filter_map(|change| change.after)
            .map(EventId::to_owned)
            .collect();
        self.events(changed)
    }

    fn known_map(&self, known: &Known) -> Result<Arc<StateMap>, MatrixError> {
        match known {
            Known::Nothing => Ok(Arc::default()),
            Known::State(id) => self.snapshot(*id),
        }
    }
}

/// Later events belong to the next answer. Those without a position came with the room.
fn is_told_by(event: &StoredEvent, until: Token) -> bool {
    event.position.is_none_or(|position| position <= until.0)
}

fn keyed(event: Arc<StoredEvent>) -> Option<((String, String), Arc<StoredEvent>)> {
    let key = (
        event.pdu.event_type().to_owned(),
        event.pdu.state_key()?.to_owned(),
    );
    Some((key, event))
}
