//! Judging by facts: the rules of [`super::authorisation`], given what the engine holds.

use std::sync::Arc;

use ruma_common::OwnedEventId;

use super::{
    Pdu, StateMap,
    auth_events::needed_state,
    authorisation::{self, AuthEvent, Denied, PowerLevels},
    event_type::{CREATE, POWER_LEVELS},
    hash::create_event_id_of_room,
    state::Entry,
};
use crate::{
    engine::facts::{Blocked, EventsById, Facts},
    persistence::tables::StoredEvent,
};

/// The part of a state that an event is judged by.
pub struct View {
    create: Option<Arc<Pdu>>,
    events: Vec<Arc<Pdu>>,
}

impl View {
    /// The part of `state` that `event` is judged by.
    pub fn of(state: &StateMap, event: &Pdu, facts: &Facts<'_>) -> Result<Self, Blocked> {
        let needed = needed_state(event, event.room_version());
        Self::with(state, needed.entries(), facts)
    }

    /// The given entries of a state.
    pub fn with<'a>(
        state: &StateMap,
        entries: impl IntoIterator<Item = Entry<'a>>,
        facts: &Facts<'_>,
    ) -> Result<Self, Blocked> {
        let entries = entries.into_iter();
        let ids = entries.filter_map(|(event_type, state_key)| state.get(event_type, state_key));
        Ok(Self::made_of(counting(facts.all_held(ids)?)))
    }

    /// What `event` names as authorising it, as far as that is here, and the create event.
    pub fn of_auth_events(event: &Pdu, facts: &Facts<'_>) -> Result<Self, Blocked> {
        let named_by_room = create_event_named_by_room(event);
        let ids = event.auth_events().iter().chain(named_by_room.as_deref());
        Ok(Self::made_of(counting(facts.all_held(ids)?)))
    }

    /// The part of a state that these events are.
    #[must_use]
    pub fn made_of(events: Vec<Arc<Pdu>>) -> Self {
        let create = events.iter().find(|event| event.is_state_for(CREATE, ""));
        Self {
            create: create.cloned(),
            events,
        }
    }

    /// Whether the rules allow `event` in this state.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, event: &Pdu) -> Result<(), Denied> {
        match (&self.create, event.event_type()) {
            (Some(create), _) => authorisation::check_state(event, create, &self.events),
            (None, CREATE) => Ok(()),
            (None, _) => Err(Denied::no_create_event(event)),
        }
    }

    /// One event of the view.
    #[must_use]
    pub fn event(&self, event_type: &str, state_key: &str) -> Option<&Arc<Pdu>> {
        self.events
            .iter()
            .find(|event| event.is_state_for(event_type, state_key))
    }

    /// The power levels in this state.
    #[must_use]
    pub fn power_levels(&self) -> Option<PowerLevels<'_>> {
        let levels = self.event(POWER_LEVELS, "").map(|event| &**event);
        self.create
            .as_deref()
            .map(|create| PowerLevels::new(create, levels))
    }
}

/// What stands in a state and was rejected since does not count.
fn counting(found: EventsById) -> Vec<Arc<Pdu>> {
    let found = found.into_values();
    let counting = found.filter(|event| event.counts());
    counting.map(|event| event.pdu.clone()).collect()
}

/// Check 4 on receipt of a PDU: judges an event by the events that it names as authorising it.
///
/// # Errors
/// Why it is rejected.
pub fn check_by_auth_events(
    event: &Pdu,
    auth: &[Arc<StoredEvent>],
    create: Option<&Arc<StoredEvent>>,
) -> Result<(), Denied> {
    let named: Vec<AuthEvent<'_>> = auth.iter().map(auth_event).collect();
    authorisation::check_auth_events(event, &named, create.map(auth_event))?;
    let in_auth = || auth.iter().find(|event| event.pdu.event_type() == CREATE);
    let Some(create) = create.or_else(in_auth) else {
        return if event.event_type() == CREATE {
            Ok(())
        } else {
            Err(Denied::no_create_event(event))
        };
    };
    let mut view: Vec<Arc<Pdu>> = auth.iter().map(|event| event.pdu.clone()).collect();
    view.push(create.pdu.clone());
    authorisation::check_state(event, &create.pdu, &view)
}

fn auth_event(event: &Arc<StoredEvent>) -> AuthEvent<'_> {
    AuthEvent {
        event: &event.pdu,
        rejected: !event.counts(),
    }
}

/// The create event that a room's id names, in versions where it does.
#[must_use]
pub fn create_event_named_by_room(event: &Pdu) -> Option<OwnedEventId> {
    let named = event.room_version().rules().room_id_is_create_event;
    named
        .then(|| create_event_id_of_room(event.room_id()).ok())
        .flatten()
}
