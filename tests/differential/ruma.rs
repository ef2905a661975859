//! The answers of ruma's crates, which read the same text by themselves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use comity_core::pdu::RoomVersion;
use comity_tests::rooms::{PublicKey, public_keys};
use ruma_common::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, RoomId, RoomVersionId, UserId, canonical_json::redact,
    room_version_rules::RoomVersionRules, serde::Base64,
};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_signatures::{PublicKeyMap, Verified};
use ruma_state_res::{Event, StateMap, utils::event_id_set::EventIdSet};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::answers::{Authorised, Oracle, Received, Taken, Verdict};

pub struct Ruma {
    rules: RoomVersionRules,
    keys: Vec<PublicKey>,
    events: BTreeMap<OwnedEventId, RumaEvent>,
}

/// An event as ruma's functions want to see it.
#[derive(Clone)]
struct RumaEvent {
    fields: Arc<Fields>,
    event_id: OwnedEventId,
    prev_events: Arc<[OwnedEventId]>,
    auth_events: Arc<[OwnedEventId]>,
    redacts: Option<OwnedEventId>,
    rejected: bool,
}

#[derive(Deserialize)]
struct Fields {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    r#type: TimelineEventType,
    content: Box<RawValue>,
    state_key: Option<String>,
}

impl Ruma {
    pub fn new() -> Self {
        let rules = rules(RoomVersion::DEFAULT);
        Self {
            rules,
            keys: public_keys(),
            events: BTreeMap::new(),
        }
    }

    fn check(&self, text: &str) -> Result<(Taken, RumaEvent), String> {
        let rules = &self.rules;
        let mut object: CanonicalJsonObject = serde_json::from_str(text).map_err(describe)?;
        object.remove("unsigned");
        ruma_state_res::check_pdu_format(&object, &rules.event_format)?;
        let keys = self.keys_valid_for(&object);
        let verified = ruma_signatures::verify_event(&keys, &object, rules).map_err(describe)?;
        let event_id = match object.get("event_id") {
            Some(event_id) if rules.event_format.require_event_id => {
                event_id.as_str().unwrap_or_default().to_owned()
            }
            _ => format!(
                "${}",
                ruma_signatures::reference_hash(&object, rules).map_err(describe)?
            ),
        };
        let redact = |object| redact(object, &rules.redaction, None).map_err(describe);
        let altered = verified == Verified::Signatures;
        let kept = if altered { redact(object)? } else { object };
        let event = RumaEvent::new(&event_id, &kept)?;
        let room_id = match event.room_id() {
            Some(room_id) => room_id.to_string(),
            None => event_id.replacen('$', "!", 1),
        };
        let kept_text = serde_json::to_string(&kept).map_err(describe)?;
        let redacted = serde_json::to_string(&redact(kept)?).map_err(describe)?;
        Ok((
            Taken {
                event_id,
                room_id,
                altered,
                kept: kept_text,
                redacted,
            },
            event,
        ))
    }

    /// Ruma leaves it to its caller to look at the validity of keys.
    fn keys_valid_for(&self, object: &CanonicalJsonObject) -> PublicKeyMap {
        let time = object
            .get("origin_server_ts")
            .and_then(|time| time.as_integer());
        let time = time.map_or(0, i64::from);
        let mut keys = PublicKeyMap::new();
        for key in &self.keys {
            if key.valid_until >= time || !self.rules.enforce_key_validity {
                let of_server = keys.entry(key.server.to_owned()).or_default();
                of_server.insert(key.key_id.to_owned(), Base64::new(key.bytes.to_vec()));
            }
        }
        keys
    }

    fn get(&self, event_id: &str) -> Option<RumaEvent> {
        self.events
            .get(<&EventId>::try_from(event_id).ok()?)
            .cloned()
    }

    fn on(&self, event: &RumaEvent, state: impl Iterator<Item = RumaEvent>) -> Verdict {
        let state: HashMap<_, _> = state
            .map(|event| {
                let key = event.state_key().unwrap_or_default().to_owned();
                ((event.event_type().to_string(), key), event)
            })
            .collect();
        ruma_state_res::check_state_dependent_auth_rules(
            &self.rules.authorization,
            event,
            |event_type, state_key| state.get(&(event_type.to_string(), state_key.to_owned())),
        )
    }

    /// The event's auth events, and the create event where only the room id names it.
    fn auth_events(&self, event: &RumaEvent) -> impl Iterator<Item = RumaEvent> {
        let create = event
            .room_id()
            .map(|room_id| format!("${}", room_id.strip_sigil()));
        let create = create.filter(|_| self.rules.authorization.room_create_event_id_as_room_id);
        let ids = event
            .auth_events
            .iter()
            .map(ToString::to_string)
            .chain(create);
        ids.filter_map(|id| self.get(&id))
    }

    /// These events and all that they reach through auth events.
    fn auth_chain(&self, from: impl IntoIterator<Item = OwnedEventId>) -> EventIdSet<OwnedEventId> {
        let mut to_visit: Vec<_> = from.into_iter().collect();
        let mut chain = EventIdSet::new();
        while let Some(id) = to_visit.pop() {
            if !chain.contains(&id)
                && let Some(event) = self.events.get(&id)
            {
                to_visit.extend(event.auth_events.iter().cloned());
                chain.insert(id);
            }
        }
        chain
    }

    /// All events on paths through auth events from one conflicted event to another.
    fn subgraph(&self, conflicted: &StateMap<Vec<OwnedEventId>>) -> EventIdSet<OwnedEventId> {
        let conflicted: Vec<_> = conflicted.values().flatten().cloned().collect();
        let reaches = |id: &&OwnedEventId| {
            let below = self.auth_chain([(*id).clone()]);
            conflicted.iter().any(|end| below.contains(end))
        };
        self.auth_chain(conflicted.clone())
            .iter()
            .filter(reaches)
            .cloned()
            .collect()
    }

    fn state_map(&self, state: &[String]) -> StateMap<OwnedEventId> {
        let events = state.iter().filter_map(|id| self.get(id));
        let entry = |event: RumaEvent| {
            let event_type = StateEventType::from(event.event_type().to_string());
            (
                (event_type, event.state_key().unwrap_or_default().to_owned()),
                event.event_id,
            )
        };
        events.map(entry).collect()
    }
}

impl Oracle for Ruma {
    fn name(&self) -> &'static str {
        "ruma"
    }

    fn begin(&mut self, version: RoomVersion) {
        self.rules = rules(version);
        self.events.clear();
    }

    fn receive(&mut self, text: &str) -> Received {
        match self.check(text) {
            Err(reason) => Received::Dropped(reason),
            Ok((taken, event)) => {
                self.events.insert(event.event_id.clone(), event);
                Received::Taken(taken)
            }
        }
    }

    fn reject(&mut self, event_id: &str) {
        let event_id = <&EventId>::try_from(event_id).unwrap();
        self.events.get_mut(event_id).unwrap().rejected = true;
    }

    fn authorise(&mut self, event_id: &str, state: &[String]) -> Authorised {
        let event = self.get(event_id).unwrap();
        let alone = ruma_state_res::check_state_independent_auth_rules(
            &self.rules.authorization,
            &event,
            |event_id| self.events.get(event_id),
        );
        Authorised {
            by_auth_events: alone.and_then(|()| self.on(&event, self.auth_events(&event))),
            on_state: self.on(&event, state.iter().filter_map(|id| self.get(id))),
        }
    }

    fn resolve(&mut self, states: &[Vec<String>]) -> Option<Result<BTreeSet<String>, String>> {
        let state_res = self.rules.state_res.v2_rules()?;
        let states: Vec<_> = states.iter().map(|state| self.state_map(state)).collect();
        let chains = states
            .iter()
            .map(|state| self.auth_chain(state.values().cloned()));
        let resolved = ruma_state_res::resolve(
            &self.rules.authorization,
            state_res,
            &states,
            chains.collect(),
            |event_id| self.events.get(event_id),
            |conflicted| Some(self.subgraph(conflicted)),
        );
        let ids = |state: StateMap<OwnedEventId>| state.values().map(ToString::to_string).collect();
        Some(resolved.map(ids).map_err(describe))
    }
}

impl RumaEvent {
    fn new(event_id: &str, object: &CanonicalJsonObject) -> Result<Self, String> {
        let json = serde_json::to_value(object).map_err(describe)?;
        let references = |field: &str| -> Result<Arc<[OwnedEventId]>, String> {
            let items = json[field].as_array().into_iter().flatten();
            let id = |item: &Value| {
                item.get(0)
                    .unwrap_or(item)
                    .as_str()
                    .map(OwnedEventId::try_from)
            };
            let ids = items.map(|item| {
                id(item)
                    .ok_or("no event id")?
                    .map_err(|_| "an odd event id")
            });
            Ok(ids.collect::<Result<_, _>>()?)
        };
        let redacts = json["redacts"]
            .as_str()
            .or(json["content"]["redacts"].as_str());
        Ok(Self {
            event_id: OwnedEventId::try_from(event_id).map_err(describe)?,
            prev_events: references("prev_events")?,
            auth_events: references("auth_events")?,
            redacts: redacts.and_then(|id| OwnedEventId::try_from(id).ok()),
            fields: Arc::new(serde_json::from_str(&json.to_string()).map_err(describe)?),
            rejected: false,
        })
    }
}

impl Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.fields.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.fields.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.fields.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.fields.r#type
    }

    fn content(&self) -> &RawValue {
        &self.fields.content
    }

    fn state_key(&self) -> Option<&str> {
        self.fields.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

fn rules(version: RoomVersion) -> RoomVersionRules {
    RoomVersionId::try_from(version.as_str())
        .unwrap()
        .rules()
        .unwrap()
}

fn describe(error: impl std::fmt::Display) -> String {
    error.to_string()
}
