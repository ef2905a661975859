//! Taking in events that come with what authorises them instead of with their history: outliers,
//! and an event together with the state before it.
//!
//! Both judge events in the order in which they authorise each other, each by the events that it
//! names (checks 1 to 4). What is forged or cannot be judged is left out; the rest goes on
//! (JOIN-6).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{OwnedEventId, OwnedServerName, OwnedUserId};

use super::{
    Pdu, StateKey, StateMap,
    admit::check_genuine,
    event_type::CREATE,
    place::{self, NamedState},
    redacting::redact_if_asked,
    view,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Fate, JobAnswer, Outcome},
        registry::Identity,
        world::Room,
    },
    messaging::{
        command::{CommandError, Reply},
        notice::Notice,
    },
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

/// What an event with the state before it is taken in for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To step over a hole in the history of a room that we are in.
    Bridge,
    /// To enter a room: the event is the join of this user of ours.
    Join(OwnedUserId),
}

/// An event with the state before it, as another server says it was.
#[derive(Clone, Debug)]
pub struct ImportEvent {
    /// The server that says so.
    pub from: OwnedServerName,
    /// The event.
    pub event: Arc<Pdu>,
    /// The state before it.
    pub state: Vec<Arc<Pdu>>,
    /// What authorises the state and the event.
    pub auth_chain: Vec<Arc<Pdu>>,
    /// What for.
    pub purpose: Purpose,
}

impl ImportEvent {
    /// See [`crate::engine::registry`].
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        Some(match self.purpose {
            Purpose::Bridge => Identity::Event(self.event.event_id().to_owned()),
            Purpose::Join(_) => Identity::Join(self.event.room_id().to_owned()),
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let room = facts.room(self.event.room_id())?;
        let mut events: Vec<_> = self.state.iter().chain(&self.auth_chain).cloned().collect();
        events.push(self.event.clone());
        let mut judged = judge(&events, facts)?;
        let state = judged.state(&self.state);
        if let Err(reason) = self.is_of(room, &state) {
            return Ok(self.refuse(reason));
        }
        let Some(event) = judged.take(&self.event) else {
            return Ok(self.refuse("the event is forged or not allowed by its auth events"));
        };
        if let Err(reason) = judged.allows(&event.pdu, &state) {
            return Ok(self.refuse(&reason));
        }
        let mut outcome = Outcome {
            writes: judged.writes(),
            ..Outcome::default()
        };
        let before = match room {
            Some(room) => place::write_state(&room.current_state(), state, facts, &mut outcome),
            None => place::write_whole_state(state, facts, &mut outcome),
        };
        let after =
            place::state_after(&event.pdu, &before, &Verdict::Accepted, facts, &mut outcome);
        let state = EventState {
            before: before.id,
            after: after.id,
        };
        match &self.purpose {
            Purpose::Bridge => {
                let stored = StoredEvent {
                    state: Some(state),
                    ..StoredEvent::clone(&event)
                };
                let stored = redact_if_asked(stored, facts)?;
                outcome.notices.push(Notice::Hole {
                    room_id: self.event.room_id().to_owned(),
                    event_id: self.event.event_id().to_owned(),
                });
                outcome.writes.push(Write::Event(Arc::new(stored)));
            }
            Purpose::Join(_) => {
                self.enter(room, &event, state, after, &judged, facts, &mut outcome)
            }
        }
        Ok(outcome)
    }

    /// A room that we are in has the create event that we know; nothing precedes that one.
    fn is_of(&self, room: Option<&Room>, state: &StateMap) -> Result<(), &'static str> {
        let Some(room) = room.filter(|_| matches!(self.purpose, Purpose::Bridge)) else {
            return Ok(());
        };
        let create = room.state.get(CREATE, "");
        let is_create = create == Some(self.event.event_id()) && state.is_empty();
        match is_create || create == state.get(CREATE, "") {
            true => Ok(()),
            false => Err("the state has another create event than the room"),
        }
    }

    /// The room begins for us, or begins anew, with our join.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it describes the one moment of entering"
    )]
    fn enter(
        &self,
        known: Option<&Room>,
        event: &Arc<StoredEvent>,
        state: EventState,
        after: NamedState,
        judged: &Judged,
        facts: &Facts<'_>,
        outcome: &mut Outcome,
    ) {
        let position = outcome.counters(facts).newest();
        let stored = Arc::new(StoredEvent {
            state: Some(state),
            position: Some(position),
            ..StoredEvent::clone(event)
        });
        let old = known.map(|room| room.state.clone()).unwrap_or_default();
        let mut room = Room::new(self.event.room_id().to_owned(), self.event.room_version());
        room.extremities.insert(self.event.event_id().to_owned());
        room.least_depth = self.event.depth();
        for member in after.state.iter().filter_map(|(_, id)| judged.find(id)) {
            if let (Some("join"), Some(Ok(user_id))) = (
                member.pdu.membership(),
                member.pdu.state_key().map(OwnedUserId::try_from),
            ) {
                room.set_joined(&user_id, true);
            }
        }
        if let Some(Ok(user_id)) = self.event.state_key().map(OwnedUserId::try_from) {
            room.set_joined(&user_id, true);
            place::note_membership(&user_id, &stored, Some(position), outcome);
        }
        let changes = place::changes(&old, &after.state);
        room.current = after.id;
        room.state = after.state;
        outcome
            .writes
            .insert(0, Write::RoomVersion(room.room_id.clone(), room.version));
        outcome.writes.push(Write::Event(stored.clone()));
        outcome.writes.push(Write::Room {
            record: room.record(),
            changes,
        });
        outcome.notices.push(Notice::Event(stored));
        let reply = Reply::Room(room.room_id.clone());
        outcome.answer = Some(JobAnswer::Command(Ok(reply)));
        outcome.rooms.push(room);
    }

    fn refuse(&self, reason: &str) -> Outcome {
        match self.purpose {
            Purpose::Bridge => Outcome::failed(self.event.event_id(), reason),
            Purpose::Join(_) => {
                let reason = format!("{} gave a room state that is no good: {reason}", self.from);
                let fate = Fate::Failed(self.event.event_id().to_owned(), reason.clone());
                Outcome {
                    fate,
                    ..Outcome::complete(Err(CommandError::Unreachable(reason)))
                }
            }
        }
    }
}

/// Events that were judged by their auth events, and those known before that they name.
pub struct Judged {
    new: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    known: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
}

impl Judged {
    /// The new ones.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.new.values().cloned().map(Write::Event).collect()
    }

    /// One of them, new or known.
    #[must_use]
    pub fn find(&self, event_id: &ruma_common::EventId) -> Option<&Arc<StoredEvent>> {
        self.new.get(event_id).or_else(|| self.known.get(event_id))
    }

    /// One that is to be stored in another way than as an outlier; `None` if it was rejected.
    fn take(&mut self, event: &Pdu) -> Option<Arc<StoredEvent>> {
        let known = || self.known.get(event.event_id()).cloned();
        let taken = self.new.remove(event.event_id()).or_else(known);
        taken.filter(|event| !event.verdict.is_rejected())
    }

    /// The state that those of `events` make up that were accepted.
    fn state(&self, events: &[Arc<Pdu>]) -> StateMap {
        let mut state = StateMap::new();
        for event in events {
            let accepted = self
                .find(event.event_id())
                .is_some_and(|event| !event.verdict.is_rejected());
            if let Some(state_key) = event.state_key().filter(|_| accepted) {
                let key = StateKey::new(event.event_type(), state_key);
                if state.get_key(&key).is_none() {
                    state.insert(key, event.event_id().to_owned());
                }
            }
        }
        state
    }

    /// Check 5 with everything at hand.
    fn allows(&self, event: &Pdu, state: &StateMap) -> Result<(), String> {
        let at = |event_type: &str, state_key: &str| {
            state
                .get(event_type, state_key)
                .and_then(|id| self.find(id))
                .map(|e| e.pdu.clone())
        };
        let Some(create) = at(CREATE, "") else {
            return match event.event_type() {
                CREATE => Ok(()),
                _ => Err("the state has no create event".to_owned()),
            };
        };
        let needed = super::auth_events::needed_state(event, event.room_version());
        let view: Vec<Arc<Pdu>> = needed
            .entries()
            .filter_map(|(event_type, state_key)| at(event_type, state_key))
            .collect();
        super::authorisation::check_state(event, &create, &view).map_err(|error| error.to_string())
    }
}

/// Judges events by the events that they name (checks 2 to 4).
pub fn judge(events: &[Arc<Pdu>], facts: &Facts<'_>) -> Result<Judged, Blocked> {
    let ids: BTreeSet<OwnedEventId> = events
        .iter()
        .map(|event| event.event_id().to_owned())
        .collect();
    let named = events.iter().flat_map(|event| {
        event
            .auth_events()
            .iter()
            .map(ToOwned::to_owned)
            .chain(view::create_event_named_by_room(event))
    });
    let looked_up: BTreeSet<OwnedEventId> = ids.iter().cloned().chain(named).collect();
    let known = facts.all_held(looked_up.iter().map(|id| &**id))?;
    let unknown: Vec<_> = events
        .iter()
        .filter(|event| !known.contains_key(event.event_id()))
        .cloned()
        .collect();
    let keys = facts.keys_for(&unknown)?;
    let signatures = match unknown.is_empty() {
        true => &[],
        false => facts.signatures(&unknown, keys)?,
    };
    let genuine = unknown
        .iter()
        .zip(signatures)
        .filter_map(|(event, signatures)| {
            let genuine = check_genuine(event, signatures).ok()?;
            Some((event.event_id().to_owned(), genuine))
        });
    Ok(judge_in_order(genuine.collect(), known))
}

/// Judges each event after those that authorise it. An event that names one which is neither here
/// nor known cannot be judged and is left out. Auth chains have no cycles, since an event's id is
/// a hash of the ids it names.
fn judge_in_order(
    mut waiting: BTreeMap<OwnedEventId, Arc<Pdu>>,
    known: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
) -> Judged {
    let mut judged = Judged {
        new: BTreeMap::new(),
        known,
    };
    let roots: Vec<OwnedEventId> = waiting.keys().cloned().collect();
    let mut stack = Vec::new();
    for root in roots {
        stack.push(root);
        while let Some(event_id) = stack.last() {
            let Some(event) = waiting.get(event_id) else {
                stack.pop();
                continue;
            };
            let named = event.auth_events().iter().map(ToOwned::to_owned);
            let named = named.chain(view::create_event_named_by_room(event));
            let first: Vec<_> = named
                .filter(|id| id != event_id && waiting.contains_key(id))
                .collect();
            if first.is_empty() {
                let event = event.clone();
                waiting.remove(event.event_id());
                stack.pop();
                judged.judge(event);
            } else {
                stack.extend(first);
            }
        }
    }
    judged
}

impl Judged {
    fn judge(&mut self, event: Arc<Pdu>) {
        let auth: Option<Vec<_>> = event
            .auth_events()
            .iter()
            .map(|id| self.find(id).cloned())
            .collect();
        let Some(auth) = auth else { return };
        let create = view::create_event_named_by_room(&event);
        let create = create.and_then(|id| self.find(&id).cloned());
        let verdict = match view::check_by_auth_events(&event, &auth, create.as_ref()) {
            Ok(()) => Verdict::Accepted,
            Err(denied) => Verdict::Rejected(denied.to_string()),
        };
        let stored = StoredEvent::outlier(event.clone(), verdict);
        self.new
            .insert(event.event_id().to_owned(), Arc::new(stored));
    }
}
