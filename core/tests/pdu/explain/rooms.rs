//! What is told of a room: its forks and how they were merged.

use std::sync::Arc;

use comity_core::{
    pdu::{
        Pdu, RoomVersion, StateMap,
        authorisation::PowerLevel,
        event_type::POWER_LEVELS,
        explain::{
            EventBrief, ExplainError, RoomReport, explain_room, explain_state_before,
            resolution::{ResolutionReport, Resolved, StepOutcome, Turn},
            state_facts::Level,
        },
        resolution::resolve,
    },
    persistence::tables::Verdict,
};
use ruma_common::EventId;
use serde_json::json;

use super::shelf::Shelf;
use crate::{
    EVERY_VERSION,
    room::{CREATOR, MODERATOR, Room},
};

/// The creator demotes the moderator, who meanwhile names the room.
struct Forked {
    room: Room,
    shelf: Shelf,
    demotion: Arc<Pdu>,
    name: Arc<Pdu>,
}

impl Forked {
    fn new(version: RoomVersion) -> Self {
        let mut room = Room::new(version);
        let fork = room.state.clone();
        let mut levels = room.usual_levels();
        levels["users"][MODERATOR] = 0.into();
        let demotion = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels);
        let name = room.make(
            &fork,
            MODERATOR,
            "m.room.name",
            Some(""),
            json!({ "name": "x" }),
        );
        let mut shelf = Shelf::of(&room);
        for event in [&demotion, &name] {
            shelf.put(event, Verdict::Accepted, &fork, &room.after(&fork, event));
            shelf.extremities.push(event.event_id().to_owned());
        }
        let states = [&demotion, &name].map(|event| room.after(&fork, event));
        shelf.state = resolve(version, &states, &room.events).unwrap();
        Self {
            room,
            shelf,
            demotion,
            name,
        }
    }

    fn report(&self) -> RoomReport {
        explain_room(self.room.create.room_id(), &self.shelf.archive()).unwrap()
    }

    /// An event that follows these.
    fn follow(&mut self, previous: &[&Arc<Pdu>], before: &StateMap) -> Arc<Pdu> {
        let mut template = self
            .room
            .template(before, CREATOR, "m.room.message", None, json!({}));
        template.prev_events = previous
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect();
        let event = self.room.add(template);
        self.shelf.put(&event, Verdict::Accepted, before, before);
        self.shelf.extremities = vec![event.event_id().to_owned()];
        event
    }
}

fn resolution(report: &RoomReport) -> &ResolutionReport {
    report.resolution.as_ref().unwrap()
}

fn ids<'r>(events: impl IntoIterator<Item = &'r EventBrief>) -> Vec<&'r EventId> {
    events.into_iter().map(|event| &*event.event_id).collect()
}

#[test]
fn a_fork_between_the_forward_extremities_is_told_step_by_step() {
    let forked = Forked::new(RoomVersion::V11);
    let report = forked.report();
    assert_eq!(report.forward_extremities.len(), 2);
    let resolution = resolution(&report);
    assert_eq!(
        (&resolution.of, resolution.algorithm),
        (&Resolved::Current, "2")
    );
    assert_eq!(resolution.forks.len(), 2);
    assert_eq!(
        ids(&resolution.forks[0].after),
        [forked.demotion.event_id()]
    );
    assert_eq!(ids(&resolution.forks[1].after), [forked.name.event_id()]);
    let conflicts: Vec<_> = resolution
        .conflicts
        .iter()
        .map(|conflict| &*conflict.event_type)
        .collect();
    assert_eq!(conflicts, ["m.room.name", POWER_LEVELS]);
    let name = &resolution.conflicts[0];
    assert_eq!(name.candidates[0], None);
    assert_eq!(ids(&name.candidates[1]), [forked.name.event_id()]);
    assert_eq!(name.winner, None);
    let levels = &resolution.conflicts[1];
    assert_eq!(ids(&levels.winner), [forked.demotion.event_id()]);
    // The create event, three memberships and the join rules.
    assert_eq!(resolution.unconflicted, 5);
    assert_eq!(ids(&resolution.mainline)[0], forked.demotion.event_id());
    assert!(resolution.agrees);
    assert_eq!(resolution.result.digest, forked.shelf.state.digest_text());
}

#[test]
fn the_replay_says_whose_turn_it_was_and_what_became_of_it() {
    let forked = Forked::new(RoomVersion::V11);
    let report = forked.report();
    let replay = &resolution(&report).replay;
    assert_eq!(
        ids(replay.iter().map(|step| &step.event)).last(),
        Some(&forked.name.event_id())
    );
    let demotion = replay
        .iter()
        .find(|step| step.event.event_id == *forked.demotion.event_id())
        .unwrap();
    let sender_level = Level(PowerLevel::Level(100));
    assert_eq!(demotion.turn, Turn::Power { sender_level });
    assert_eq!(demotion.outcome, StepOutcome::Allowed);
    let name = replay.last().unwrap();
    assert!(
        matches!(
            name.turn,
            Turn::Mainline {
                mainline_position: Some(_)
            }
        ),
        "{name:?}"
    );
    let StepOutcome::Denied { reason, rule } = &name.outcome else {
        panic!("{name:?}")
    };
    assert!(
        reason.contains("level 0 is below the 50 needed to send m.room.name"),
        "{reason}"
    );
    assert_eq!(rule.name, "level");
}

#[test]
fn every_algorithm_comes_to_what_is_stored() {
    for version in EVERY_VERSION {
        let report = Forked::new(version).report();
        let resolution = resolution(&report);
        assert!(resolution.agrees, "{version}: {resolution:?}");
        assert!(!resolution.replay.is_empty());
    }
}

#[test]
fn a_stored_state_that_does_not_follow_is_noticed() {
    let mut forked = Forked::new(RoomVersion::V12);
    forked.shelf.state = forked.room.state.clone();
    assert!(!resolution(&forked.report()).agrees);
}

#[test]
fn the_latest_merge_is_found_behind_what_followed() {
    let mut forked = Forked::new(RoomVersion::V12);
    let (demotion, name) = (forked.demotion.clone(), forked.name.clone());
    let merged = forked.shelf.state.clone();
    let merge = forked.follow(&[&demotion, &name], &merged);
    let after = forked.follow(&[&merge], &merged);
    let last = forked.follow(&[&after, &merge], &merged);
    let report = forked.report();
    assert_eq!(ids(&report.forward_extremities), [last.event_id()]);
    assert_eq!(report.searched, Some(5));
    let found = resolution(&report);
    let Resolved::Before { event } = &found.of else {
        panic!("{:?}", found.of)
    };
    assert_eq!(event.event_id, *merge.event_id());
    assert!(found.agrees);
    let before = |event: &Pdu| {
        explain_state_before(event.event_id(), &forked.shelf.archive())
            .unwrap()
            .resolution
    };
    assert_eq!(before(&merge).as_ref(), Some(found));
    assert_eq!(before(&after), None);
    assert_eq!(before(&last), None, "both branches have the same state");
}

#[test]
fn a_room_without_forks_has_nothing_to_resolve() {
    let mut forked = Forked::new(RoomVersion::V12);
    forked.shelf.extremities.pop();
    let report = forked.report();
    assert_eq!((report.searched, report.resolution), (Some(2), None));
}

#[test]
fn a_fork_whose_events_are_missing_is_an_error() {
    let mut forked = Forked::new(RoomVersion::V12);
    let member = forked
        .name
        .auth_events()
        .iter()
        .find(|id| *id != forked.demotion.event_id());
    forked.shelf.events.remove(member.unwrap());
    let failed = explain_room(forked.room.create.room_id(), &forked.shelf.archive());
    assert!(
        matches!(failed, Err(ExplainError::Missing(_))),
        "{failed:?}"
    );
}

#[test]
fn a_room_that_is_not_ours_is_unknown() {
    let forked = Forked::new(RoomVersion::V12);
    let other: ruma_common::OwnedRoomId = "!other:a.example".try_into().unwrap();
    let unknown = ExplainError::UnknownRoom(other.clone());
    assert_eq!(explain_room(&other, &forked.shelf.archive()), Err(unknown));
}
