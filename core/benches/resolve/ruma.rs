//! The same cases as ruma-state-res sees them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use comity_core::pdu::{Pdu, StateMap, state::Entry};
use ruma_common::{EventId, OwnedEventId, RoomVersionId, room_version_rules::RoomVersionRules};
use ruma_events::StateEventType;
use ruma_state_res::utils::event_id_set::EventIdSet;

use crate::{room::Case, ruma_event::RumaEvent};

type RumaState = ruma_state_res::StateMap<OwnedEventId>;

/// A case with all that ruma is given: states, auth chains and the conflicted subgraph are made
/// before the clock runs.
pub struct RumaCase {
    rules: RoomVersionRules,
    events: HashMap<OwnedEventId, RumaEvent>,
    states: Vec<RumaState>,
    chains: Vec<EventIdSet<OwnedEventId>>,
    subgraph: EventIdSet<OwnedEventId>,
}

/// What one resolution uses up.
pub type Chains = Vec<EventIdSet<OwnedEventId>>;

impl RumaCase {
    pub fn new(case: &Case) -> Self {
        let version = RoomVersionId::try_from(case.version.as_str()).unwrap();
        let event =
            |(id, pdu): (&OwnedEventId, &Arc<Pdu>)| (id.clone(), RumaEvent::new(pdu, false));
        let ids = |state: &StateMap| state.iter().map(|(_, id)| id.to_owned()).collect();
        Self {
            rules: version.rules().unwrap(),
            events: case.events.iter().map(event).collect(),
            states: case.states.iter().map(as_ruma).collect(),
            chains: case
                .states
                .iter()
                .map(|state| chain(case, ids(state)))
                .collect(),
            subgraph: subgraph(case),
        }
    }

    pub fn chains(&self) -> Chains {
        self.chains.clone()
    }

    pub fn resolve(&self, chains: Chains) -> RumaState {
        ruma_state_res::resolve(
            &self.rules.authorization,
            self.rules.state_res.v2_rules().unwrap(),
            &self.states,
            chains,
            |event_id| self.events.get(event_id).cloned(),
            |_: &ruma_state_res::StateMap<Vec<OwnedEventId>>| Some(self.subgraph.clone()),
        )
        .unwrap()
    }
}

pub fn as_ruma(state: &StateMap) -> RumaState {
    let entry = |((event_type, state_key), id): (Entry<'_>, &EventId)| {
        let key = (StateEventType::from(event_type), state_key.to_owned());
        (key, id.to_owned())
    };
    state.iter().map(entry).collect()
}

/// These events and all behind them.
fn chain(case: &Case, mut to_visit: Vec<OwnedEventId>) -> EventIdSet<OwnedEventId> {
    let mut chain = HashSet::new();
    while let Some(event_id) = to_visit.pop() {
        if chain.insert(event_id.clone()) {
            to_visit.extend(case.event(&event_id).auth_events().to_vec());
        }
    }
    chain.into_iter().collect()
}

/// The events between two conflicted ones.
fn subgraph(case: &Case) -> EventIdSet<OwnedEventId> {
    let mut conflicted = HashSet::new();
    for other in &case.states {
        for change in case.states[0].diff(other) {
            conflicted.extend([change.before, change.after].into_iter().flatten());
        }
    }
    let ids: Vec<_> = conflicted.iter().map(|id| (*id).to_owned()).collect();
    let mut cited_by: HashMap<&EventId, Vec<&EventId>> = HashMap::new();
    let below = chain(case, ids.clone());
    for event_id in below.iter() {
        for cited in case.event(event_id).auth_events() {
            cited_by.entry(cited).or_default().push(event_id);
        }
    }
    let mut found = HashSet::new();
    let mut to_visit: Vec<&EventId> = ids.iter().map(|id| &**id).collect();
    while let Some(event_id) = to_visit.pop() {
        if found.insert(event_id.to_owned()) {
            to_visit.extend(cited_by.get(event_id).into_iter().flatten());
        }
    }
    found.into_iter().collect()
}
