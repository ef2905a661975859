//! Forks of a history that no honest server would write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{EventLookup, MissingEvents, resolve},
    room_version::EventIds,
};
use ruma_common::{EventId, OwnedEventId};
use serde_json::{Map, Value, json};

use super::events::{MadeUpRoom, chosen_id};

/// So many events at most, as many as a mask has bits.
const EVENTS_MAX: usize = 32;
/// So many states at most.
const STATES_MAX: usize = 5;

const USERS: [&str; 5] = [
    "@creator:a.example",
    "@alice:a.example",
    "@bob:b.example",
    "@carol:c.example",
    "no user",
];
const MEMBERSHIPS: [&str; 6] = ["join", "leave", "ban", "invite", "knock", "away"];
const LEVELS: [i64; 6] = [0, 25, 50, 75, 100, -1];
const JOIN_RULE_NAMES: [&str; 5] = ["public", "invite", "knock", "restricted", "odd"];

/// States of any graph of events resolve to one state, whatever their order and however often they
/// are named, and it is asked for no more events than there are.
pub fn resolve_states(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let history = History::read(&mut bytes);
    let states: Vec<_> = (0..STATES_MAX)
        .map_while(|_| bytes.mask())
        .map(|mask| history.state(mask))
        .collect();
    let version = history.version;
    let result = resolve(version, &states, &history.held);

    let mut others: Vec<_> = states.iter().rev().cloned().collect();
    others.extend(states.first().cloned());
    assert_eq!(resolve(version, &others, &history.held), result);
    assert_eq!(piece_by_piece(&history, &states), result.clone().ok());
    match result {
        Ok(resolved) => check_resolved(&resolved, &states, &history),
        Err(MissingEvents(ids)) => assert!(ids.iter().all(|id| history.held.get(id).is_none())),
    }
}

/// What all states agree on stands, and what stands was in a state or behind one.
fn check_resolved(resolved: &StateMap, states: &[StateMap], history: &History) {
    for (key, event_id) in resolved {
        let event = history.held.get(event_id);
        let is_for_key = |event: &Arc<Pdu>| event.is_state_for(key.0, key.1);
        assert!(event.is_some_and(is_for_key), "{key:?} is {event_id}");
    }
    let Some((first, others)) = states.split_first() else {
        return;
    };
    for (key, event_id) in first {
        let agreed = others
            .iter()
            .all(|other| other.get(key.0, key.1) == Some(event_id));
        assert!(
            !agreed || resolved.get(key.0, key.1) == Some(event_id),
            "{key:?} was lost"
        );
    }
}

/// Resolves with nothing at hand but what was asked for.
fn piece_by_piece(history: &History, states: &[StateMap]) -> Option<StateMap> {
    let mut held = Held {
        events: BTreeMap::new(),
        rejected: history.held.rejected.clone(),
    };
    loop {
        match resolve(history.version, states, &held) {
            Ok(state) => return Some(state),
            Err(MissingEvents(ids)) => {
                assert!(!ids.is_empty(), "asked for nothing");
                let found = ids.iter().filter_map(|id| history.held.get(id));
                let found: Vec<_> = found.cloned().collect();
                if found.len() < ids.len() {
                    return None;
                }
                for event in found {
                    let event_id = event.event_id().to_owned();
                    let before = held.events.insert(event_id, event);
                    assert!(before.is_none(), "asked for twice");
                }
            }
        }
    }
}

struct Held {
    events: BTreeMap<OwnedEventId, Arc<Pdu>>,
    rejected: BTreeSet<OwnedEventId>,
}

impl EventLookup for Held {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.events.get(event_id)
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        self.rejected.contains(event_id)
    }
}

/// A room's events, in the order in which they were made.
struct History {
    version: RoomVersion,
    in_order: Vec<Arc<Pdu>>,
    held: Held,
}

impl History {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let mut room = MadeUpRoom::new(bytes.next());
        let version = room.version();
        let mut history = Self {
            version,
            in_order: Vec::new(),
            held: Held {
                events: BTreeMap::new(),
                rejected: BTreeSet::new(),
            },
        };
        for index in 0..usize::from(bytes.next()).min(EVENTS_MAX) {
            history.add(index, &mut room, bytes);
        }
        history
    }

    fn add(&mut self, index: usize, room: &mut MadeUpRoom, bytes: &mut Bytes<'_>) {
        let (flags, mask) = (bytes.next(), bytes.mask().unwrap_or_default());
        let fields = fields(index, bytes);
        let cited = self.cited(mask);
        let cited: Vec<_> = cited.iter().map(String::as_str).collect();
        let Some(event) = room.event(fields, &cited) else {
            return;
        };
        let event_id = event.event_id().to_owned();
        if flags & 1 == 1 {
            self.held.rejected.insert(event_id.clone());
        }
        self.held
            .events
            .entry(event_id)
            .or_insert_with(|| event.clone());
        self.in_order.push(event);
    }

    /// The ids of the events in a mask: earlier ones, or any where servers choose the ids.
    fn cited(&self, mask: u32) -> Vec<String> {
        let chosen = self.version.rules().event_ids == EventIds::Chosen;
        let id = |index: usize| match self.in_order.get(index) {
            Some(event) => Some(event.event_id().to_string()),
            None => chosen.then(|| chosen_id(index)),
        };
        bits(mask).filter_map(id).take(10).collect()
    }

    /// The state of the events in a mask; of two for one key the later.
    fn state(&self, mask: u32) -> StateMap {
        let events = bits(mask).filter_map(|index| self.in_order.get(index));
        let entry = |event: &Arc<Pdu>| {
            let key = StateKey::new(event.event_type(), event.state_key()?);
            Some((key, event.event_id().to_owned()))
        };
        events.filter_map(entry).collect()
    }
}

/// What the next event says.
fn fields(index: usize, bytes: &mut Bytes<'_>) -> Map<String, Value> {
    let sender = bytes.pick(&USERS[..]);
    let (event_type, state_key, content) = match bytes.next() % 8 {
        _ if index == 0 => (CREATE, "", json!({ "creator": sender })),
        0..=2 => {
            let content = json!({ "membership": bytes.pick(&MEMBERSHIPS) });
            (MEMBER, bytes.pick(&USERS), content)
        }
        3 | 4 => (POWER_LEVELS, "", levels(bytes)),
        5 => {
            let content = json!({ "join_rule": bytes.pick(&JOIN_RULE_NAMES) });
            (JOIN_RULES, "", content)
        }
        6 => (CREATE, "", json!({ "creator": sender })),
        _ => ("x", bytes.pick(&["", "a", "@bob:b.example"]), json!({})),
    };
    let fields = json!({
        "type": event_type, "state_key": state_key, "sender": sender, "content": content,
        "origin_server_ts": bytes.next() % 4, "depth": bytes.next(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn levels(bytes: &mut Bytes<'_>) -> Value {
    let (user, level) = (bytes.pick(&USERS), bytes.pick(&LEVELS));
    json!({
        "users": { user: level, "@alice:a.example": bytes.pick(&LEVELS) },
        "events": { "x": bytes.pick(&LEVELS) },
        "ban": bytes.pick(&LEVELS),
    })
}

fn bits(mask: u32) -> impl Iterator<Item = usize> {
    (0..EVENTS_MAX).filter(move |bit| mask >> bit & 1 == 1)
}

/// The fuzzer's bytes, as choices; zeroes when they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Four bytes as bits, if there are any left.
    fn mask(&mut self) -> Option<u32> {
        let is_left = !self.0.is_empty();
        is_left.then(|| u32::from_le_bytes(std::array::from_fn(|_| self.next())))
    }

    fn pick<T: Copy + Default>(&mut self, items: &[T]) -> T {
        let index = usize::from(self.next()).checked_rem(items.len());
        let item = index.and_then(|index| items.get(index));
        item.copied().unwrap_or_default()
    }
}
