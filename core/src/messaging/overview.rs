//! What a room looks like from outside: in the directory of published rooms and in spaces.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::Content;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        world::Room,
    },
    pdu::event_type::{CREATE, HISTORY_VISIBILITY, JOIN_RULES, MEMBER},
    persistence::tables::StoredEvent,
};

/// The state that an overview is made of.
const DESCRIBING: [&str; 8] = [
    CREATE,
    JOIN_RULES,
    HISTORY_VISIBILITY,
    "m.room.name",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.avatar",
    "m.room.guest_access",
];

/// How many rooms are looked at whose members may join a room.
pub const ALLOWED_ROOMS_MAX: usize = 10;

/// How many members of one server are looked through for one who is invited.
const MEMBERS_MAX: usize = 100;

/// A room as those see it who are not in it (PUBROOMS-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomOverview {
    /// The room.
    pub room_id: OwnedRoomId,
    /// How many users are in it.
    pub num_joined_members: u64,
    /// Whether it can be read without joining.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its main alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Its picture, an `mxc:` URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Who may join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// What kind of room it is, such as `m.space`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
}

/// The contents of the state that describes a room, by type.
pub struct Description(BTreeMap<&'static str, Content>);

/// What describes several rooms, in the same order.
pub fn descriptions(rooms: &[&Room], facts: &Facts<'_>) -> Result<Vec<Description>, Blocked> {
    let ids: Vec<_> = rooms.iter().map(|room| describing(room)).collect();
    let all = ids.iter().flatten().map(|(_, event_id)| *event_id);
    let held = facts.all_held(all)?;
    Ok(ids
        .into_iter()
        .map(|ids| Description::of(ids, &held))
        .collect())
}

fn describing(room: &Room) -> Vec<(&'static str, &EventId)> {
    DESCRIBING
        .into_iter()
        .filter_map(|event_type| Some((event_type, room.state.get(event_type, "")?)))
        .collect()
}

impl Description {
    fn of(
        ids: Vec<(&'static str, &EventId)>,
        held: &BTreeMap<OwnedEventId, Arc<StoredEvent>>,
    ) -> Self {
        let contents = ids.into_iter().filter_map(|(event_type, event_id)| {
            Some((event_type, held.get(event_id)?.pdu.content()))
        });
        Self(contents.collect())
    }

    fn text(&self, event_type: &str, field: &str) -> Option<String> {
        let value = self.0.get(event_type)?.get(field)?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Whether the room can be read without joining.
    #[must_use]
    pub fn is_world_readable(&self) -> bool {
        let visibility = self.text(HISTORY_VISIBILITY, "history_visibility");
        visibility.as_deref() == Some("world_readable")
    }

    /// Whether anybody may join, or ask to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let rule = self.text(JOIN_RULES, "join_rule");
        matches!(
            rule.as_deref(),
            Some("public" | "knock" | "knock_restricted")
        )
    }

    /// The rooms whose members may join.
    pub fn allowed_rooms(&self) -> Vec<OwnedRoomId> {
        let rule = self.text(JOIN_RULES, "join_rule");
        if !matches!(rule.as_deref(), Some("restricted" | "knock_restricted")) {
            return Vec::new();
        }
        let allow = self.0.get(JOIN_RULES).and_then(|rules| rules.get("allow"));
        let conditions = allow.and_then(Value::as_array).into_iter().flatten();
        let of_members = |condition: &&Value| {
            condition.get("type").and_then(Value::as_str) == Some("m.room_membership")
        };
        conditions
            .filter(of_members)
            .filter_map(|condition| OwnedRoomId::try_from(condition.get("room_id")?.as_str()?).ok())
            .take(ALLOWED_ROOMS_MAX)
            .collect()
    }

    /// What kind of room it is.
    #[must_use]
    pub fn room_type(&self) -> Option<String> {
        self.text(CREATE, "type")
    }

    /// The overview of the room.
    #[must_use]
    pub fn overview(&self, room: &Room) -> RoomOverview {
        let guests = self.text("m.room.guest_access", "guest_access");
        RoomOverview {
            room_id: room.room_id.clone(),
            num_joined_members: room.joined.len() as u64,
            world_readable: self.is_world_readable(),
            guest_can_join: guests.as_deref() == Some("can_join"),
            name: self.text("m.room.name", "name"),
            topic: self.text("m.room.topic", "topic"),
            canonical_alias: self.text("m.room.canonical_alias", "alias"),
            avatar_url: self.text("m.room.avatar", "url"),
            join_rule: self.text(JOIN_RULES, "join_rule"),
            room_type: self.room_type(),
        }
    }
}

/// Who wants to see a room.
#[derive(Clone, Copy, Debug)]
pub enum Viewer<'a> {
    /// Any user of a server.
    Server(&'a ServerName),
    /// One user.
    User(&'a UserId),
}

impl Viewer<'_> {
    fn is_in(self, room: &Room) -> bool {
        match self {
            Self::Server(server) => room.has_server(server),
            Self::User(user_id) => room.joined.contains(user_id),
        }
    }

    fn is(self, user_id: &UserId) -> bool {
        match self {
            Self::Server(server) => user_id.server_name() == server,
            Self::User(viewer) => user_id == viewer,
        }
    }
}

/// Whether somebody could peek into a room or join it (SPACES-2).
pub fn may_see(
    viewer: Viewer<'_>,
    room: &Room,
    described: &Description,
    facts: &Facts<'_>,
) -> Result<bool, Blocked> {
    if described.is_open() || described.is_world_readable() || viewer.is_in(room) {
        return Ok(true);
    }
    let allowed = described.allowed_rooms();
    let allowed: Vec<_> = allowed.iter().map(|room_id| ours(room_id, facts)).collect();
    let allowed = allowed.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    if allowed.into_iter().flatten().any(|room| viewer.is_in(room)) {
        return Ok(true);
    }
    is_invited(viewer, room, facts)
}

fn is_invited(viewer: Viewer<'_>, room: &Room, facts: &Facts<'_>) -> Result<bool, Blocked> {
    let members = room
        .state
        .iter()
        .filter_map(|((event_type, state_key), event_id)| {
            let user_id = <&UserId>::try_from(state_key).ok()?;
            (event_type == MEMBER && viewer.is(user_id)).then_some(event_id)
        });
    let held = facts.all_held(members.take(MEMBERS_MAX))?;
    let invited = |event: &Arc<StoredEvent>| event.pdu.membership() == Some("invite");
    Ok(held.values().any(invited))
}

/// A room that we are in.
pub fn ours<'f>(room_id: &RoomId, facts: &Facts<'f>) -> Result<Option<&'f Room>, Blocked> {
    let room = facts.room(room_id)?;
    Ok(room.filter(|room| room.has_server(facts.our_name())))
}
