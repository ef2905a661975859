//! Spaces: a room and the rooms that it names as its children, one level at a time (SPACES-1 to
//! SPACES-3).

use std::sync::Arc;

use http::StatusCode;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    command::{CommandError, Reply},
    overview::{ALLOWED_ROOMS_MAX, Description, RoomOverview, Viewer, descriptions, may_see, ours},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        world::Room,
    },
    persistence::{
        queries::{Answer, Read},
        tables::{LocalMembership, StoredEvent},
    },
    transport::{
        json::json_response,
        matrix_error::{ErrorCode, MatrixError},
        remote_request::Endpoint,
        remote_response::{self, RemoteError},
    },
};

const SPACE_CHILD: &str = "m.space.child";

/// How many children of a space are looked at.
const CHILDREN_MAX: usize = 50;

/// How many events name a space's children, before they are sorted, at most.
const CANDIDATES_MAX: usize = 1_000;

/// How many servers are asked about one room.
const SERVERS_MAX: usize = 5;

/// A room in a hierarchy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HierarchyRoom {
    /// How it looks.
    #[serde(flatten)]
    pub overview: RoomOverview,
    /// The rooms whose members may join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// The events by which it names its children, stripped, with when they were sent.
    pub children_state: Vec<Value>,
}

/// One level of a hierarchy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The room itself.
    pub room: HierarchyRoom,
    /// Those of its children that are known and may be shown.
    #[serde(default)]
    pub children: Vec<HierarchyRoom>,
    /// Those that may not be shown.
    #[serde(default)]
    pub inaccessible_children: Vec<OwnedRoomId>,
}

/// Another server wants to see a space.
#[derive(Clone, Debug)]
pub struct ServeHierarchy {
    /// Who asks.
    pub origin: OwnedServerName,
    /// The space.
    pub room_id: OwnedRoomId,
    /// Only children that are marked as suggested.
    pub suggested_only: bool,
}

impl ServeHierarchy {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let viewer = Viewer::Server(&self.origin);
        let level = level(&self.room_id, viewer, self.suggested_only, facts)?;
        let not_found = || MatrixError::new(ErrorCode::NotFound, "there is no such room to see");
        Ok(Outcome::respond(match level {
            Some(level) => json_response(StatusCode::OK, &level),
            None => not_found().into_response(),
        }))
    }
}

/// Our user wants to see a space.
#[derive(Clone, Debug)]
pub struct SeeHierarchy {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The space.
    pub room_id: OwnedRoomId,
    /// Servers that may know it.
    pub via: Vec<OwnedServerName>,
    /// Only children that are marked as suggested.
    pub suggested_only: bool,
}

impl SeeHierarchy {
    /// See [`crate::engine`]. What we know ourselves is not asked of others.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let not_found = || CommandError::NotFound(format!("{} is not known", self.room_id));
        if ours(&self.room_id, facts)?.is_some() {
            let viewer = Viewer::User(&self.user_id);
            let level = level(&self.room_id, viewer, self.suggested_only, facts)?;
            let level = level.ok_or_else(not_found);
            return Ok(Outcome::complete(
                level.map(|level| Reply::Hierarchy(Box::new(level))),
            ));
        }
        let mut last = not_found();
        let others = self.via.iter().filter(|server| *server != facts.our_name());
        for server in others.take(SERVERS_MAX) {
            let endpoint = Endpoint::Hierarchy {
                room_id: self.room_id.clone(),
                suggested_only: self.suggested_only,
            };
            match self.read(facts.call(server, endpoint)?) {
                Ok(level) => {
                    let level = self.for_user(level, facts)?.ok_or_else(not_found);
                    return Ok(Outcome::complete(
                        level.map(|level| Reply::Hierarchy(Box::new(level))),
                    ));
                }
                Err(error) => last = CommandError::of_server(server, &error),
            }
        }
        Ok(Outcome::complete(Err(last)))
    }

    /// What another server shows to any user of ours, as far as this one could join it or peek into
    /// it (SPACES-3).
    fn for_user(
        &self,
        mut level: Hierarchy,
        facts: &Facts<'_>,
    ) -> Result<Option<Hierarchy>, Blocked> {
        let memberships = match facts.read(Read::Memberships(self.user_id.clone()))? {
            Answer::Memberships(memberships) => memberships.as_slice(),
            _ => &[],
        };
        let shown = |room: &HierarchyRoom| self.may_see(room, memberships, facts);
        let seen: Vec<_> = level.children.iter().map(shown).collect();
        let seen = seen.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        if !shown(&level.room)? {
            return Ok(None);
        }
        let (mut children, mut hidden) = (Vec::new(), level.inaccessible_children);
        for (child, seen) in level.children.into_iter().zip(seen) {
            match seen {
                true => children.push(child),
                false => hidden.push(child.overview.room_id),
            }
        }
        level.children = children;
        level.inaccessible_children = hidden;
        Ok(Some(level))
    }

    fn may_see(
        &self,
        room: &HierarchyRoom,
        memberships: &[LocalMembership],
        facts: &Facts<'_>,
    ) -> Result<bool, Blocked> {
        let rule = room.overview.join_rule.as_deref();
        let is_open = matches!(rule, None | Some("public" | "knock" | "knock_restricted"));
        let is_known = memberships.iter().any(|entry| {
            entry.room_id == room.overview.room_id
                && matches!(entry.membership.as_str(), "join" | "invite")
        });
        if is_open || room.overview.world_readable || is_known {
            return Ok(true);
        }
        let allowed = room.allowed_room_ids.iter().take(ALLOWED_ROOMS_MAX);
        let allowed: Vec<_> = allowed.map(|room_id| ours(room_id, facts)).collect();
        let allowed = allowed.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
        let mut allowed = allowed.into_iter().flatten();
        Ok(allowed.any(|room| room.joined.contains(&self.user_id)))
    }

    /// The room must be the one that was asked for.
    fn read(&self, answer: &remote_response::RemoteResponse) -> Result<Hierarchy, RemoteError> {
        let body = answer.as_ref().map_err(Clone::clone)?;
        let mut level: Hierarchy = remote_response::parse(body)?;
        if level.room.overview.room_id != self.room_id {
            let reason = "another room was described".to_owned();
            return Err(RemoteError::Nonsense(reason));
        }
        level.children.truncate(CHILDREN_MAX);
        level.inaccessible_children.truncate(CHILDREN_MAX);
        level.room.children_state.truncate(CHILDREN_MAX);
        Ok(level)
    }
}

/// One level of a hierarchy as somebody may see it; `None` if they may not see the room.
fn level(
    room_id: &RoomId,
    viewer: Viewer<'_>,
    suggested_only: bool,
    facts: &Facts<'_>,
) -> Result<Option<Hierarchy>, Blocked> {
    let Some(room) = ours(room_id, facts)? else {
        return Ok(None);
    };
    let described = descriptions(&[room], facts)?;
    let Some(described) = described.first() else {
        return Ok(None);
    };
    if !may_see(viewer, room, described, facts)? {
        return Ok(None);
    }
    let named = children(room, described, suggested_only, facts)?;
    let rooms: Vec<_> = named
        .iter()
        .map(|child| ours(&child.room_id, facts))
        .collect();
    let rooms = rooms.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    let rooms: Vec<&Room> = rooms.into_iter().flatten().collect();
    let mut hierarchy = Hierarchy {
        room: entry(room, described, &named),
        children: Vec::new(),
        inaccessible_children: Vec::new(),
    };
    for (child, described) in rooms.iter().zip(descriptions(&rooms, facts)?) {
        if may_see(viewer, child, &described, facts)? {
            let named = children(child, &described, suggested_only, facts)?;
            hierarchy.children.push(entry(child, &described, &named));
        } else {
            hierarchy.inaccessible_children.push(child.room_id.clone());
        }
    }
    Ok(Some(hierarchy))
}

fn entry(room: &Room, described: &Description, children: &[Child]) -> HierarchyRoom {
    HierarchyRoom {
        overview: described.overview(room),
        allowed_room_ids: described.allowed_rooms(),
        children_state: children.iter().map(Child::stripped).collect(),
    }
}

/// A room that a space names as its child.
struct Child {
    room_id: OwnedRoomId,
    event: Arc<StoredEvent>,
    order: Option<String>,
}

/// The children of a space in the order in which they are to be shown; no other room has any.
fn children(
    room: &Room,
    described: &Description,
    suggested_only: bool,
    facts: &Facts<'_>,
) -> Result<Vec<Child>, Blocked> {
    if described.room_type().as_deref() != Some("m.space") {
        return Ok(Vec::new());
    }
    let entries = room.state.iter();
    let entries = entries.filter(|((event_type, _), _)| *event_type == SPACE_CHILD);
    let ids = entries.map(|(_, event_id)| event_id).take(CANDIDATES_MAX);
    let held = facts.all_held(ids)?;
    let mut children: Vec<Child> = held
        .into_values()
        .filter_map(|event| Child::of(event, suggested_only))
        .collect();
    children.sort_by_cached_key(|child| {
        let sent = child.event.pdu.origin_server_ts();
        (
            child.order.is_none(),
            child.order.clone(),
            sent,
            child.room_id.clone(),
        )
    });
    children.truncate(CHILDREN_MAX);
    Ok(children)
}

impl Child {
    /// An event that says no servers takes a child back.
    fn of(event: Arc<StoredEvent>, suggested_only: bool) -> Option<Self> {
        let content = event.pdu.content();
        let room_id = OwnedRoomId::try_from(event.pdu.state_key()?).ok()?;
        content
            .get("via")?
            .as_array()
            .filter(|via| !via.is_empty())?;
        let suggested = content.get("suggested").and_then(Value::as_bool);
        if suggested_only && suggested != Some(true) {
            return None;
        }
        let order = content.get("order").and_then(Value::as_str);
        let order = order
            .filter(|order| is_valid_order(order))
            .map(ToOwned::to_owned);
        Some(Self {
            room_id,
            event,
            order,
        })
    }

    fn stripped(&self) -> Value {
        let event = &self.event.pdu;
        json!({
            "type": event.event_type(),
            "state_key": event.state_key(),
            "sender": event.sender(),
            "content": event.content(),
            "origin_server_ts": event.origin_server_ts(),
        })
    }
}

/// At most 50 printable ASCII characters (client-server API, "Ordering of children").
fn is_valid_order(order: &str) -> bool {
    order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
