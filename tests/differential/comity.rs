//! Comity's answers. Each resolution is also made in another order of the states, with one of them
//! twice, and from events that come in piece by piece.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    authorisation::{AuthEvent, check_auth_events, check_state},
    event_type::CREATE,
    resolution::{EventLookup, MissingEvents, resolve},
    signing::{KnownKeys, PublicKey, VerifyKey, verify_event},
};
use comity_tests::rooms::public_keys;
use ruma_common::{EventId, OwnedEventId, OwnedServerName};

use crate::answers::{Authorised, Oracle, Received, Taken, Verdict};

pub struct Comity {
    version: RoomVersion,
    keys: KnownKeys,
    events: Events,
}

#[derive(Default)]
struct Events {
    all: BTreeMap<String, Arc<Pdu>>,
    rejected: BTreeSet<String>,
    cited_by: BTreeMap<String, Vec<OwnedEventId>>,
}

impl Events {
    fn insert(&mut self, event: Pdu) {
        for cited in event.auth_events() {
            let citing = self.cited_by.entry(cited.to_string()).or_default();
            citing.push(event.event_id().to_owned());
        }
        let event_id = event.event_id().to_string();
        self.all.insert(event_id, Arc::new(event));
    }
}

impl EventLookup for Events {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.all.get(event_id.as_str())
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.rejected.contains(event_id.as_str())
    }

    fn cited_by(&self, event_id: &EventId) -> Option<&[OwnedEventId]> {
        Some(
            self.cited_by
                .get(event_id.as_str())
                .map_or(&[], |citing| citing),
        )
    }
}

/// Some of the events, without a word on who cites them.
struct Held<'a> {
    events: &'a Events,
    ids: BTreeSet<OwnedEventId>,
}

impl EventLookup for Held<'_> {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        let held = self.ids.contains(event_id);
        self.events.get(event_id).filter(|_| held)
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.events.is_rejected(event_id)
    }
}

impl Comity {
    pub fn new() -> Self {
        let mut keys: BTreeMap<OwnedServerName, Vec<_>> = BTreeMap::new();
        for key in public_keys() {
            let server = OwnedServerName::try_from(key.server).unwrap();
            keys.entry(server).or_default().push(VerifyKey {
                key_id: key.key_id.to_owned(),
                public_key: PublicKey::new(key.bytes),
                valid_until: key.valid_until,
                retired: false,
            });
        }
        let keys = keys.into_iter().map(|(server, keys)| (server, keys.into()));
        Self {
            version: RoomVersion::DEFAULT,
            keys: keys.collect(),
            events: Events::default(),
        }
    }

    fn check(&self, text: &str) -> Result<Taken, String> {
        let event = Pdu::parse(text, self.version).map_err(|error| error.to_string())?;
        verify_event(&event, &self.keys).map_err(|error| error.to_string())?;
        let altered = !event.has_claimed_content();
        let kept = if altered { event.redacted() } else { event };
        Ok(Taken {
            event_id: kept.event_id().to_string(),
            room_id: kept.room_id().to_string(),
            altered,
            kept: kept.json().to_owned(),
            redacted: kept.redacted().json().to_owned(),
        })
    }

    fn all<'a>(&self, event_ids: impl IntoIterator<Item = &'a str>) -> Vec<Arc<Pdu>> {
        let known = event_ids
            .into_iter()
            .filter_map(|id| self.events.all.get(id));
        known.cloned().collect()
    }

    /// The create event that is not among the event's auth events, where room ids tell it.
    fn create_named_by_room(&self, event: &Pdu) -> Option<Arc<Pdu>> {
        let named = event.room_version().rules().room_id_is_create_event;
        let event_id = format!("${}", event.room_id().strip_sigil());
        self.events.all.get(&event_id).filter(|_| named).cloned()
    }

    fn alone(&self, event: &Pdu) -> Verdict {
        fn judged<'a>(events: &Events, event: &'a Arc<Pdu>) -> AuthEvent<'a> {
            AuthEvent {
                event,
                rejected: events.is_rejected(event.event_id()),
            }
        }
        let auth = self.all(event.auth_events().iter().map(|id| id.as_str()));
        let auth: Vec<_> = auth
            .iter()
            .map(|event| judged(&self.events, event))
            .collect();
        let create = self.create_named_by_room(event);
        let create = create.as_ref().map(|event| judged(&self.events, event));
        check_auth_events(event, &auth, create).map_err(|denied| denied.to_string())
    }

    fn on(&self, event: &Pdu, state: Vec<Arc<Pdu>>) -> Verdict {
        let create = state
            .iter()
            .find(|event| event.is_state_for(CREATE, ""))
            .cloned();
        match create {
            Some(create) => {
                check_state(event, &create, &state).map_err(|denied| denied.to_string())
            }
            None if event.event_type() == CREATE => Ok(()),
            None => Err("the state lacks the create event".to_owned()),
        }
    }

    /// Resolves with no event at hand but those that were asked for before.
    fn resolved_piece_by_piece(&self, states: &[StateMap]) -> StateMap {
        let mut held = Held {
            events: &self.events,
            ids: BTreeSet::new(),
        };
        loop {
            match resolve(self.version, states, &held) {
                Ok(resolved) => return resolved,
                Err(MissingEvents(missing)) => {
                    let known = held.ids.len();
                    held.ids.extend(missing.iter().cloned());
                    assert_eq!(held.ids.len(), known + missing.len(), "asked for twice");
                    assert!(!missing.is_empty());
                }
            }
        }
    }

    fn state_map(&self, state: &[String]) -> StateMap {
        let entry = |event: Arc<Pdu>| {
            let key = StateKey::new(event.event_type(), event.state_key().unwrap());
            (key, event.event_id().to_owned())
        };
        self.all(state.iter().map(String::as_str))
            .into_iter()
            .map(entry)
            .collect()
    }
}

impl Oracle for Comity {
    fn name(&self) -> &'static str {
        "Comity"
    }

    fn begin(&mut self, version: RoomVersion) {
        self.version = version;
        self.events = Events::default();
    }

    fn receive(&mut self, text: &str) -> Received {
        match self.check(text) {
            Err(reason) => Received::Dropped(reason),
            Ok(taken) => {
                // What was kept must be readable again, or it could not be stored.
                let kept = Pdu::parse(&taken.kept, self.version).unwrap();
                self.events.insert(kept);
                Received::Taken(taken)
            }
        }
    }

    fn reject(&mut self, event_id: &str) {
        self.events.rejected.insert(event_id.to_owned());
    }

    fn authorise(&mut self, event_id: &str, state: &[String]) -> Authorised {
        let event = self.events.all[event_id].clone();
        let mut auth_events = self.all(event.auth_events().iter().map(|id| id.as_str()));
        auth_events.extend(self.create_named_by_room(&event));
        let alone = self.alone(&event);
        Authorised {
            by_auth_events: alone.and_then(|()| self.on(&event, auth_events)),
            on_state: self.on(&event, self.all(state.iter().map(String::as_str))),
        }
    }

    fn resolve(&mut self, states: &[Vec<String>]) -> Option<Result<BTreeSet<String>, String>> {
        let states: Vec<_> = states.iter().map(|state| self.state_map(state)).collect();
        let resolved = resolve(self.version, &states, &self.events).unwrap();
        assert_eq!(
            self.resolved_piece_by_piece(&states),
            resolved,
            "with events that come later"
        );
        let mut others = states;
        others.reverse();
        others.push(others[0].clone());
        assert_eq!(
            self.resolved_piece_by_piece(&others),
            resolved,
            "in another order"
        );
        Some(Ok(resolved.iter().map(|(_, id)| id.to_string()).collect()))
    }
}
