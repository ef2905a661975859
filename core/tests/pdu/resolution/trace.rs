//! What a traced resolution tells.

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey,
    authorisation::{Denied, PowerLevel},
    event_type::{MEMBER, POWER_LEVELS},
    resolution::{Conflict, Place, Replayed, Trace, Verdict, resolve, resolve_traced},
};
use serde_json::json;

use crate::room::{ALICE, CREATOR, MODERATOR, Room, user};

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
    let no_power = |needs, to: &str| {
        Verdict::Denied(Denied::PowerLevel {
            user: user(MODERATOR),
            has: PowerLevel::Level(0),
            needs,
            to: to.to_owned().into(),
        })
    };
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
    let expected = [
        (old_levels, power(old_levels, 100), Verdict::Allowed),
        (&first, power(&first, 100), Verdict::Allowed),
        (&second, power(&second, 100), Verdict::Allowed),
        (join, power(join, 0), Verdict::Allowed),
        (&ban, power(&ban, 50), no_power(50, "ban")),
        (
            &topic,
            on_mainline(&topic, 2),
            no_power(50, "send m.room.topic"),
        ),
    ];
    let expected = expected.map(|(event, place, verdict)| Replayed {
        event_id: event.event_id().to_owned(),
        place,
        verdict,
    });
    assert_eq!(trace.replayed, expected);
}
