//! Entering a room that another server gave us for a join (JOIN-6).
//!
//! Every event of it is judged by the events that it names (checks 2 to 4), and the join by the
//! state too (check 5). What is forged, rejected or cannot be judged is left out of the state, and
//! what cannot be verified at present does not count in it, as nothing that the join rests on: else
//! the join cannot be judged either, and the next server is tried.

use std::sync::Arc;

use ruma_common::{OwnedServerName, OwnedUserId};

use super::{
    RemoteJoin,
    candidates::{Failure, RoomFault},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        world::Room,
    },
    messaging::{command::Reply, notice::Notice},
    pdu::{
        Pdu, StateKey, StateMap,
        event_type::MEMBER,
        judging::{Judged, judge},
        place,
    },
    persistence::{
        queries::Write,
        tables::{EventState, StoredEvent, Verdict},
    },
};

/// A room that another server gave us.
#[derive(Clone, Debug)]
pub struct EnterRoom {
    /// The join that it was given for.
    pub join: RemoteJoin,
    /// Who gave it.
    pub server: OwnedServerName,
    /// The join event.
    pub event: Arc<Pdu>,
    /// The state before it.
    pub state: Vec<Arc<Pdu>>,
    /// What authorises the state and the event.
    pub auth_chain: Vec<Arc<Pdu>>,
}

impl EnterRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let known = facts.room(&self.join.room_id)?;
        let judged = judge(&self.given(), facts)?;
        Ok(match self.check(judged, Extent::Whole) {
            Ok(entered) => self.enter(entered, known, facts),
            Err(fault) => self.join.failed(&self.server, Failure::Room(fault)),
        })
    }

    /// Everything that came, the join first.
    pub(super) fn given(&self) -> Vec<Arc<Pdu>> {
        let given = self.state.iter().chain(&self.auth_chain);
        [&self.event].into_iter().chain(given).cloned().collect()
    }

    /// Whether what came is a room that the join may have been taken in.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn check(&self, mut judged: Judged, extent: Extent) -> Result<Entered, RoomFault> {
        let mut state = judged.state(&self.state);
        if extent == Extent::Part {
            self.add_named_members(&judged, &mut state);
        }
        let join = judged.take(&self.event);
        let join = join.filter(|join| join.pdu.is_same_event(&self.event));
        let join = join.ok_or(RoomFault::NotAuthorised)?;
        judged
            .allows(&join.pdu, &state)
            .map_err(RoomFault::NotAllowed)?;
        Ok(Entered {
            state,
            join,
            judged,
        })
    }

    /// Adds to a state without members those whom the join names as authorising it.
    fn add_named_members(&self, judged: &Judged, state: &mut StateMap) {
        for event_id in self.event.auth_events() {
            let named = judged.standing(event_id).map(|event| &event.pdu);
            if let Some(member) = named.filter(|event| event.event_type() == MEMBER)
                && let Some(state_key) = member.state_key()
                && state.get(MEMBER, state_key).is_none()
            {
                state.insert(StateKey::new(MEMBER, state_key), event_id.to_owned());
            }
        }
    }

    /// The room begins for us, or begins anew, with our join.
    fn enter(&self, entered: Entered, known: Option<&Room>, facts: &Facts<'_>) -> Outcome {
        let Entered {
            state,
            join,
            judged,
        } = entered;
        let left_out = self.state.len().saturating_sub(state.iter().count());
        tracing::info!(room = %self.join.room_id, server = %self.server, left_out, "room entered");
        let version = Write::RoomVersion(self.join.room_id.clone(), self.event.room_version());
        let mut outcome = Outcome {
            writes: [version]
                .into_iter()
                .chain(judged.writes_of_state())
                .collect(),
            ..Outcome::default()
        };
        let before = place::write_whole_state(state, facts, &mut outcome);
        let after = place::state_after(&join.pdu, &before, &Verdict::Accepted, facts, &mut outcome);
        let position = outcome.counters(facts).newest();
        let stored = Arc::new(StoredEvent {
            state: Some(EventState {
                before: before.id,
                after: after.id,
            }),
            position: Some(position),
            ..StoredEvent::clone(&join)
        });
        let old = known.map(|room| room.state.clone()).unwrap_or_default();
        let changes = place::changes(&old, &after.state);
        let mut room = self.room(&after.state, &judged);
        (room.current, room.state) = (after.id, after.state);
        place::note_membership(&self.join.user_id, &stored, Some(position), &mut outcome);
        outcome.writes.push(Write::Event(stored.clone()));
        outcome.writes.push(Write::Room {
            record: room.record(),
            changes,
        });
        outcome.notices.push(Notice::Event(stored));
        outcome.rooms.push(room);
        self.join.end(Ok(()), &mut outcome);
        outcome.with_reply(Reply::Room(self.join.room_id.clone()))
    }

    /// The room, with those who are joined in this state.
    fn room(&self, state: &StateMap, judged: &Judged) -> Room {
        let mut room = Room::new(self.join.room_id.clone(), self.event.room_version());
        room.extremities.insert(self.event.event_id().to_owned());
        room.least_depth = self.event.depth();
        let standing = state.iter().filter_map(|(_, id)| judged.standing(id));
        for member in standing.filter(|event| event.counts()) {
            if let (Some("join"), Some(Ok(user_id))) = (
                member.pdu.membership(),
                member.pdu.state_key().map(OwnedUserId::try_from),
            ) {
                room.set_joined(&user_id, true);
            }
        }
        room.set_joined(&self.join.user_id, true);
        room
    }
}

/// How much of a room's state came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// All but members.
    Part,
}

/// A room that may be entered.
pub(super) struct Entered {
    state: StateMap,
    join: Arc<StoredEvent>,
    judged: Judged,
}
