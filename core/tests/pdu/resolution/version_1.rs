//! Version 1 of the algorithm.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, StateMap,
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{Verdict, resolve, resolve_traced},
};
use ruma_common::{EventId, OwnedEventId};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::WithRejected;
use crate::room::{ALICE, BOB, CREATOR, MODERATOR, Room};

const TOPIC: &str = "m.room.topic";

/// A room of version 1, and the state in which its history forks.
struct Fork {
    room: Room,
    before: StateMap,
}

impl Fork {
    fn new() -> Self {
        let room = Room::new(RoomVersion::V1);
        let before = room.state.clone();
        Self { room, before }
    }

    /// An event that follows the fork, with the depth it claims.
    fn event(&mut self, depth: u64, sender: &str, entry: (&str, &str), content: Value) -> Arc<Pdu> {
        let (event_type, key) = entry;
        let before = &self.before;
        let mut template = self
            .room
            .template(before, sender, event_type, Some(key), content);
        template.depth = depth;
        self.room.add(template)
    }

    /// Power levels under which a user has a level.
    fn levels(&mut self, depth: u64, sender: &str, user: &str, level: i64) -> Arc<Pdu> {
        let mut levels = self.room.usual_levels();
        levels["users"][user] = level.into();
        levels["depth"] = depth.into();
        self.event(depth, sender, (POWER_LEVELS, ""), levels)
    }

    fn topic(&mut self, depth: u64, sender: &str, number: u64) -> Arc<Pdu> {
        self.event(depth, sender, (TOPIC, ""), json!({ "n": number }))
    }

    fn member(&mut self, depth: u64, sender: &str, user: &str, membership: &str) -> Arc<Pdu> {
        let content = json!({ "membership": membership, "depth": depth });
        self.event(depth, sender, (MEMBER, user), content)
    }

    /// The state before the fork with these events, allowed or not.
    fn with(&self, events: &[&Arc<Pdu>]) -> StateMap {
        events.iter().fold(self.before.clone(), |state, event| {
            self.room.after(&state, event)
        })
    }

    /// What these states resolve to, in any order and with any of them twice.
    fn resolved(&self, states: &[StateMap]) -> StateMap {
        let resolved = resolve(RoomVersion::V1, states, &self.room.events).unwrap();
        let mut others = states.to_vec();
        for turn in 0..=states.len() {
            others.rotate_left(1);
            others.push(others[0].clone());
            if turn % 2 == 0 {
                others.reverse();
            }
            let again = resolve(RoomVersion::V1, &others, &self.room.events);
            assert_eq!(again.unwrap(), resolved);
        }
        resolved
    }
}

fn winner<'a>(state: &'a StateMap, entry: (&str, &str)) -> Option<&'a EventId> {
    state.get(entry.0, entry.1)
}

fn sha1(event: &Pdu) -> [u8; 20] {
    Sha1::digest(event.event_id()).into()
}

#[test]
fn state_3_an_entry_that_states_lack_is_not_in_conflict() {
    let mut fork = Fork::new();
    // Nobody without a level may set a topic; it is not judged, since there is no other.
    let topic = fork.topic(9, ALICE, 0);
    let join = fork.member(9, BOB, BOB, "join");
    let with_topic = fork.with(&[&topic]);
    let states = [
        fork.before.clone(),
        with_topic.clone(),
        with_topic,
        fork.with(&[&join]),
    ];
    assert_eq!(fork.resolved(&states), fork.with(&[&topic, &join]));
    let mut without_rules = fork.with(&[&topic]);
    without_rules.remove(&comity_core::pdu::StateKey::new(JOIN_RULES, ""));
    let states = [without_rules, fork.with(&[&join])];
    assert_eq!(fork.resolved(&states), fork.with(&[&topic, &join]));
}

#[test]
fn state_4_each_power_levels_event_must_be_allowed_by_the_one_before() {
    let mut fork = Fork::new();
    // The deepest would be allowed by the second, if Alice had not lost her level by the third.
    let second = fork.levels(7, CREATOR, ALICE, 60);
    let third = fork.levels(8, CREATOR, ALICE, 0);
    let fourth = fork.levels(9, ALICE, BOB, 10);
    let states = [&second, &third, &fourth].map(|event| fork.with(&[event]));
    let resolved = fork.resolved(&states);
    assert_eq!(
        winner(&resolved, (POWER_LEVELS, "")),
        Some(third.event_id())
    );
    let resolved = fork.resolved(&[states[0].clone(), states[2].clone()]);
    assert_eq!(
        winner(&resolved, (POWER_LEVELS, "")),
        Some(fourth.event_id())
    );
}

#[test]
fn state_4_the_first_that_is_not_allowed_ends_the_chain() {
    let mut fork = Fork::new();
    let first = fork.levels(7, CREATOR, ALICE, 0);
    let denied = fork.levels(8, ALICE, BOB, 10);
    let last = fork.levels(9, CREATOR, BOB, 20);
    let states = [&first, &denied, &last].map(|event| fork.with(&[event]));
    let resolved = fork.resolved(&states);
    assert_eq!(
        winner(&resolved, (POWER_LEVELS, "")),
        Some(first.event_id())
    );
}

#[test]
fn state_4_the_first_is_not_judged() {
    let mut fork = Fork::new();
    // Neither may set power levels; Bob is not even in the room.
    let (first, second) = (fork.levels(7, BOB, BOB, 0), fork.levels(8, BOB, BOB, 1));
    let states = [&first, &second].map(|event| fork.with(&[event]));
    let resolved = fork.resolved(&states);
    assert_eq!(
        winner(&resolved, (POWER_LEVELS, "")),
        Some(first.event_id())
    );
}

#[test]
fn state_4_of_equal_depth_the_greater_sha1_goes_first() {
    let mut fork = Fork::new();
    let rules = |n: i64| json!({ "join_rule": "public", "n": n });
    let candidates = [0, 1, 2, 3].map(|n| fork.event(9, CREATOR, (JOIN_RULES, ""), rules(n)));
    let states = candidates.each_ref().map(|event| fork.with(&[event]));
    let last = candidates.iter().min_by_key(|event| sha1(event)).unwrap();
    let resolved = fork.resolved(&states);
    assert_eq!(winner(&resolved, (JOIN_RULES, "")), Some(last.event_id()));
}

#[test]
fn state_4_power_levels_come_before_join_rules_and_those_before_members() {
    let mut fork = Fork::new();
    // In the end the moderator has no level, so the room stays public and Bob may join.
    let demoted = fork.levels(9, CREATOR, MODERATOR, 0);
    let kept = fork.levels(8, CREATOR, MODERATOR, 50);
    let public = fork.event(
        7,
        CREATOR,
        (JOIN_RULES, ""),
        json!({ "join_rule": "public" }),
    );
    let closed = fork.event(
        8,
        MODERATOR,
        (JOIN_RULES, ""),
        json!({ "join_rule": "invite" }),
    );
    let leave = fork.member(6, BOB, BOB, "leave");
    let join = fork.member(7, BOB, BOB, "join");
    let states = [
        fork.with(&[&demoted, &closed, &leave]),
        fork.with(&[&kept, &public, &join]),
    ];
    assert_eq!(
        fork.resolved(&states),
        fork.with(&[&demoted, &public, &join])
    );
    // If he keeps it, the room is closed and Bob may not.
    let states = [
        fork.with(&[&kept, &closed, &leave]),
        fork.with(&[&kept, &public, &join]),
    ];
    assert_eq!(fork.resolved(&states), fork.with(&[&kept, &closed, &leave]));
}

/// Members are judged by the members that are not in conflict.
#[test]
fn state_4_entries_of_one_pass_do_not_see_each_other() {
    // In the order of their keys one comes before the moderator, and one after.
    for user in [ALICE, "@zoe:z.example"] {
        let mut fork = Fork::new();
        let names = [8, 9].map(|depth| fork.member(depth, MODERATOR, MODERATOR, "join"));
        let join = fork.member(8, user, user, "join");
        let kick = fork.member(9, MODERATOR, user, "leave");
        let states = [
            fork.with(&[&names[0], &join]),
            fork.with(&[&names[1], &kick]),
        ];
        assert_eq!(fork.resolved(&states), fork.with(&[&names[1], &join]));
        let states = [fork.with(&[&join]), fork.with(&[&kick])];
        assert_eq!(fork.resolved(&states), fork.with(&[&kick]));
    }
}

#[test]
fn state_5_the_deepest_that_is_allowed_wins() {
    let mut fork = Fork::new();
    let allowed = [6, 7].map(|depth| fork.topic(depth, MODERATOR, depth));
    let denied = [8, 9].map(|depth| fork.topic(depth, ALICE, depth));
    let all = [&allowed[0], &denied[0], &allowed[1], &denied[1]];
    let states = all.map(|event| fork.with(&[event]));
    let resolved = fork.resolved(&states);
    assert_eq!(winner(&resolved, (TOPIC, "")), Some(allowed[1].event_id()));
}

#[test]
fn state_5_of_equal_depth_the_smallest_sha1_wins() {
    let mut fork = Fork::new();
    let topics = [0, 1, 2, 3].map(|number| fork.topic(9, MODERATOR, number));
    let states = topics.each_ref().map(|event| fork.with(&[event]));
    let smallest = topics.iter().min_by_key(|event| sha1(event)).unwrap();
    let resolved = fork.resolved(&states);
    assert_eq!(winner(&resolved, (TOPIC, "")), Some(smallest.event_id()));
}

#[test]
fn state_5_if_none_is_allowed_the_last_one_stays() {
    let mut fork = Fork::new();
    let topics = [9, 7, 8, 7].map(|depth| fork.topic(depth, ALICE, depth));
    let states = topics.each_ref().map(|event| fork.with(&[event]));
    let least_deep = [&topics[1], &topics[3]];
    let last = least_deep
        .into_iter()
        .max_by_key(|event| sha1(event))
        .unwrap();
    let resolved = fork.resolved(&states);
    assert_eq!(winner(&resolved, (TOPIC, "")), Some(last.event_id()));
    let trace = resolve_traced(RoomVersion::V1, &states, &fork.room.events)
        .unwrap()
        .trace;
    assert_eq!(trace.replayed.len(), 4);
    let is_denied = |verdict: &Verdict| matches!(verdict, Verdict::Denied(_));
    assert!(
        trace.replayed[..3]
            .iter()
            .all(|event| is_denied(&event.verdict))
    );
    assert_eq!(trace.replayed[3].event_id, *last.event_id());
    assert!(matches!(trace.replayed[3].verdict, Verdict::LastResort(_)));
}

/// STATE-17: as in Synapse, which does not load them.
#[test]
fn state_17_a_rejected_candidate_does_not_count() {
    let mut fork = Fork::new();
    let (older, newer) = (fork.topic(8, MODERATOR, 0), fork.topic(9, MODERATOR, 1));
    let states = [fork.with(&[&older]), fork.with(&[&newer])];
    assert_eq!(fork.resolved(&states), states[1]);
    let events = WithRejected {
        events: &fork.room.events,
        rejected: newer.event_id(),
    };
    assert_eq!(
        resolve(RoomVersion::V1, &states, &events).unwrap(),
        states[0]
    );
}

#[test]
fn all_that_is_missing_is_asked_for_in_two_steps() {
    let mut fork = Fork::new();
    let (older, newer) = (fork.topic(8, MODERATOR, 0), fork.topic(9, MODERATOR, 1));
    let states = [fork.with(&[&older]), fork.with(&[&newer])];
    let mut held = std::collections::BTreeMap::new();
    let mut steps = Vec::new();
    while let Err(missing) = resolve(RoomVersion::V1, &states, &held) {
        let of_room = |id: &OwnedEventId| (id.clone(), fork.room.events[id].clone());
        held.extend(missing.0.iter().map(of_room));
        steps.push(missing.0.len());
    }
    // The candidates; then the create event, the moderator and the power levels.
    assert_eq!(steps, [2, 3]);
}
