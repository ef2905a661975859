//! Verdicts on events, compared with ruma's.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, auth_events,
    authorisation::{Denied, PowerLevels, Rule, check_state},
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
};
use serde_json::{Value, json};

use crate::{
    room::{CREATOR, Room},
    ruma,
};

pub const NOBODY: &str = "@nobody:d.example";

pub type Verdict = Result<(), Denied>;

/// The rule that denies the event; `None` if it is allowed.
pub fn rule(verdict: Verdict) -> Option<Rule> {
    verdict.err().map(|denied| denied.rule())
}

/// The verdict in words.
pub fn words(verdict: Verdict) -> String {
    verdict.map_or_else(|denied| denied.to_string(), |()| "allowed".to_owned())
}

/// The verdict on an event that follows the room's present state.
pub fn judge(
    room: &mut Room,
    sender: &str,
    event_type: &str,
    key: Option<&str>,
    content: Value,
) -> Verdict {
    let state = room.state.clone();
    let event = room.make(&state, sender, event_type, key, content);
    judge_event(room, &event)
}

pub fn judge_event(room: &Room, event: &Arc<Pdu>) -> Verdict {
    let ours = judge_by_us_alone(room, event);
    let theirs = ruma::check_state(event, &room.view(&room.state));
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "{ours:?}, but ruma {theirs:?}: {}",
        event.json()
    );
    ours
}

pub fn judge_by_us_alone(room: &Room, event: &Arc<Pdu>) -> Verdict {
    let verdict = check_state(event, &room.create, &room.view(&room.state));
    // The part of the state that the rules say they need must be all that they look at.
    let needed = auth_events::needed_state(&**event, room.version);
    let part: Vec<_> = needed
        .entries()
        .filter_map(|(event_type, key)| room.state.get(event_type, key))
        .collect();
    let part: Vec<_> = part.into_iter().map(|id| room.events[id].clone()).collect();
    assert_eq!(check_state(event, &room.create, &part), verdict);
    verdict
}

pub fn member(room: &mut Room, sender: &str, target: &str, content: Value) -> Verdict {
    judge(room, sender, MEMBER, Some(target), content)
}

pub fn join(room: &mut Room, user: &str) -> Verdict {
    member(room, user, user, json!({ "membership": "join" }))
}

/// A room in whose state these users have these memberships.
pub fn room_with(version: RoomVersion, memberships: &[(&str, &str)]) -> Room {
    let mut room = Room::new(version);
    for (user, membership) in memberships {
        room.put(CREATOR, MEMBER, user, json!({ "membership": membership }));
    }
    room
}

pub fn set_join_rule(room: &mut Room, rule: Value) {
    room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": rule }));
}

/// The version as the checklist's tables count it: rules that began with one hold from there on.
pub fn number(version: RoomVersion) -> u32 {
    version.as_str().parse().unwrap()
}

pub fn set_level(room: &mut Room, name: &str, level: i64) {
    let mut levels = room.usual_levels();
    levels[name] = level.into();
    room.put(CREATOR, POWER_LEVELS, "", levels);
}

pub fn levels_of(room: &Room) -> PowerLevels<'_> {
    let levels = room.state.get(POWER_LEVELS, "").map(|id| &*room.events[id]);
    PowerLevels::new(&room.create, levels)
}
