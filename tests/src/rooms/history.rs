//! A room as it grows.

use std::collections::BTreeMap;

use comity_core::pdu::{RoomVersion, room_version::EventIds};
use serde_json::{Value, json};

use super::{
    deeds,
    dice::Dice,
    draft::{Draft, server_of},
    edits::{self, Scene},
    past::{KnownEvent, Standing, State, View},
    tampering,
};

/// How many ends the branches of a room have at most.
const MAX_TIPS: usize = 6;

/// How many events are proposed before the room may fork.
const UNFORKED_PROPOSALS: usize = 4;

/// A room with a forking history. See the module for how to go on with it.
#[derive(Clone, Debug)]
pub struct History {
    version: RoomVersion,
    dice: Dice,
    events: BTreeMap<String, KnownEvent>,
    tips: Vec<Tip>,
    /// The tips that the next event follows.
    parents: Vec<usize>,
    /// Known once the create event is.
    room_id: Option<String>,
    proposals: usize,
}

/// The end of a branch.
#[derive(Clone, Debug)]
struct Tip {
    event_id: String,
    depth: u64,
    after: State,
}

/// An event that somebody sends.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its JSON.
    pub text: String,
    /// What is wrong with it.
    pub oddities: Vec<&'static str>,
}

impl History {
    /// The room of this seed, before its first event. Each version has other rooms.
    pub fn new(version: RoomVersion, seed: u64) -> Self {
        let of_version = version.as_str().bytes().fold(seed, |seed, byte| {
            seed.wrapping_mul(1_000_003).wrapping_add(u64::from(byte))
        });
        Self {
            version,
            dice: Dice::new(of_version),
            events: BTreeMap::new(),
            tips: Vec::new(),
            parents: Vec::new(),
            room_id: None,
            proposals: 0,
        }
    }

    /// All events that were taken in.
    pub fn events(&self) -> &BTreeMap<String, KnownEvent> {
        &self.events
    }

    /// The first event of another room.
    pub fn create_of_another_room(&mut self) -> Proposal {
        let mut draft = deeds::create(&mut self.dice, self.version);
        if !self.version.rules().room_id_is_create_event {
            draft.set("room_id", "!elsewhere:a.example");
        }
        let mut dice = self.dice.clone();
        self.complete(&mut dice, &mut draft, &State::new());
        let text = draft.text(&mut dice, self.version);
        Proposal {
            text,
            oddities: Vec::new(),
        }
    }

    /// Chooses the branches that the next event joins, and says what state each of them has. Before
    /// the first event there are none.
    pub fn branches(&mut self) -> Vec<State> {
        let count = *self.dice.pick(&[1, 1, 2, 3]);
        let mut parents: Vec<_> = match self.tips.len().checked_sub(1) {
            None => Vec::new(),
            Some(newest) if self.proposals < UNFORKED_PROPOSALS => vec![newest],
            Some(newest) => (0..count).map(|_| self.dice.below(newest + 1)).collect(),
        };
        parents.sort_unstable();
        parents.dedup();
        self.parents = parents;
        let states = self
            .parents
            .iter()
            .map(|index| self.tips[*index].after.clone());
        states.collect()
    }

    /// The next event. `state` is what the chosen branches' states resolve to.
    pub fn propose(&mut self, state: &State) -> Proposal {
        self.proposals += 1;
        let mut dice = self.dice.clone();
        let scene = Scene {
            version: self.version,
            events: &self.events,
        };
        let mut draft = self.deed(&mut dice, state);
        let mut oddities = Vec::new();
        // The auth events fit what was odd before they were selected, and not what comes after.
        if dice.once_in(6) {
            oddities.push(edits::apply_one(&mut dice, &mut draft, scene));
        }
        self.complete(&mut dice, &mut draft, state);
        if dice.once_in(6) {
            oddities.push(edits::apply_one(&mut dice, &mut draft, scene));
        }
        if dice.once_in(10) {
            oddities.push(tampering::apply_one(&mut dice, &mut draft));
        }
        let text = draft.text(&mut dice, self.version);
        self.dice = dice;
        Proposal { text, oddities }
    }

    /// States that no server may ever have had: of the events for each key any one, or none. Of
    /// events that were rejected they hold those that another state might have allowed.
    pub fn wild_states(&mut self) -> Vec<State> {
        let create = ("m.room.create".to_owned(), String::new());
        let Some(first) = self.tips.first().and_then(|tip| tip.after.get(&create)) else {
            return Vec::new();
        };
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for known in self.events.values() {
            if Some(&known.room_id) == self.room_id.as_ref()
                && known.standing != Standing::Rejected
                && let Some(key) = known.key.as_ref().filter(|key| **key != create)
            {
                by_key.entry(key).or_default().push(known);
            }
        }
        let mut states = Vec::new();
        for _ in 0..2 + self.dice.below(2) {
            let mut state = State::from([(create.clone(), first.clone())]);
            for (key, events) in &by_key {
                let known = *self.dice.pick(events);
                let left_out = key.0 != "m.room.join_rules" && self.dice.once_in(6);
                if !left_out && (!known.is_rejected() || self.dice.once_in(8)) {
                    state.insert((*key).clone(), known.event_id.clone());
                }
            }
            states.push(state);
        }
        states
    }

    /// An event of another room is known from now on.
    pub fn take_foreign(&mut self, event_id: &str, room_id: &str, kept: &str) {
        let known = KnownEvent::new(event_id, room_id, kept, Standing::Allowed, self.version);
        self.events.insert(event_id.to_owned(), known);
    }

    /// The proposed event was allowed or rejected, where this was the state before it.
    pub fn take(
        &mut self,
        event_id: &str,
        room_id: &str,
        kept: &str,
        before: &State,
        standing: Standing,
    ) {
        let known = KnownEvent::new(event_id, room_id, kept, standing, self.version);
        if standing == Standing::Allowed {
            let mut after = before.clone();
            if let Some(key) = known.key.clone() {
                after.insert(key, event_id.to_owned());
            }
            self.room_id.get_or_insert_with(|| room_id.to_owned());
            let depth = known.event["depth"].as_u64().unwrap_or_default();
            self.grow(Tip {
                event_id: event_id.to_owned(),
                depth,
                after,
            });
        }
        self.events.insert(event_id.to_owned(), known);
    }

    /// The event ends the branches it joins, or begins another one beside them.
    fn grow(&mut self, tip: Tip) {
        if !self.dice.once_in(3) {
            for parent in self.parents.drain(..).rev() {
                self.tips.remove(parent);
            }
        }
        self.tips.push(tip);
        if self.tips.len() > MAX_TIPS {
            self.tips.remove(0);
        }
    }

    fn deed(&self, dice: &mut Dice, state: &State) -> Draft {
        let view = View {
            version: self.version,
            events: &self.events,
            state,
        };
        if self.tips.is_empty() {
            return deeds::create(dice, self.version);
        }
        let opening = self.proposals.checked_sub(2);
        let opening = opening.and_then(|step| deeds::opening(dice, step, view));
        opening.unwrap_or_else(|| deeds::any(dice, view))
    }

    /// Adds what the sender's server adds.
    fn complete(&self, dice: &mut Dice, draft: &mut Draft, state: &State) {
        let view = View {
            version: self.version,
            events: &self.events,
            state,
        };
        let auth_events = view.auth_events(&draft.fields);
        let parents = self.parents.iter().map(|index| &self.tips[*index]);
        let depth = parents.clone().map(|tip| tip.depth).max().unwrap_or(0) + 1;
        let prev_events: Vec<Value> = parents
            .map(|tip| self.events[&tip.event_id].reference())
            .collect();
        draft.set("auth_events", auth_events);
        draft.set("prev_events", prev_events);
        draft.set("depth", depth.min((1 << 53) - 1));
        draft.set("origin_server_ts", 1_000 + dice.below(40));
        let unnamed = self.version.rules().room_id_is_create_event
            && draft.text_at("type") == "m.room.create";
        if !unnamed && !draft.fields.contains_key("room_id") {
            let room_id = self.room_id.as_deref().unwrap_or("!room:a.example");
            draft.set("room_id", room_id);
        }
        if self.version.rules().event_ids == EventIds::Chosen {
            let server = draft.signers.first().map(|(server, _)| server.clone());
            let server = server.unwrap_or_else(|| server_of(draft.text_at("sender")).to_owned());
            let number = self.events.len() * 1_000 + self.proposals;
            draft.set("event_id", format!("${number}:{server}"));
        }
        if dice.once_in(20) {
            draft.set("unsigned", json!({ "age": 5, "prev_content": {} }));
        }
    }
}
