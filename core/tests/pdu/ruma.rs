//! The same room as ruma's crates see it: an independent reading of the specification to compare
//! ours with.

use std::{collections::HashMap, sync::Arc};

use comity_core::pdu::{Pdu, RoomVersion, StateMap, authorisation::AuthEvent, state::Entry};
use ruma_common::{EventId, OwnedEventId, RoomVersionId, room_version_rules::RoomVersionRules};
use ruma_events::StateEventType;
use ruma_state_res::utils::event_id_set::EventIdSet;

use crate::ruma_event::RumaEvent;

pub fn rules(version: RoomVersion) -> RoomVersionRules {
    RoomVersionId::try_from(version.as_str())
        .unwrap()
        .rules()
        .unwrap()
}

pub fn check_state(event: &Arc<Pdu>, state: &[Arc<Pdu>]) -> Result<(), String> {
    let state: HashMap<_, _> = state
        .iter()
        .map(|pdu| {
            (
                (pdu.event_type(), pdu.state_key().unwrap()),
                RumaEvent::new(pdu, false),
            )
        })
        .collect();
    ruma_state_res::check_state_dependent_auth_rules(
        &rules(event.room_version()).authorization,
        RumaEvent::new(event, false),
        |event_type, state_key| {
            state
                .get(&(event_type.to_string().as_str(), state_key))
                .cloned()
        },
    )
}

pub fn check_auth_events(event: &Arc<Pdu>, known: &[AuthEvent<'_>]) -> Result<(), String> {
    ruma_state_res::check_state_independent_auth_rules(
        &rules(event.room_version()).authorization,
        RumaEvent::new(event, false),
        |event_id| {
            let found = known
                .iter()
                .find(|known| known.event.event_id() == event_id)?;
            Some(RumaEvent::new(
                &Arc::new(found.event.clone()),
                found.rejected,
            ))
        },
    )
}

/// Resolves with auth chains that hold the states' own events, and with the conflicted subgraph
/// found in the plainest way: by following every path.
pub fn resolve<'a>(
    version: RoomVersion,
    states: &[StateMap],
    get: &(impl Fn(&EventId) -> Option<&'a Arc<Pdu>> + Copy),
) -> StateMap {
    type RumaState = ruma_state_res::StateMap<OwnedEventId>;
    let rules = rules(version);
    let as_ruma = |state: &StateMap| -> RumaState {
        let entry = |((event_type, state_key), id): (Entry<'_>, &EventId)| {
            let key = (StateEventType::from(event_type), state_key.to_owned());
            (key, id.to_owned())
        };
        state.iter().map(entry).collect()
    };
    let maps: Vec<_> = states.iter().map(as_ruma).collect();
    let chain = |from: &mut dyn Iterator<Item = OwnedEventId>| {
        let mut to_visit: Vec<OwnedEventId> = from.collect();
        let mut chain = EventIdSet::new();
        while let Some(id) = to_visit.pop() {
            to_visit.extend(
                get(&id)
                    .unwrap()
                    .auth_events()
                    .iter()
                    .map(ToOwned::to_owned),
            );
            chain.insert(id);
        }
        chain
    };
    let chains = maps
        .iter()
        .map(|map| chain(&mut map.values().cloned()))
        .collect();
    let resolved = ruma_state_res::resolve(
        &rules.authorization,
        rules.state_res.v2_rules().unwrap(),
        &maps,
        chains,
        |event_id| get(event_id).map(|pdu| RumaEvent::new(pdu, false)),
        |conflicted: &ruma_state_res::StateMap<Vec<OwnedEventId>>| {
            let conflicted: Vec<_> = conflicted.values().flatten().cloned().collect();
            let reachable = chain(&mut conflicted.iter().cloned());
            let reaches = |id: &&OwnedEventId| {
                let below = chain(&mut std::iter::once((*id).clone()));
                conflicted.iter().any(|end| below.contains(end))
            };
            Some(reachable.iter().filter(reaches).cloned().collect())
        },
    );
    let entry = |((event_type, key), id): ((StateEventType, String), OwnedEventId)| {
        (
            comity_core::pdu::StateKey::new(event_type.to_string(), key),
            id,
        )
    };
    resolved.unwrap().into_iter().map(entry).collect()
}
