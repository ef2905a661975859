//! Taking in events that come with what authorises them instead of with their history: outliers,
//! and an event together with the state before it.

use std::sync::Arc;

use super::{
    Pdu, StateMap,
    event_type::CREATE,
    judging::judge,
    place,
    redacting::{redact_if_asked, redact_target},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        world::Room,
    },
    messaging::notice::Notice,
    persistence::{
        queries::Write,
        tables::{EventState, StoredEvent, Verdict},
    },
};

/// Events whose history we do not know.
#[derive(Clone, Debug)]
pub struct ImportOutliers {
    /// The events, in any order.
    pub events: Vec<Arc<Pdu>>,
}

impl ImportOutliers {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let judged = judge(&self.events, facts)?;
        Ok(Outcome {
            writes: judged.writes(),
            ..Outcome::default()
        })
    }
}

/// An event with the state before it, as another server says it was: taken in to step over a hole
/// in the history of a room that we are in.
#[derive(Clone, Debug)]
pub struct ImportEvent {
    /// The event.
    pub event: Arc<Pdu>,
    /// The state before it.
    pub state: Vec<Arc<Pdu>>,
    /// What authorises the state and the event.
    pub auth_chain: Vec<Arc<Pdu>>,
}

impl ImportEvent {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let room = facts.room(self.event.room_id())?;
        let given = self.state.iter().chain(&self.auth_chain);
        let events: Vec<_> = [&self.event].into_iter().chain(given).cloned().collect();
        let mut judged = judge(&events, facts)?;
        let state = judged.state(&self.state);
        let refuse = |reason: &str| Ok(Outcome::failed(self.event.event_id(), reason));
        if room.is_some_and(|room| !self.is_of(room, &state)) {
            return refuse("the state has another create event than the room");
        }
        let Some(event) = judged.take(&self.event) else {
            return refuse("the event is forged or not allowed by its auth events");
        };
        if let Err(reason) = judged.allows(&event.pdu, &state) {
            return refuse(&reason);
        }
        let mut outcome = Outcome {
            writes: judged.writes_of_state(),
            ..Outcome::default()
        };
        let before = match room {
            Some(room) => place::write_state(&room.current_state(), state, facts, &mut outcome),
            None => place::write_whole_state(state, facts, &mut outcome),
        };
        let after =
            place::state_after(&event.pdu, &before, &Verdict::Accepted, facts, &mut outcome);
        let stored = StoredEvent {
            state: Some(EventState {
                before: before.id,
                after: after.id,
            }),
            ..StoredEvent::clone(&event)
        };
        let stored = Arc::new(redact_if_asked(stored, facts)?);
        redact_target(&stored, Some(&before.state), facts, &mut outcome)?;
        outcome.notices.push(Notice::Hole {
            room_id: self.event.room_id().to_owned(),
            event_id: self.event.event_id().to_owned(),
        });
        outcome.writes.push(Write::Event(stored));
        Ok(outcome)
    }

    /// A room that we are in has the create event that we know; nothing precedes that one.
    fn is_of(&self, room: &Room, state: &StateMap) -> bool {
        let create = room.state.get(CREATE, "");
        let is_create = create == Some(self.event.event_id()) && state.is_empty();
        is_create || create == state.get(CREATE, "")
    }
}
