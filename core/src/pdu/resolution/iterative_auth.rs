//! Replaying events over a state, keeping those that are allowed (room versions, version 2,
//! "Iterative auth checks").

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{EventId, OwnedEventId};

use super::{EventLookup, Events, Observer, Place, Verdict};
use crate::pdu::{
    Pdu, StateKey, StateMap,
    auth_events::needed_state,
    authorisation::{Denied, check_state},
    event_type::CREATE,
    hash::create_event_id_of_room,
};

/// A partially resolved state: where it started, and what entered it since.
pub(super) struct Resolving {
    start: StateMap,
    entered: BTreeMap<StateKey, OwnedEventId>,
}

impl Resolving {
    pub fn new(start: StateMap) -> Self {
        Self {
            start,
            entered: BTreeMap::new(),
        }
    }

    pub fn get_key(&self, key: &StateKey) -> Option<&EventId> {
        self.entered
            .get(key)
            .map(|event_id| &**event_id)
            .or_else(|| self.start.get_key(key))
    }

    /// Takes in, one after the other, the events that the state allows by then.
    ///
    /// A rejected event never enters. The specification would let it, if the state allows it now;
    /// this is what Synapse does.
    pub fn apply<'a, L: EventLookup>(
        &mut self,
        in_order: &[(&'a Arc<Pdu>, Place)],
        events: &mut Events<'a, L>,
        observer: &mut impl Observer,
    ) {
        for (event, place) in in_order {
            let verdict = self.verdict(event, events);
            if verdict == Verdict::Allowed
                && let Some(state_key) = event.state_key()
            {
                let key = StateKey::new(event.event_type(), state_key);
                self.entered.insert(key, event.event_id().to_owned());
            }
            observer.judged(event, *place, verdict);
        }
    }

    fn verdict<L: EventLookup>(&self, event: &Pdu, events: &mut Events<'_, L>) -> Verdict {
        if events.is_rejected(event.event_id()) {
            return Verdict::Rejected;
        }
        let view = self.state_for(event, events);
        let create = view.iter().find(|event| event.is_state_for(CREATE, ""));
        let allowed = match create {
            Some(create) => check_state(event, create, &view),
            None => Err(Denied::no_create_event(event)),
        };
        allowed.into()
    }

    /// What the event is judged by: this state for the keys that the rules need, then the event's
    /// own auth events, leaving out rejected ones.
    fn state_for<L: EventLookup>(&self, event: &Pdu, events: &mut Events<'_, L>) -> Vec<Arc<Pdu>> {
        let keys: Vec<_> = needed_state(event, event.room_version())
            .entries()
            .map(|(event_type, state_key)| StateKey::new(event_type, state_key))
            .collect();
        let resolved = keys.iter().filter_map(|key| self.get_key(key));
        let create = create_event_id(event);
        let ids = resolved
            .chain(event.auth_events().iter().map(|id| &**id))
            .chain(create.as_deref());
        ids.filter_map(|event_id| {
            events
                .get(event_id)
                .filter(|_| !events.is_rejected(event_id))
        })
        .cloned()
        .collect()
    }

    /// The resolved state: the entries that all states agree on go before what was replayed.
    pub fn finish(self, unconflicted: &StateMap) -> StateMap {
        let mut state = unconflicted.clone();
        for (key, event_id) in self.entered {
            if unconflicted.get_key(&key).is_none() {
                state.insert(key, event_id);
            }
        }
        state
    }
}

/// The create event of the event's room: the one its room id names, or the one among its auth
/// events.
pub(super) fn create_event_of<'a, L: EventLookup>(
    event: &Pdu,
    events: &mut Events<'a, L>,
) -> Option<&'a Arc<Pdu>> {
    match create_event_id(event) {
        Some(event_id) => events.get(&event_id),
        None => events.auth_event(event, CREATE, ""),
    }
}

/// The id of the room's create event, if the room id tells it.
fn create_event_id(event: &Pdu) -> Option<OwnedEventId> {
    let told = event.room_version().rules().room_id_is_create_event;
    told.then(|| create_event_id_of_room(event.room_id()).ok())
        .flatten()
}
