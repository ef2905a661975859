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
mod graph;
mod iterative_auth;
mod mainline;
mod numbers;
mod power_order;
mod tables;
mod trace;
mod version_1;
mod version_2;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};
use thiserror::Error;

pub use self::trace::{Conflict, Place, Replayed, Resolution, Trace, Verdict};
use self::{conflicts::Conflicts, graph::Graph, trace::Observer};
use super::{Pdu, RoomVersion, StateMap, room_version::StateResolution};

/// The events that [`resolve`] may look at.
pub trait EventLookup {
    /// The event, if it is at hand.
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>>;

    /// Whether the event was rejected. Asked only of events that are at hand.
    fn is_rejected(&self, event_id: &EventId) -> bool;

    /// All events that name this one among their auth events, if the caller can tell.
    ///
    /// Asked of few events, and only if an event is in the auth chain of one state and may be in
    /// that of another. A caller that cannot tell makes resolution walk the whole state then.
    fn cited_by(&self, _event_id: &EventId) -> Option<&[OwnedEventId]> {
        None
    }
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
    trace.finish();
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
    let conflicts = Conflicts::between(first, others);
    if conflicts.is_empty() {
        return Ok(first.clone());
    }
    let mut graph = Graph::new(events, &conflicts);
    match version.rules().state_resolution {
        StateResolution::V1 => version_1::resolve(&conflicts, &mut graph, observer),
        algorithm => {
            conflicts.tell(observer);
            version_2::resolve(algorithm, &conflicts, &mut graph, observer)
        }
    }
}
