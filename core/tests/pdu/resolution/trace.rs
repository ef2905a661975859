//! What a traced resolution tells.

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, StateMap,
    authorisation::PowerLevel,
    event_type::{MEMBER, POWER_LEVELS},
    resolution::{Conflict, Place, Trace, Verdict, resolve, resolve_traced},
};
use ruma_common::EventId;
use serde_json::json;

use crate::{
    VERSIONS,
    room::{ALICE, CREATOR, MODERATOR, Room},
    ruma,
};

#[test]
fn states_that_agree_leave_no_trace() {
    let room = Room::new(RoomVersion::V12);
    let states = [room.state.clone(), room.state.clone()];
    let resolution = resolve_traced(room.version, &states, &room.events).unwrap();
    assert_eq!(resolution.state, room.state);
    assert_eq!(resolution.trace, Trace::default());
}

/// One branch demotes the moderator in two steps; on the other the moderator bans Alice and sets a
/// topic.
#[test]
fn every_step_is_told_in_order() {
    let mut room = Room::new(RoomVersion::V11);
    let fork = room.state.clone();
    let (old_levels, mut levels) = (fork.get(POWER_LEVELS, "").unwrap(), room.usual_levels());
    levels["users"][MODERATOR] = 40.into();
    let first = room.make(&fork, CREATOR, POWER_LEVELS, Some(""), levels.clone());
    let demoted = room.after(&fork, &first);
    levels["users"][MODERATOR] = 0.into();
    let second = room.make(&demoted, CREATOR, POWER_LEVELS, Some(""), levels);
    let demoted = room.after(&demoted, &second);
    let ban = json!({ "membership": "ban" });
    let ban = room.make(&fork, MODERATOR, MEMBER, Some(ALICE), ban);
    let banned = room.after(&fork, &ban);
    let topic = room.make(&banned, MODERATOR, "m.room.topic", Some(""), json!({}));
    let banned = room.after(&banned, &topic);

    let states = [demoted.clone(), banned.clone()];
    let resolution = resolve_traced(room.version, &states, &room.events).unwrap();
    assert_eq!(
        Ok(&resolution.state),
        resolve(room.version, &states, &room.events).as_ref()
    );
    assert_eq!(resolution.state, demoted);
    let trace = resolution.trace;
    let conflict = |key: StateKey| Conflict {
        candidates: states
            .iter()
            .map(|state| state.get_key(&key).map(ToOwned::to_owned))
            .collect(),
        key,
    };
    let keys = [(MEMBER, ALICE), (POWER_LEVELS, ""), ("m.room.topic", "")];
    assert_eq!(
        trace.conflicts,
        keys.map(|(event_type, key)| conflict(StateKey::new(event_type, key)))
    );
    assert_eq!(trace.conflicts[2].candidates[0], None);
    assert_eq!(trace.auth_difference, [first.event_id()]);
    assert!(trace.subgraph.is_empty());
    assert_eq!(
        trace.mainline,
        [second.event_id(), first.event_id(), old_levels]
    );
    let power = |event: &Pdu, level| Place::Power {
        sender_level: PowerLevel::Level(level),
        origin_server_ts: event.origin_server_ts(),
    };
    let on_mainline = |event: &Pdu, index| Place::Mainline {
        position: Some(index),
        origin_server_ts: event.origin_server_ts(),
    };
    let [old_levels, join] =
        [old_levels, fork.get(MEMBER, ALICE).unwrap()].map(|id| &room.events[id]);
    let no_power = "@moderator:a.example's level 0 is below the 50 needed to";
    let expected = [
        (old_levels, power(old_levels, 100), "allowed".to_owned()),
        (&first, power(&first, 100), "allowed".to_owned()),
        (&second, power(&second, 100), "allowed".to_owned()),
        (join, power(join, 0), "allowed".to_owned()),
        (&ban, power(&ban, 50), format!("{no_power} ban")),
        (
            &topic,
            on_mainline(&topic, 2),
            format!("{no_power} send m.room.topic"),
        ),
    ];
    for (replayed, (event, place, verdict)) in trace.replayed.iter().zip(&expected) {
        assert_eq!(replayed.event_id, event.event_id());
        assert_eq!(replayed.place, *place);
        let said = match &replayed.verdict {
            Verdict::Allowed => "allowed".to_owned(),
            Verdict::Denied(denied) => denied.reason().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(said, *verdict);
    }
    assert_eq!(trace.replayed.len(), expected.len());
}

/// STATE-9: a create event that only one state has is a power event. It comes before all others,
/// however old it claims to be, and is allowed like any create event.
#[test]
fn state_9_create_events_are_power_events() {
    for version in VERSIONS {
        let room = Room::new(version);
        for states in [
            [room.state.clone(), StateMap::new()],
            [StateMap::new(), room.state.clone()],
        ] {
            let resolution = resolve_traced(version, &states, &room.events).unwrap();
            assert_eq!(resolution.state, room.state, "{version}");
            let theirs = ruma::resolve(version, &states, &|id: &EventId| room.events.get(id));
            assert_eq!(theirs, room.state, "{version}");
            let first = &resolution.trace.replayed[0];
            assert_eq!(first.event_id, room.create.event_id());
            assert!(
                matches!(first.place, Place::Power { .. }),
                "{:?}",
                first.place
            );
            assert_eq!(first.verdict, Verdict::Allowed);
        }
    }
}
