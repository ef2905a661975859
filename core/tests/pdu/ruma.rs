//! The same room as ruma's crates see it: an independent reading of the specification to compare
//! ours with.

use std::{collections::HashMap, sync::Arc};

use comity_core::pdu::{Pdu, RoomVersion, StateMap, authorisation::AuthEvent, state::Entry};
use ruma_common::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, RoomVersionId, UserId,
    room_version_rules::RoomVersionRules,
};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_state_res::{Event, utils::event_id_set::EventIdSet};
use serde_json::value::RawValue;

pub fn rules(version: RoomVersion) -> RoomVersionRules {
    RoomVersionId::try_from(version.as_str())
        .unwrap()
        .rules()
        .unwrap()
}

#[derive(Clone)]
pub struct RumaEvent(Arc<Inner>);

struct Inner {
    pdu: Arc<Pdu>,
    event_id: OwnedEventId,
    event_type: TimelineEventType,
    content: Box<RawValue>,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
    rejected: bool,
}

impl RumaEvent {
    pub fn new(pdu: &Arc<Pdu>) -> Self {
        Self::judged(pdu, false)
    }

    pub fn judged(pdu: &Arc<Pdu>, rejected: bool) -> Self {
        let content = serde_json::to_string(&pdu.content()).unwrap();
        Self(Arc::new(Inner {
            pdu: pdu.clone(),
            event_id: pdu.event_id().to_owned(),
            event_type: pdu.event_type().into(),
            content: RawValue::from_string(content).unwrap(),
            prev_events: pdu.prev_events().to_vec(),
            auth_events: pdu.auth_events().to_vec(),
            redacts: pdu.redacts().map(ToOwned::to_owned),
            rejected,
        }))
    }
}

impl Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.0.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        let rules = self.0.pdu.room_version().rules();
        let named = !rules.room_id_is_create_event || self.0.pdu.event_type() != "m.room.create";
        named.then(|| self.0.pdu.room_id())
    }

    fn sender(&self) -> &UserId {
        self.0.pdu.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        serde_json::from_value(self.0.pdu.origin_server_ts().into()).unwrap()
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.0.event_type
    }

    fn content(&self) -> &RawValue {
        &self.0.content
    }

    fn state_key(&self) -> Option<&str> {
        self.0.pdu.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.0.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.0.rejected
    }
}

pub fn check_state(event: &Arc<Pdu>, state: &[Arc<Pdu>]) -> Result<(), String> {
    let state: HashMap<_, _> = state
        .iter()
        .map(|pdu| {
            (
                (pdu.event_type(), pdu.state_key().unwrap()),
                RumaEvent::new(pdu),
            )
        })
        .collect();
    ruma_state_res::check_state_dependent_auth_rules(
        &rules(event.room_version()).authorization,
        RumaEvent::new(event),
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
        RumaEvent::new(event),
        |event_id| {
            let found = known
                .iter()
                .find(|known| known.event.event_id() == event_id)?;
            Some(RumaEvent::judged(
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
        |event_id| get(event_id).map(RumaEvent::new),
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
