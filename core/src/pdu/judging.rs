//! Judging events by the events that they name as authorising them (checks 2 to 4), where what came
//! before them is not known.
//!
//! They are judged in the order in which they authorise each other. What is forged or cannot be
//! judged is left out; the rest goes on (JOIN-6). What cannot be verified only because a server does
//! not tell its keys keeps its place in a state, to be judged when the keys can be had
//! ([`Verdict::unverified`]): left out for good it would part us from those who could verify it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};

use super::{
    Pdu, StateKey, StateMap, admit::check_genuine, event_type::CREATE, signing::SignatureError,
    view,
};
use crate::{
    engine::facts::{Blocked, Facts},
    keys,
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
    /// Those that could not be verified for want of keys, or that name such a one.
    unverified: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    known: BTreeMap<OwnedEventId, Arc<StoredEvent>>,
}

impl Judged {
    /// The new ones.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.new.values().cloned().map(Write::Event).collect()
    }

    /// The new ones, and those that stand in a state without having been verified, with what
    /// authorises them.
    #[must_use]
    pub fn writes_of_state(&self) -> Vec<Write> {
        let unverified = self.unverified.values().cloned().map(Write::Event);
        self.writes().into_iter().chain(unverified).collect()
    }

    /// One of them that counts, or stands in a state without having been verified.
    #[must_use]
    pub fn standing(&self, event_id: &EventId) -> Option<&Arc<StoredEvent>> {
        let found = self.find(event_id).filter(|event| event.counts());
        found.or_else(|| self.unverified.get(event_id))
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

    /// The state that those of `events` make up that were accepted or may yet be.
    #[must_use]
    pub fn state(&self, events: &[Arc<Pdu>]) -> StateMap {
        let mut state = StateMap::new();
        for event in events {
            let stands = self.standing(event.event_id()).is_some();
            if let Some(state_key) = event.state_key().filter(|_| stands) {
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
                .and_then(|id| self.standing(id))
                .filter(|event| event.counts())
                .map(|event| event.pdu.clone())
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
    let (unverified, known): (BTreeMap<_, _>, _) = known
        .into_iter()
        .partition(|(_, event)| event.verdict.is_unverified());
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
        true => Vec::new(),
        false => facts.signatures(&unknown, keys)?,
    };
    let (mut genuine, mut silent) = (BTreeMap::new(), BTreeSet::new());
    for (event, signatures) in unknown.iter().zip(signatures) {
        let event_id = event.event_id().to_owned();
        if let Ok(event) = check_genuine(event, signatures) {
            genuine.insert(event_id, event);
        } else if is_for_want_of_keys(event, signatures, facts) {
            silent.insert(event_id.clone());
            genuine.insert(event_id, event.clone());
        }
    }
    let mut judged = Judged {
        new: BTreeMap::new(),
        unverified,
        known,
    };
    for event in in_order(&genuine) {
        judged.judge(event.clone(), silent.contains(event.event_id()));
    }
    Ok(judged)
}

/// Whether signatures may well hold, by keys that their server has not told since this was begun.
/// For how long a retired key was valid is told once and for all.
pub fn is_for_want_of_keys(
    event: &Pdu,
    signatures: &Result<(), SignatureError>,
    facts: &Facts<'_>,
) -> bool {
    let Err(SignatureError::NoValidKey(server)) = signatures else {
        return false;
    };
    let keys = facts.keys_of(server);
    let is_retired = |id| keys.iter().any(|key| key.retired && key.key_id == id);
    let mut needed = keys::needed_for(event).into_iter();
    let is_open = needed.any(|(signer, key_id)| signer == server && !is_retired(key_id));
    is_open && !facts.told_keys_since(server, facts.begun())
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
    /// Judges an event after those that authorise it. One that names an event which is neither here
    /// nor known cannot be judged and is left out.
    fn judge(&mut self, event: Arc<Pdu>, is_unverified: bool) {
        let event_id = event.event_id().to_owned();
        let (mut auth, mut rests_on_unverified) = (Vec::new(), is_unverified);
        for id in event.auth_events() {
            let Some(named) = self.find(id).or_else(|| self.unverified.get(id)) else {
                return;
            };
            rests_on_unverified |= named.verdict.is_unverified() && !named.counts();
            auth.push(named.clone());
        }
        if rests_on_unverified {
            let stored = StoredEvent::outlier(event, Verdict::unverified());
            self.unverified.insert(event_id, Arc::new(stored));
            return;
        }
        let create = view::create_event_named_by_room(&event);
        let create = create.and_then(|id| self.find(&id).cloned());
        let verdict = match view::check_by_auth_events(&event, &auth, create.as_ref()) {
            Ok(()) => Verdict::Accepted,
            Err(denied) => Verdict::Rejected(denied.to_string()),
        };
        self.unverified.remove(&event_id);
        let stored = StoredEvent::outlier(event, verdict);
        self.new.insert(event_id, Arc::new(stored));
    }
}
