//! Rooms that let in the members of other rooms (server-server API, "Restricted rooms").

use ruma_common::{OwnedUserId, RoomId, UserId};
use serde_json::Value;

use super::{command::CommandError, compose::NewEvent};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        stop::Stop,
        world::Room,
    },
    pdu::{
        authorisation::{NamedLevel, PowerLevel},
        event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS},
        view::View,
    },
    transport::matrix_error::{ErrorCode, MatrixError},
};

/// How many rooms whose members may join are looked at.
const ALLOWED_ROOMS_MAX: usize = 10;

/// What names the user who lets somebody in.
pub(super) const AUTHORISED_VIA: &str = "join_authorised_via_users_server";

/// Where a room lets the members of other rooms in, finds one of our users who may say so
/// (RJOIN-1, RJOIN-2), and names them in the join.
///
/// # Errors
/// Refused, if the user is in none of these rooms, if we cannot tell, or if none of our users may
/// let them in: the latter two another server may answer otherwise.
pub fn authorise_join(
    room: &Room,
    mut join: NewEvent,
    facts: &Facts<'_>,
) -> Result<NewEvent, Stop<MatrixError>> {
    let entries = [
        (CREATE, ""),
        (JOIN_RULES, ""),
        (POWER_LEVELS, ""),
        (MEMBER, join.sender.as_str()),
    ];
    let view = View::with(&room.state, entries, facts)?;
    if !needs_authority(&view, &join.sender) {
        return Ok(join);
    }
    check_other_rooms(&view, &join.sender, facts)?;
    let user = room
        .joined
        .iter()
        .find(|user| may_invite(user, &view, facts))
        .ok_or_else(|| {
            MatrixError::new(
                ErrorCode::UnableToGrantJoin,
                "nobody on this server may let you in",
            )
        })?;
    join.content
        .insert(AUTHORISED_VIA.to_owned(), user.as_str().into());
    Ok(join)
}

/// Whoever is in the room or invited to it needs no other room.
fn needs_authority(view: &View, user: &UserId) -> bool {
    let rules = view.event(JOIN_RULES, "");
    let rules = rules.and_then(|rules| rules.auth_content().join_rules());
    let rule = rules.and_then(|rules| rules.join_rule.as_deref());
    let member = view
        .event(MEMBER, user.as_str())
        .and_then(|member| member.membership());
    matches!(rule, Some("restricted" | "knock_restricted"))
        && !matches!(member, Some("join" | "invite"))
}

/// Whether the user is joined to a room whose members may join, as far as we are in those rooms.
fn check_other_rooms(
    view: &View,
    user: &OwnedUserId,
    facts: &Facts<'_>,
) -> Result<(), Stop<MatrixError>> {
    let rules = view.event(JOIN_RULES, "").map(|rules| rules.content());
    let allow = rules
        .as_ref()
        .and_then(|rules| rules.get("allow"))
        .and_then(Value::as_array);
    let allow = allow.into_iter().flatten().filter_map(room_of_condition);
    let rooms: Vec<_> = allow
        .take(ALLOWED_ROOMS_MAX)
        .map(|room_id| facts.room(room_id))
        .collect();
    let rooms = rooms.into_iter().collect::<Result<Vec<_>, Blocked>>()?;
    let asked = rooms.len();
    let ours = rooms
        .into_iter()
        .flatten()
        .filter(|room| room.has_server(facts.our_name()));
    let ours: Vec<&Room> = ours.collect();
    if ours.iter().any(|room| room.joined.contains(user)) {
        return Ok(());
    }
    let all_verified = asked > 0 && ours.len() == asked;
    let (code, reason) = match all_verified {
        true => (
            ErrorCode::Forbidden,
            "you are in none of the rooms whose members may join",
        ),
        false => (
            ErrorCode::UnableToAuthoriseJoin,
            "this server is not in the rooms whose members may join",
        ),
    };
    Err(MatrixError::new(code, reason).into())
}

fn room_of_condition(condition: &Value) -> Option<&RoomId> {
    let of_room = condition.get("type")?.as_str()? == "m.room_membership";
    let room_id = <&RoomId>::try_from(condition.get("room_id")?.as_str()?).ok()?;
    of_room.then_some(room_id)
}

fn may_invite(user: &UserId, view: &View, facts: &Facts<'_>) -> bool {
    user.server_name() == facts.our_name()
        && view.power_levels().is_some_and(|levels| {
            levels.of_user(user) >= PowerLevel::Level(levels.named(NamedLevel::Invite))
        })
}

/// To our own users a refusal to let them in is one of the room's rules.
impl From<Stop<MatrixError>> for Stop<CommandError> {
    fn from(stop: Stop<MatrixError>) -> Self {
        match stop {
            Stop::Blocked => Self::Blocked,
            Stop::Refused(error) => Self::Refused(CommandError::Forbidden(error.error)),
        }
    }
}
