//! Versions 2 and 2.1 of the algorithm, step by step.

use std::{collections::BTreeSet, sync::Arc};

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    authorisation::PowerLevel,
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{Place, Replayed, Resolution, Verdict, resolve_traced},
};
use ruma_common::{EventId, OwnedEventId};
use serde_json::{Value, json};

use crate::{
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
    ruma,
};

const TOPIC: &str = "m.room.topic";

/// The first and the last room version with version 2 of the algorithm, and the one with 2.1.
const VERSIONS: [RoomVersion; 3] = [RoomVersion::V2, RoomVersion::V11, RoomVersion::V12];

/// What the states resolve to, which is what ruma resolves them to.
fn resolved(room: &Room, states: &[StateMap]) -> Resolution {
    let ours = resolve_traced(room.version, states, &room.events).unwrap();
    let theirs = ruma::resolve(room.version, states, &|id: &EventId| room.events.get(id));
    assert_eq!(ours.state, theirs, "{}", room.version);
    ours
}

fn with(room: &Room, state: &StateMap, events: &[&Arc<Pdu>]) -> StateMap {
    let after = |state: StateMap, event: &&Arc<Pdu>| room.after(&state, event);
    events.iter().fold(state.clone(), after)
}

fn ids(events: &[&Arc<Pdu>]) -> BTreeSet<OwnedEventId> {
    let ids = events.iter().map(|event| event.event_id().to_owned());
    ids.collect()
}

fn replayed(resolution: &Resolution) -> BTreeSet<OwnedEventId> {
    let replayed = resolution.trace.replayed.iter();
    replayed.map(|event| event.event_id.clone()).collect()
}

fn judged<'a>(resolution: &'a Resolution, event: &Pdu) -> &'a Replayed {
    let mut replayed = resolution.trace.replayed.iter();
    replayed.find(|r| r.event_id == event.event_id()).unwrap()
}

fn is_power(replayed: &Replayed) -> bool {
    matches!(replayed.place, Place::Power { .. })
}

fn renamed(name: &str) -> Value {
    json!({ "membership": "join", "displayname": name })
}

fn topic_at(room: &mut Room, state: &StateMap, time: i64, key: &str) -> Arc<Pdu> {
    let mut template = room.template(state, MODERATOR, TOPIC, Some(key), json!({}));
    template.origin_server_ts = time;
    room.add(template)
}

/// By the letter of the specification the chain of an event does not hold the event itself, and
/// then the name that only one topic cites would be in the difference.
#[test]
fn state_7_the_auth_chain_of_a_state_holds_the_states_own_events() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let name = room.make(&fork, MODERATOR, MEMBER, Some(MODERATOR), renamed("x"));
        let agreed = room.after(&fork, &name);
        let topic = room.make(&agreed, MODERATOR, TOPIC, Some(""), json!({}));
        let resolution = resolved(&room, &[room.after(&agreed, &topic), agreed]);
        assert!(resolution.trace.auth_difference.is_empty());
        assert_eq!(replayed(&resolution), ids(&[&topic]));
    }
}

/// STATE-8, STATE-10: a ban rests on power levels on which the states agree, and those on a name
/// that is in conflict. Only version 2.1 replays what is between two conflicted events, and so only
/// there the name is found from the ban.
#[test]
fn state_10_power_events_take_along_what_is_reached_through_the_full_conflicted_set() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let before = room.events[fork.get(MEMBER, MODERATOR).unwrap()].clone();
        let name = room.make(&fork, MODERATOR, MEMBER, Some(MODERATOR), renamed("x"));
        let named = room.after(&fork, &name);
        let mut levels = room.usual_levels();
        levels["events"] = json!({ "x": 50 });
        let levels = room.make(&named, MODERATOR, POWER_LEVELS, Some(""), levels);
        let agreed = room.after(&fork, &levels);
        let ban = json!({ "membership": "ban" });
        let ban = room.make(&agreed, CREATOR, MEMBER, Some(BOB), ban);
        let resolution = resolved(&room, &[with(&room, &agreed, &[&name, &ban]), agreed]);
        let in_both = [&before, &name, &ban];
        if version == RoomVersion::V12 {
            let all = ids(&[&before, &name, &ban, &levels]);
            assert_eq!(replayed(&resolution), all);
            assert!(is_power(judged(&resolution, &name)));
        } else {
            assert_eq!(replayed(&resolution), ids(&in_both), "{version}");
            assert!(!is_power(judged(&resolution, &name)));
        }
        assert!(is_power(judged(&resolution, &ban)));
    }
}

#[test]
fn state_10_what_a_power_event_rests_on_goes_before_it() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let name = room.make(&fork, MODERATOR, MEMBER, Some(MODERATOR), renamed("x"));
        let named = room.after(&fork, &name);
        let mut template = room.template(
            &named,
            MODERATOR,
            MEMBER,
            Some(BOB),
            json!({ "membership": "ban" }),
        );
        template.origin_server_ts = 0;
        let ban = room.add(template);
        let resolution = resolved(&room, &[room.after(&named, &ban), fork]);
        let order: Vec<_> = resolution.trace.replayed.iter().collect();
        let place = |event: &Pdu| order.iter().position(|r| r.event_id == event.event_id());
        assert!(place(&name) < place(&ban), "{version}");
        assert!(order.iter().filter(|r| is_power(r)).count() >= 2);
    }
}

/// STATE-9
#[test]
fn state_9_power_events_are_power_levels_join_rules_kicks_and_bans() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let rules = json!({ "join_rule": "invite" });
        let membership = |membership: &str| json!({ "membership": membership });
        let mut make = |sender: &str, event_type: &str, key: &str, content: Value| {
            room.make(&fork, sender, event_type, Some(key), content)
        };
        let levels = make(CREATOR, POWER_LEVELS, "", json!({}));
        let closed = make(CREATOR, JOIN_RULES, "", rules.clone());
        let kick = make(CREATOR, MEMBER, ALICE, membership("leave"));
        let ban = make(CREATOR, MEMBER, BOB, membership("ban"));
        let others = [
            make(CREATOR, POWER_LEVELS, "x", json!({})),
            make(CREATOR, JOIN_RULES, "x", rules),
            make(MODERATOR, MEMBER, MODERATOR, membership("leave")),
            make(CREATOR, MEMBER, "@dan:d.example", membership("invite")),
            make(CREATOR, TOPIC, "", json!({})),
        ];
        let powerful = [&levels, &closed, &kick, &ban];
        let all: Vec<_> = powerful.into_iter().chain(&others).collect();
        let states = [with(&room, &fork, &all), fork.clone()];
        let resolution = resolve_traced(version, &states, &room.events).unwrap();
        for event in all {
            let is_powerful = powerful.contains(&event);
            assert_eq!(
                is_power(judged(&resolution, event)),
                is_powerful,
                "{event:?}"
            );
        }
    }
}

/// STATE-11
#[test]
fn state_11_a_senders_power_is_that_of_the_events_own_auth_events() {
    for version in VERSIONS {
        let creator = match version.rules().creators_above_levels {
            true => PowerLevel::Creator,
            false => PowerLevel::Level(100),
        };
        let ban = json!({ "membership": "ban" });
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let mut levels = room.usual_levels();
        levels["users"][MODERATOR] = 60.into();
        let before = room.make(&fork, MODERATOR, MEMBER, Some(BOB), ban.clone());
        let levels = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels);
        let raised = room.after(&fork, &levels);
        let after = room.make(&raised, MODERATOR, MEMBER, Some("@carol:c.example"), ban);
        let state = with(&room, &raised, &[&before, &after]);
        let resolution = resolved(&room, &[state, fork]);
        assert_power(&resolution, &before, PowerLevel::Level(50));
        assert_power(&resolution, &after, PowerLevel::Level(60));
        assert_power(&resolution, &levels, creator);

        // Before there are any power levels.
        let mut room = Room::created(version, json!({}));
        let join = json!({ "membership": "join" });
        room.put(CREATOR, MEMBER, CREATOR, join.clone());
        room.put(ALICE, MEMBER, ALICE, join);
        let fork = room.state.clone();
        let rules = json!({ "join_rule": "public" });
        let senders = [CREATOR, ALICE];
        let rules = senders.map(|s| room.make(&fork, s, JOIN_RULES, Some(""), rules.clone()));
        let states = rules.each_ref().map(|rules| room.after(&fork, rules));
        let resolution = resolved(&room, &states);
        assert_power(&resolution, &rules[0], creator);
        assert_power(&resolution, &rules[1], PowerLevel::Level(0));
    }
}

fn assert_power(resolution: &Resolution, event: &Pdu, power: PowerLevel) {
    match judged(resolution, event).place {
        Place::Power { sender_level, .. } => assert_eq!(sender_level, power, "{event:?}"),
        place => panic!("{event:?}: {place:?}"),
    }
}

/// STATE-12, STATE-13
#[test]
fn state_13_auth_events_count_where_the_resolved_state_has_nothing() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let topic = room.make(&fork, MODERATOR, TOPIC, Some(""), json!({}));
        let kick = json!({ "membership": "leave" });
        let kick = room.make(&fork, CREATOR, MEMBER, Some(MODERATOR), kick);

        // Every chain has the membership, so that it is not replayed itself.
        let agreed = room.make(&fork, MODERATOR, TOPIC, Some("agreed"), json!({}));
        let mut without = room.after(&fork, &agreed);
        without.remove(&StateKey::new(MEMBER, MODERATOR));
        let states = [room.after(&without, &topic), without];
        assert_eq!(resolved(&room, &states).state, states[0], "{version}");

        // Version 2.1 begins with nothing, and so does not know of the kick.
        let kicked = room.after(&fork, &kick);
        let states = [room.after(&kicked, &topic), kicked];
        let expected = &states[usize::from(version != RoomVersion::V12)];
        assert_eq!(&resolved(&room, &states).state, expected, "{version}");
    }
}

#[test]
fn state_14_what_has_no_base_on_the_mainline_comes_first_then_the_older_then_the_smaller_id() {
    for version in [RoomVersion::V2, RoomVersion::V11] {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let mut without = fork.clone();
        without.remove(&StateKey::new(POWER_LEVELS, ""));
        let baseless = topic_at(&mut room, &without, 900, "baseless");
        let (late, early) = (
            topic_at(&mut room, &fork, 300, "late"),
            topic_at(&mut room, &fork, 200, "early"),
        );
        let mut same = [
            topic_at(&mut room, &fork, 250, "one"),
            topic_at(&mut room, &fork, 250, "other"),
        ];
        same.sort_by(|one, other| one.event_id().cmp(other.event_id()));
        let in_order = [&baseless, &early, &same[0], &same[1], &late];
        let resolution = resolved(&room, &[with(&room, &fork, &in_order), fork]);
        let replayed = resolution.trace.replayed.iter();
        let order: Vec<_> = replayed.map(|event| event.event_id.clone()).collect();
        assert_eq!(order, in_order.map(|event| event.event_id().to_owned()));
    }
}

#[test]
fn state_15_without_power_levels_to_replay_version_2_1_goes_by_time() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let levels = room.usual_levels();
        let levels = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels);
        let agreed = room.after(&fork, &levels);
        let old_base = topic_at(&mut room, &fork, 200, "");
        let new_base = topic_at(&mut room, &agreed, 100, "");
        let states = [&old_base, &new_base].map(|topic| room.after(&agreed, topic));
        let resolution = resolved(&room, &states);
        let is_by_time = version == RoomVersion::V12;
        assert_eq!(resolution.trace.mainline.is_empty(), is_by_time);
        let winner = if is_by_time { &old_base } else { &new_base };
        assert_eq!(
            resolution.state.get(TOPIC, ""),
            Some(winner.event_id()),
            "{version}"
        );
    }
}

/// A name of the auth difference is allowed, and yet the state keeps the name that was agreed.
#[test]
fn state_16_agreed_entries_stay_whatever_was_replayed() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let name = room.make(&fork, MODERATOR, MEMBER, Some(MODERATOR), renamed("x"));
        let named = room.after(&fork, &name);
        let topic = room.make(&named, MODERATOR, TOPIC, Some(""), json!({}));
        let states = [room.after(&fork, &topic), fork];
        let resolution = resolved(&room, &states);
        let difference = &resolution.trace.auth_difference;
        assert_eq!(difference, &[name.event_id().to_owned()], "{version}");
        assert_eq!(judged(&resolution, &name).verdict, Verdict::Allowed);
        assert_eq!(resolution.state, states[0]);
    }
}
