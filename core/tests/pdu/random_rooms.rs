//! Random rooms with forking histories: each fork resolves as in ruma, whatever the order of the
//! states, and from events that come in piece by piece.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::pdu::{
    RoomVersion, StateMap,
    authorisation::check_state,
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{MissingEvents, resolve},
};
use ruma_common::{EventId, OwnedEventId};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    resolution::WithCitations,
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
    ruma,
};

/// A small generator of numbers, the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

const USERS: [&str; 6] = [
    CREATOR,
    MODERATOR,
    ALICE,
    BOB,
    "@carol:b.example",
    "@dave:d.example",
];

/// A random event: its type, its state key and its content.
fn random_event(dice: &mut Dice, version: RoomVersion) -> (&'static str, String, Value) {
    match dice.below(10) {
        0..4 => {
            let membership =
                *dice.pick(&["join", "join", "leave", "leave", "ban", "invite", "knock"]);
            (
                MEMBER,
                (*dice.pick(&USERS)).to_owned(),
                json!({ "membership": membership }),
            )
        }
        4..6 => {
            let level = |dice: &mut Dice| *dice.pick(&[0, 0, 25, 50, 50, 75, 100]);
            let mut users = BTreeMap::from([(MODERATOR, level(dice)), (ALICE, level(dice))]);
            if version != RoomVersion::V12 {
                users.insert(CREATOR, 100);
            }
            let levels = json!({
                "users": users, "events": { "x": level(dice) }, "kick": level(dice),
                "state_default": 50, "ban": 50,
                "users_default": 0, "events_default": 0, "redact": 50, "invite": 0,
            });
            (POWER_LEVELS, String::new(), levels)
        }
        6 => {
            let rule = *dice.pick(&["public", "public", "invite", "knock", "restricted"]);
            (JOIN_RULES, String::new(), json!({ "join_rule": rule }))
        }
        _ => (
            "x",
            (*dice.pick(&["", "a", "b"])).to_owned(),
            json!({ "n": dice.below(1_000) }),
        ),
    }
}

/// A room with a forking history, in which every event was allowed when it was sent.
struct History {
    room: Room,
    /// The latest events of the branches, with the state after each.
    tips: Vec<(OwnedEventId, StateMap)>,
    /// How many merges had a conflict to resolve.
    conflicts: usize,
}

impl History {
    fn new(version: RoomVersion) -> Self {
        let mut room = Room::new(version);
        let levels = json!({
            "users": room.usual_levels()["users"], "events": { "x": 0 }, "kick": 50,
            "state_default": 50, "ban": 50,
            "users_default": 0, "events_default": 0, "redact": 50, "invite": 0,
        });
        let last = room.put(CREATOR, POWER_LEVELS, "", levels);
        let tips = vec![(last.event_id().to_owned(), room.state.clone())];
        Self {
            room,
            tips,
            conflicts: 0,
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let parents: BTreeSet<_> = (0..*dice.pick(&[1, 1, 2, 3]))
            .map(|_| dice.below(self.tips.len()))
            .collect();
        let (ids, states): (Vec<_>, Vec<_>) = parents
            .iter()
            .map(|index| self.tips[*index].clone())
            .unzip();
        let state = self.merged(&states);
        let sender = *dice.pick(&USERS);
        let (event_type, key, content) = random_event(dice, self.room.version);
        let mut template = self
            .room
            .template(&state, sender, event_type, Some(&key), content);
        template.prev_events = ids;
        template.origin_server_ts = 100 + dice.below(20) as i64;
        let event = self.room.add(template);
        if check_state(&event, &self.room.create, &self.room.view(&state)).is_err() {
            self.room.events.remove(event.event_id());
            return;
        }
        let after = self.room.after(&state, &event);
        let tip = (event.event_id().to_owned(), after);
        match dice.below(3) {
            0 => self.tips[*parents.first().unwrap()] = tip,
            _ => self.tips.push(tip),
        }
        if self.tips.len() > 6 {
            self.tips.remove(0);
        }
    }

    fn merged(&mut self, states: &[StateMap]) -> StateMap {
        let resolved = resolve(self.room.version, states, &self.room.events).unwrap();
        if states.iter().any(|state| *state != states[0]) {
            self.conflicts += 1;
            let theirs = ruma::resolve(self.room.version, states, &|id: &EventId| {
                self.room.events.get(id)
            });
            assert_eq!(resolved, theirs, "ruma resolves otherwise");
            check_order_does_not_matter(&self.room, states, &resolved);
            check_missing_events_are_asked_for(&self.room, states, &resolved);
            let cited = resolve(self.room.version, states, &WithCitations::of(&self.room));
            assert_eq!(
                cited.unwrap(),
                resolved,
                "who cites whom makes a difference"
            );
        }
        resolved
    }
}

fn check_order_does_not_matter(room: &Room, states: &[StateMap], resolved: &StateMap) {
    let mut others = states.to_vec();
    others.reverse();
    assert_eq!(
        &resolve(room.version, &others, &room.events).unwrap(),
        resolved
    );
    others.rotate_left(1);
    others.push(others[0].clone());
    assert_eq!(
        &resolve(room.version, &others, &room.events).unwrap(),
        resolved
    );
}

fn check_missing_events_are_asked_for(room: &Room, states: &[StateMap], resolved: &StateMap) {
    let mut held = BTreeMap::new();
    let result = loop {
        match resolve(room.version, states, &held) {
            Ok(state) => break state,
            Err(MissingEvents(ids)) => {
                assert!(!ids.is_empty());
                for id in ids {
                    let event = room.events[&id].clone();
                    assert!(held.insert(id, event).is_none(), "asked for twice");
                }
            }
        }
    };
    assert_eq!(&result, resolved);
}

/// STATE-6 to STATE-17; for STATE-7, ruma is given auth chains that hold the states' own events.
#[test]
fn random_rooms_resolve_as_in_ruma_in_any_order_and_piece_by_piece() {
    for version in VERSIONS {
        let mut conflicts = 0;
        for seed in 0..40 {
            let (mut history, mut dice) = (History::new(version), Dice(seed));
            for _ in 0..60 {
                history.step(&mut dice);
            }
            conflicts += history.conflicts;
        }
        assert!(
            conflicts > 200,
            "only {conflicts} conflicts in rooms of version {version}"
        );
    }
}
