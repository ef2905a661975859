//! State resolution: one state out of several, when a room's history forks (room versions, "State
//! resolution").
//!
//! [`resolve`] is a pure function. It never guesses: if it has to look at an event that the caller
//! does not hold, it answers with all events it is known to need, and the caller loads them, best
//! together with their auth chains, and asks again. Its result does not depend on the order of the
//! states.
//!
//! Where the specification can be read in two ways, this follows Synapse, since a server that
//! resolves otherwise than most is the one whose state "resets":
//! - the auth chain of a state holds the state's own events (`auth_difference`);
//! - besides power levels, join rules, kicks and bans, create events count as power events, and the
//!   first two only with an empty state key (`power_order`);
//! - the events that accompany the power events are collected by walking only through the full
//!   conflicted set (`power_order`);
//! - a rejected event never enters the resolved state (`iterative_auth`).

mod auth_difference;
mod conflicts;
mod iterative_auth;
mod mainline;
mod power_order;
mod trace;
mod version_1;
mod version_2;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};
use thiserror::Error;

use self::trace::Observer;
pub use self::trace::{Conflict, Place, Replayed, Resolution, Trace, Verdict};
use super::{Pdu, RoomVersion, StateMap, room_version::StateResolution};

/// The events that [`resolve`] may look at.
pub trait EventLookup {
    /// The event, if it is at hand.
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>>;

    /// Whether the event was rejected. Asked only of events that are at hand.
    fn is_rejected(&self, event_id: &EventId) -> bool;
}

/// No event counts as rejected.
impl EventLookup for BTreeMap<OwnedEventId, Arc<Pdu>> {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        BTreeMap::get(self, event_id)
    }

    fn is_rejected(&self, _: &EventId) -> bool {
        false
    }
}

/// Events that [`resolve`] needs and that are not at hand.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("state resolution needs {} events that are not at hand", .0.len())]
pub struct MissingEvents(pub BTreeSet<OwnedEventId>);

/// The state that follows from these states of one room.
///
/// # Errors
/// Names events that are needed and not at hand.
pub fn resolve(
    version: RoomVersion,
    states: &[StateMap],
    events: &impl EventLookup,
) -> Result<StateMap, MissingEvents> {
    resolve_observed(version, states, events, &mut ())
}

/// As [`resolve`], and how it came about.
///
/// # Errors
/// Names events that are needed and not at hand.
pub fn resolve_traced(
    version: RoomVersion,
    states: &[StateMap],
    events: &impl EventLookup,
) -> Result<Resolution, MissingEvents> {
    let mut trace = Trace::default();
    let state = resolve_observed(version, states, events, &mut trace)?;
    Ok(Resolution { state, trace })
}

fn resolve_observed<'a>(
    version: RoomVersion,
    states: &'a [StateMap],
    events: &'a impl EventLookup,
    observer: &mut impl Observer,
) -> Result<StateMap, MissingEvents> {
    let Some((first, others)) = states.split_first() else {
        return Ok(StateMap::new());
    };
    if others.iter().all(|other| other == first) {
        return Ok(first.clone());
    }
    let mut events = Events {
        lookup: events,
        missing: BTreeSet::new(),
    };
    match version.rules().state_resolution {
        StateResolution::V1 => version_1::resolve(first, others, &mut events, observer),
        StateResolution::V2 | StateResolution::V2_1 => {
            version_2::resolve(version, first, others, &mut events, observer)
        }
    }
}

/// A set of events, in the order of their ids.
type EventSet<'a> = BTreeMap<&'a EventId, &'a Arc<Pdu>>;

/// The events at hand, and a list of those that turned out to be missing.
struct Events<'a, L> {
    lookup: &'a L,
    missing: BTreeSet<OwnedEventId>,
}

impl<'a, L: EventLookup> Events<'a, L> {
    fn get(&mut self, event_id: &EventId) -> Option<&'a Arc<Pdu>> {
        let event = self.lookup.get(event_id);
        if event.is_none() {
            self.missing.insert(event_id.to_owned());
        }
        event
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.lookup.is_rejected(event_id)
    }

    /// The first of the event's auth events that is the state event for this key.
    fn auth_event(
        &mut self,
        event: &Pdu,
        event_type: &str,
        state_key: &str,
    ) -> Option<&'a Arc<Pdu>> {
        let mut auth_events = event
            .auth_events()
            .iter()
            .filter_map(|event_id| self.get(event_id));
        auth_events.find(|event| event.is_state_for(event_type, state_key))
    }

    /// The value, if everything that went into it was at hand.
    fn unless_missing<T>(&mut self, value: T) -> Result<T, MissingEvents> {
        if self.missing.is_empty() {
            Ok(value)
        } else {
            Err(MissingEvents(std::mem::take(&mut self.missing)))
        }
    }
}
