//! `hierarchy`: a space with all that is below it.
//!
//! The rooms are walked depth first, each once, whatever circles they form. A page is a stretch of
//! that walk, which is made anew for each page; beyond a bound it is not.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{
    messaging::{
        command::{Command, Reply},
        hierarchy::{Hierarchy, HierarchyRoom},
    },
    transport::matrix_error::MatrixError,
};
use ruma_common::{OwnedRoomId, OwnedServerName};
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, invalid},
    request::Request,
    session::Session,
};

/// Rooms in one page, unless the client wants fewer.
const PAGE_MAX: usize = 50;

/// How many rooms a walk finds …
const ROOMS_MAX: usize = 500;

/// … and how many of them it asks for.
const ASKED_MAX: usize = 200;

/// How many servers of a child are asked for it.
const VIA_MAX: usize = 3;

pub(super) fn hierarchy(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let room_id: OwnedRoomId = request.id(0)?;
    let limit = request.query_number("limit")?.unwrap_or(PAGE_MAX as u64);
    let limit = usize::try_from(limit)
        .unwrap_or(PAGE_MAX)
        .clamp(1, PAGE_MAX);
    let begin: usize = match request.query("from") {
        None => 0,
        Some(from) => from.parse().map_err(|_| invalid("from is no token"))?,
    };
    let mut walk = Walk {
        session,
        suggested_only: request.query_flag("suggested_only"),
        depth_max: request.query_number("max_depth")?.unwrap_or(u64::MAX),
        asked: 0,
        met: BTreeSet::new(),
        described: BTreeMap::new(),
        hidden: BTreeSet::new(),
        rooms: Vec::new(),
    };
    walk.go(room_id, ROOMS_MAX.min(begin.saturating_add(limit + 1)))?;
    let more = walk.rooms.len() > begin.saturating_add(limit);
    let rooms: Vec<Value> = walk.rooms.into_iter().skip(begin).take(limit).collect();
    let mut answer = json!({ "rooms": rooms });
    if let Some(answer) = answer.as_object_mut().filter(|_| more) {
        answer.insert("next_batch".to_owned(), (begin + limit).to_string().into());
    }
    Ok(answer)
}

/// A room that is still to be visited.
struct Next {
    room_id: OwnedRoomId,
    via: Vec<OwnedServerName>,
    depth: u64,
}

struct Walk<'w> {
    session: &'w Session<'w>,
    suggested_only: bool,
    depth_max: u64,
    asked: usize,
    met: BTreeSet<OwnedRoomId>,
    /// Rooms that were described together with their parents.
    described: BTreeMap<OwnedRoomId, HierarchyRoom>,
    /// Rooms that those who know them do not show.
    hidden: BTreeSet<OwnedRoomId>,
    rooms: Vec<Value>,
}

impl Walk<'_> {
    /// Errors if the root cannot be shown; any other room is left out.
    fn go(&mut self, root: OwnedRoomId, rooms_max: usize) -> Result<(), MatrixError> {
        let via = root.server_name().map(ToOwned::to_owned);
        let mut next = vec![Next {
            via: via.into_iter().collect(),
            room_id: root,
            depth: 0,
        }];
        while let Some(place) = next.pop() {
            if self.rooms.len() >= rooms_max {
                return Ok(());
            }
            if !self.met.insert(place.room_id.clone()) {
                continue;
            }
            let room = match self.visit(&place) {
                Ok(room) => room,
                Err(error) if place.depth == 0 => return Err(error),
                Err(_) => continue,
            };
            if place.depth < self.depth_max {
                let children = room.children_state.iter().rev();
                next.extend(children.filter_map(|child| Next::of(child, place.depth + 1)));
            }
            self.rooms.push(json!(room));
        }
        Ok(())
    }

    /// A room that is no space is known well enough from its parent's description.
    fn visit(&mut self, place: &Next) -> Result<HierarchyRoom, MatrixError> {
        let described = self.described.remove(&place.room_id);
        let is_leaf = |room: &HierarchyRoom| room.overview.room_type.as_deref() != Some("m.space");
        if let Some(room) = described.as_ref().filter(|room| is_leaf(room)) {
            return Ok(room.clone());
        }
        if self.hidden.contains(&place.room_id) || self.asked >= ASKED_MAX {
            return described.ok_or_else(|| errors::not_found("the room is not shown"));
        }
        self.asked += 1;
        match self.ask(place) {
            Ok(level) => {
                let children = level.children.into_iter();
                let children = children.map(|room| (room.overview.room_id.clone(), room));
                self.described.extend(children);
                self.hidden.extend(level.inaccessible_children);
                Ok(level.room)
            }
            Err(error) => described.ok_or(error),
        }
    }

    fn ask(&self, place: &Next) -> Result<Hierarchy, MatrixError> {
        let command = Command::Hierarchy {
            user_id: self.session.user_id.clone(),
            room_id: place.room_id.clone(),
            via: place.via.clone(),
            suggested_only: self.suggested_only,
        };
        match self.session.command(command)? {
            Reply::Hierarchy(level) => Ok(*level),
            _ => Err(errors::unexpected_reply()),
        }
    }
}

impl Next {
    fn of(child: &Value, depth: u64) -> Option<Self> {
        let room_id = OwnedRoomId::try_from(child.get("state_key")?.as_str()?).ok()?;
        let via = child.pointer("/content/via")?.as_array()?.iter();
        let via = via.filter_map(|server| OwnedServerName::try_from(server.as_str()?).ok());
        Some(Self {
            room_id,
            via: via.take(VIA_MAX).collect(),
            depth,
        })
    }
}
