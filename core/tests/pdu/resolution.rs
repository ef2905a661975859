//! The cases that state resolution is known for.

mod msc4297;
mod properties;
mod trace;
mod version_1;
mod version_2;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
    resolution::{EventLookup, resolve, resolve_traced},
};
use ruma_common::{EventId, OwnedEventId};
use serde_json::json;

use crate::{
    VERSIONS,
    judge::set_level,
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
    ruma,
};

#[test]
fn state_2_without_a_conflict_there_is_nothing_to_do() {
    let room = Room::new(RoomVersion::V12);
    let nothing = BTreeMap::new();
    assert_eq!(resolve(room.version, &[], &nothing), Ok(StateMap::new()));
    let same: StateMap = room
        .state
        .iter()
        .map(|(key, id)| (key.into(), id.to_owned()))
        .collect();
    assert_eq!(
        resolve(room.version, &[room.state.clone(), same], &nothing),
        Ok(room.state)
    );
}

/// STATE-6: a key that one state lacks is in conflict.
#[test]
fn state_6_a_key_that_one_state_lacks_is_judged() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let name = room.make(
            &fork,
            MODERATOR,
            "m.room.name",
            Some(""),
            json!({ "name": "x" }),
        );
        let kick = room.make(
            &fork,
            CREATOR,
            MEMBER,
            Some(MODERATOR),
            json!({ "membership": "leave" }),
        );
        let (named, kicked) = (room.after(&fork, &name), room.after(&fork, &kick));
        let resolved = resolve(version, &[named.clone(), fork.clone()], &room.events).unwrap();
        assert_eq!(resolved, named);
        // The kick is a power event: it comes first, and then the name is no longer allowed.
        let resolved = resolve(version, &[named, kicked.clone()], &room.events).unwrap();
        assert_eq!(resolved, kicked, "{version}");
    }
}

#[test]
fn state_10_the_more_powerful_sender_goes_first() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        // The moderator acts first by the clock; the creator demotes them on the other branch.
        let ban = room.make(
            &fork,
            MODERATOR,
            MEMBER,
            Some(ALICE),
            json!({ "membership": "ban" }),
        );
        let mut levels = room.usual_levels();
        levels["users"].as_object_mut().unwrap().remove(MODERATOR);
        let demotion = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels);
        let states = [room.after(&fork, &ban), room.after(&fork, &demotion)];
        assert_eq!(
            resolve(version, &states, &room.events).unwrap(),
            states[1],
            "{version}"
        );
    }
}

#[test]
fn state_10_of_equal_senders_the_older_then_the_smaller_id_goes_first() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let mut rules_at = |time: i64, n: i64| {
            let mut template = room.template(
                &fork,
                CREATOR,
                JOIN_RULES,
                Some(""),
                json!({ "join_rule": "public", "n": n }),
            );
            template.origin_server_ts = time;
            room.add(template)
        };
        let (late, early) = (rules_at(200, 0), rules_at(100, 1));
        let (one, other) = (rules_at(300, 2), rules_at(300, 3));
        let after = |event: &Arc<Pdu>| room.after(&fork, event);
        // The last one to enter is the one that stays.
        assert_eq!(
            resolve(version, &[after(&late), after(&early)], &room.events).unwrap(),
            after(&late)
        );
        let larger = if one.event_id() > other.event_id() {
            &one
        } else {
            &other
        };
        assert_eq!(
            resolve(version, &[after(&one), after(&other)], &room.events).unwrap(),
            after(larger)
        );
    }
}

#[test]
fn state_14_what_is_based_on_newer_power_levels_wins() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let topic = room.make(
            &fork,
            MODERATOR,
            "m.room.topic",
            Some(""),
            json!({ "topic": "old" }),
        );
        let mut template =
            room.template(&fork, CREATOR, POWER_LEVELS, Some(""), room.usual_levels());
        template.origin_server_ts = 1;
        let levels = room.add(template);
        let newer = room.after(&fork, &levels);
        let mut template = room.template(
            &newer,
            MODERATOR,
            "m.room.topic",
            Some(""),
            json!({ "topic": "new" }),
        );
        template.origin_server_ts = 2;
        let new_topic = room.add(template);
        let (old, new) = (room.after(&fork, &topic), room.after(&newer, &new_topic));
        assert_eq!(
            resolve(version, &[old, new.clone()], &room.events).unwrap(),
            new,
            "{version}"
        );
    }
}

/// STATE-12, STATE-18: a state that lacks the power levels its events were sent under, as a server
/// gets it from a bad reset, must not be the base by which they are judged.
#[test]
fn state_18_version_2_1_replays_from_the_empty_state() {
    let mut outcomes = BTreeMap::new();
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let names = [BOB, "@carol:b.example"];
        let joins =
            names.map(|u| room.make(&fork, u, MEMBER, Some(u), json!({ "membership": "join" })));
        // Both branches came to hold a closed room in which nobody could have joined.
        let closed = room.make(
            &fork,
            CREATOR,
            JOIN_RULES,
            Some(""),
            json!({ "join_rule": "invite" }),
        );
        let closed = room.after(&fork, &closed);
        let states = joins.each_ref().map(|join| room.after(&closed, join));
        let resolved = resolve(version, &states, &room.events).unwrap();
        let theirs = ruma::resolve(version, &states, &|id: &EventId| room.events.get(id));
        assert_eq!(resolved, theirs);
        outcomes.insert(
            version,
            names.map(|user| resolved.get(MEMBER, user).is_some()),
        );
    }
    assert_eq!(outcomes[&RoomVersion::V11], [false, false]);
    assert_eq!(outcomes[&RoomVersion::V12], [true, true]);
}

/// STATE-8, STATE-18: the events between two conflicted ones are replayed as well, even if every
/// state's auth chain has them.
#[test]
fn state_18_version_2_1_replays_the_conflicted_subgraph() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let mut levels = room.usual_levels();
        levels["n"] = 1.into();
        let first = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels.clone());
        let after_first = room.after(&fork, &first);
        // Only the second power levels let Alice make the third.
        levels["users"][ALICE] = 50.into();
        let second = room.make(
            &after_first,
            CREATOR,
            POWER_LEVELS,
            Some(""),
            levels.clone(),
        );
        let after_second = room.after(&after_first, &second);
        levels["n"] = 3.into();
        let third = room.make(&after_second, ALICE, POWER_LEVELS, Some(""), levels);
        // The states agree on a name that rests on the second, and one of them was set back to the
        // first.
        let name = room.make(&after_second, MODERATOR, "m.room.name", Some(""), json!({}));
        let after_third = room.after(&after_second, &third);
        let states = [
            room.after(&after_third, &name),
            room.after(&after_first, &name),
        ];
        let resolved = resolve(version, &states, &room.events).unwrap();
        let theirs = ruma::resolve(version, &states, &|id: &EventId| room.events.get(id));
        assert_eq!(resolved, theirs);
        let expected = if version == RoomVersion::V12 {
            &third
        } else {
            &first
        };
        assert_eq!(
            resolved.get(POWER_LEVELS, ""),
            Some(expected.event_id()),
            "{version}"
        );
    }
}

/// The events of a room of which one was rejected.
struct WithRejected<'a> {
    events: &'a BTreeMap<OwnedEventId, Arc<Pdu>>,
    rejected: &'a EventId,
}

impl EventLookup for WithRejected<'_> {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.events.get(event_id)
    }

    fn is_rejected(&self, event_id: &EventId) -> bool {
        event_id == self.rejected
    }
}

/// STATE-13, STATE-17
#[test]
fn state_17_a_rejected_event_neither_enters_nor_counts() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let name = room.make(&fork, MODERATOR, "m.room.name", Some(""), json!({}));
        let named = room.after(&fork, &name);
        let states = [fork.clone(), named.clone()];
        assert_eq!(resolve(version, &states, &room.events).unwrap(), named);
        let events = WithRejected {
            events: &room.events,
            rejected: name.event_id(),
        };
        assert_eq!(resolve(version, &states, &events).unwrap(), fork);
        // The name rests on the moderator's membership.
        let member = fork.get(MEMBER, MODERATOR).unwrap();
        let events = WithRejected {
            events: &room.events,
            rejected: member,
        };
        assert_eq!(resolve(version, &states, &events).unwrap(), fork);
    }
}

#[test]
fn missing_events_are_named() {
    let mut room = Room::new(RoomVersion::V12);
    let fork = room.state.clone();
    let name = room.make(&fork, MODERATOR, "m.room.name", Some(""), json!({}));
    let states = [fork.clone(), room.after(&fork, &name)];
    let missing = |held: &BTreeMap<OwnedEventId, Arc<Pdu>>| {
        resolve(room.version, &states, held).unwrap_err().0
    };
    assert_eq!(
        missing(&BTreeMap::new()),
        BTreeSet::from([name.event_id().to_owned()])
    );
    let held = BTreeMap::from([(name.event_id().to_owned(), name.clone())]);
    assert_eq!(
        missing(&held),
        name.auth_events().iter().map(ToOwned::to_owned).collect()
    );
}

/// In a large room the agreed state is large: a plain fork must not need all of it.
#[test]
fn agreed_state_is_not_asked_for_where_it_does_not_matter() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        set_level(&mut room, "invite", 10);
        let fork = room.state.clone();
        let join = room.make(
            &fork,
            BOB,
            MEMBER,
            Some(BOB),
            json!({ "membership": "join" }),
        );
        // Since then there are other power levels, behind which are those that the join rests on.
        let levels = room.usual_levels();
        let levels = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels);
        let agreed = room.after(&fork, &levels);
        let states = [agreed.clone(), room.after(&agreed, &join)];
        let mut events = room.events.clone();
        events.remove(fork.get(MEMBER, ALICE).unwrap());
        let resolved = resolve(version, &states, &events).unwrap();
        assert_eq!(resolved, states[1]);
    }
}

/// Tells who cites an event, but holds only some events.
pub struct WithCitations {
    held: BTreeMap<OwnedEventId, Arc<Pdu>>,
    cited_by: BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
}

impl WithCitations {
    pub fn of(room: &Room) -> Self {
        let mut cited_by = BTreeMap::<_, Vec<_>>::new();
        for (event_id, event) in &room.events {
            for cited in event.auth_events() {
                cited_by
                    .entry(cited.to_owned())
                    .or_default()
                    .push(event_id.clone());
            }
        }
        Self {
            held: room.events.clone(),
            cited_by,
        }
    }
}

impl EventLookup for WithCitations {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.held.get(event_id)
    }

    fn is_rejected(&self, _: &EventId) -> bool {
        false
    }

    fn cited_by(&self, event_id: &EventId) -> Option<&[OwnedEventId]> {
        Some(self.cited_by.get(event_id).map_or(&[], |citing| citing))
    }
}

/// An event that one state's chain has, and perhaps that of the other by way of an agreed entry.
#[test]
fn state_7_who_cites_an_event_tells_whether_every_chain_has_it() {
    for version in VERSIONS {
        for agreed_cites_it in [false, true] {
            let mut room = Room::new(version);
            let fork = room.state.clone();
            let renamed = |n: i64| json!({ "membership": "join", "displayname": n.to_string() });
            let first = room.make(&fork, ALICE, MEMBER, Some(ALICE), renamed(1));
            let once = room.after(&fork, &first);
            let second = room.make(&once, ALICE, MEMBER, Some(ALICE), renamed(2));
            // What both states hold was sent when Alice had her first name, or before.
            let base = if agreed_cites_it { &once } else { &fork };
            let agreed = room.make(base, ALICE, "x", Some(ALICE), json!({}));
            let after = |member: &StateMap| room.after(member, &agreed);
            let states = [after(&fork), room.after(&after(&once), &second)];

            let traced = |events: &WithCitations| resolve_traced(version, &states, events).unwrap();
            let mut events = WithCitations::of(&room);
            let resolution = traced(&events);
            let difference = &resolution.trace.auth_difference;
            assert_eq!(
                difference.contains(&first.event_id().to_owned()),
                !agreed_cites_it
            );
            let walked = resolve_traced(version, &states, &room.events).unwrap();
            assert_eq!(walked, resolution, "{version}");
            // Another member's event is not looked at then.
            events.held.remove(fork.get(MEMBER, MODERATOR).unwrap());
            assert_eq!(traced(&events), resolution, "{version}");
        }
    }
}

/// Counts how often events are asked for.
struct Counting<'a> {
    events: &'a BTreeMap<OwnedEventId, Arc<Pdu>>,
    asked: Cell<usize>,
}

impl EventLookup for Counting<'_> {
    fn get(&self, event_id: &EventId) -> Option<&Arc<Pdu>> {
        self.asked.update(|asked| asked + 1);
        self.events.get(event_id)
    }

    fn is_rejected(&self, _: &EventId) -> bool {
        false
    }
}

/// However wide the room and however long the chains, no event is looked at twice.
#[test]
fn in_a_large_room_every_event_is_asked_for_once_at_most() {
    let mut room = Room::new(RoomVersion::V12);
    let mut state = room.state.clone();
    for number in 0..2_000 {
        let user = format!("@user{number}:b.example");
        let join = room.make(
            &state,
            &user,
            MEMBER,
            Some(&user),
            json!({ "membership": "join" }),
        );
        state.insert(StateKey::new(MEMBER, user), join.event_id().to_owned());
    }
    for number in 0..300 {
        let mut levels = room.usual_levels();
        levels["n"] = number.into();
        let levels = room.make(&state, CREATOR, POWER_LEVELS, Some(""), levels);
        state = room.after(&state, &levels);
    }
    let topics =
        [0, 1].map(|n| room.make(&state, CREATOR, "m.room.topic", Some(""), json!({ "n": n })));
    let states = topics.each_ref().map(|topic| room.after(&state, topic));
    let events = Counting {
        events: &room.events,
        asked: Cell::default(),
    };
    assert_eq!(resolve(room.version, &states, &events).unwrap(), states[1]);
    assert!(events.asked.get() <= room.events.len());
}
