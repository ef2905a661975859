//! Judging events by the events that they name as authorising them (checks 2 to 4), where what came
//! before them is not known.
//!
//! They are judged in the order in which they authorise each other. What is forged or cannot be
//! judged is left out; the rest goes on (JOIN-6).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};

use super::{Pdu, StateKey, StateMap, admit::check_genuine, event_type::CREATE, view};
use crate::{
    engine::facts::{Blocked, Facts},
    persistence::{
        queries::Write,
        tables::{StoredEvent, Verdict},
    },
};

/// For so many events at once the keys of their servers are asked for: many servers are away, and
/// a room may have as many servers as members.
const KEYS_FOR_AT_ONCE: usize = 10_000;

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
    pub fn find(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        self.new.get(event_id).or_else(|| self.known.get(event_id))
    }

    /// One that is to be stored in another way than as an outlier; `None` if it was rejected.
    pub fn take(&mut self, event: &Pdu) -> Option<Arc<StoredEvent>> {
        let known = || self.known.get(event.event_id()).cloned();
        let taken = self.new.remove(event.event_id()).or_else(known);
        taken.filter(|event| !event.verdict.is_rejected())
    }

    /// The state that those of `events` make up that were accepted.
    #[must_use]
    pub fn state(&self, events: &[Arc<Pdu>]) -> StateMap {
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
    ///
    /// # Errors
    /// Why the state does not allow the event.
    pub fn allows(&self, event: &Pdu, state: &StateMap) -> Result<(), String> {
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

/// Judges events by the events that they name (checks 2 to 4). Of several with one id the first
/// counts.
pub fn judge(events: &[Arc<Pdu>], facts: &Facts<'_>) -> Result<Judged, Blocked> {
    let ids = events.iter().map(|event| event.event_id().to_owned());
    let looked_up: BTreeSet<OwnedEventId> = ids
        .chain(events.iter().flat_map(|event| authorising(event)))
        .collect();
    let known = facts.all_held(looked_up.iter().map(|id| &**id))?;
    let mut seen = BTreeSet::new();
    let unknown: Vec<_> = events
        .iter()
        .filter(|event| !known.contains_key(event.event_id()) && seen.insert(event.event_id()))
        .cloned()
        .collect();
    for some in unknown.chunks(KEYS_FOR_AT_ONCE) {
        facts.keys_for(some)?;
    }
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
    Ok(judge_in_order(&genuine.collect(), known))
}

/// Judges each event after those that authorise it. An event that names one which is neither here
/// nor known cannot be judged and is left out.
fn judge_in_order(
    genuine: &BTreeMap<OwnedEventId, Arc<Pdu>>,
    known: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
) -> Judged {
    let mut judged = Judged {
        new: BTreeMap::new(),
        known,
    };
    for event in in_order(genuine) {
        judged.judge(event.clone());
    }
    judged
}

/// Events in an order in which each comes after those of them that authorise it. Where servers
/// choose ids, events can name each other in a circle: these have no place in it.
fn in_order(events: &BTreeMap<OwnedEventId, Arc<Pdu>>) -> Vec<&Arc<Pdu>> {
    let mut lacking: BTreeMap<&EventId, usize> = BTreeMap::new();
    let mut named_by: BTreeMap<OwnedEventId, Vec<&Arc<Pdu>>> = BTreeMap::new();
    let mut ready = VecDeque::new();
    for event in events.values() {
        let named = authorising(event).filter(|id| events.contains_key(id));
        let named: BTreeSet<OwnedEventId> = named.collect();
        if named.is_empty() {
            ready.push_back(event);
        }
        lacking.insert(event.event_id(), named.len());
        for event_id in named {
            named_by.entry(event_id).or_default().push(event);
        }
    }
    let mut ordered = Vec::new();
    while let Some(event) = ready.pop_front() {
        ordered.push(event);
        for next in named_by.remove(event.event_id()).unwrap_or_default() {
            let Some(count) = lacking.get_mut(next.event_id()) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                ready.push_back(next);
            }
        }
    }
    ordered
}

/// The events that authorise one, as it says.
fn authorising(event: &Pdu) -> impl Iterator<Item = OwnedEventId> {
    let create = view::create_event_named_by_room(event);
    let create = create.filter(|create| create != event.event_id());
    event
        .auth_events()
        .iter()
        .map(ToOwned::to_owned)
        .chain(create)
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
