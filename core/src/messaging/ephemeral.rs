//! Ephemeral messages (EDUs): what is true for a moment and is in no graph, such as typing.
//!
//! They go out best-effort, in memory, but for those that must not be lost ([`RELIABLE`]). What
//! comes in is passed up only as far as its sender may say it (TXN-12): about its own users, and
//! about rooms that it is in and that do not deny it (ACL-5).

use std::collections::BTreeSet;

use ruma_common::{OwnedServerName, RoomId, ServerName, UserId};
use serde_json::{Value, json};

use super::{
    command::{CommandError, Content, EduAudience, Reply},
    compose::our_room,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Edu, Outcome, SendEdu},
        stop::{Stop, for_command},
    },
    pdu::{
        canonical_json::{Numbers, canonical},
        gate,
    },
    persistence::queries::{Answer, Read},
    transaction::outgoing::Moment,
};

/// How large a message of ours may be, in bytes (TXN-20).
const EDU_BYTES_MAX: usize = 65_536;

/// The types of messages that must reach their destination. They are kept on disk until then, in
/// order with the events; what all others say is true for a moment only.
pub const RELIABLE: [&str; 3] = [
    "m.direct_to_device",
    "m.device_list_update",
    "m.signing_key_update",
];

/// An ephemeral message for others.
#[derive(Clone, Debug)]
pub struct SendEphemeral {
    /// For whom.
    pub to: EduAudience,
    /// Its type, such as `m.typing`.
    pub edu_type: String,
    /// Its content, in the shape that the type has on the wire.
    pub content: Content,
}

impl SendEphemeral {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.send(facts))
    }

    fn send(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let edu = self.edu()?;
        let destinations = match &self.to {
            EduAudience::Room(room_id) => {
                our_room(room_id, facts)?.servers.keys().cloned().collect()
            }
            EduAudience::Peers(user_id) => peers(user_id, facts)?,
            EduAudience::Servers(servers) => servers.clone(),
        };
        let mut outcome = Outcome::complete(Ok(Reply::Queued));
        outcome.edus.push(SendEdu { edu, destinations });
        Ok(outcome)
    }

    /// What cannot be written as canonical JSON cannot be signed.
    fn edu(&self) -> Result<Edu, CommandError> {
        let edu = json!({ "edu_type": self.edu_type, "content": self.content }).to_string();
        let text = canonical(&edu, Numbers::Strict)
            .map_err(|error| CommandError::Invalid(error.to_string()))?;
        if text.len() > EDU_BYTES_MAX {
            return Err(CommandError::Invalid("the message is too large".to_owned()));
        }
        Ok(match RELIABLE.contains(&self.edu_type.as_str()) {
            true => Edu::Reliable(text.into()),
            false => Edu::Moments(Moment::all_of(&self.edu_type, &self.content)),
        })
    }
}

/// The servers in the rooms that a user of ours is in.
fn peers(user_id: &UserId, facts: &Facts<'_>) -> Result<BTreeSet<OwnedServerName>, Blocked> {
    let Answer::Memberships(memberships) = facts.read(Read::Memberships(user_id.to_owned()))?
    else {
        return Ok(BTreeSet::new());
    };
    let joined = memberships
        .iter()
        .filter(|entry| entry.membership == "join");
    let rooms: Vec<_> = joined.map(|entry| facts.room(&entry.room_id)).collect();
    let rooms: Vec<_> = rooms.into_iter().collect::<Result<_, _>>()?;
    let servers = rooms
        .into_iter()
        .flatten()
        .flat_map(|room| room.servers.keys());
    Ok(servers.cloned().collect())
}

/// What is left of an ephemeral message when everything is taken out that `origin` has no right
/// to say; `None` if that is nothing, or if the type is not known (TXN-11).
pub fn credible(
    origin: &ServerName,
    edu_type: &str,
    mut content: Content,
    facts: &Facts<'_>,
) -> Result<Option<Content>, Blocked> {
    Ok(match edu_type {
        "m.typing" => {
            let own = is_user_of(origin, content.get("user_id"));
            let room = content
                .get("room_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let in_room = own && is_joined(content.get("user_id"), room, facts)?;
            (in_room && may_speak_in(origin, room, facts)?).then_some(content)
        }
        "m.receipt" => {
            let mut kept = Content::new();
            for (room, receipts) in content {
                if may_speak_in(origin, &room, facts)? {
                    kept.insert(room, only_own_receipts(origin, receipts));
                }
            }
            (!kept.is_empty()).then_some(kept)
        }
        "m.presence" => {
            if let Some(users) = content.get_mut("push").and_then(Value::as_array_mut) {
                users.retain(|user| is_user_of(origin, user.get("user_id")));
            }
            Some(content)
        }
        "m.direct_to_device" => {
            if let Some(users) = content.get_mut("messages").and_then(Value::as_object_mut) {
                users.retain(|user, _| is_of(facts.our_name(), user));
            }
            is_user_of(origin, content.get("sender")).then_some(content)
        }
        "m.device_list_update" | "m.signing_key_update" | "org.matrix.signing_key_update" => {
            is_user_of(origin, content.get("user_id")).then_some(content)
        }
        _ => None,
    })
}

fn is_user_of(server: &ServerName, user: Option<&Value>) -> bool {
    user.and_then(Value::as_str)
        .is_some_and(|user| is_of(server, user))
}

fn is_of(server: &ServerName, user: &str) -> bool {
    <&UserId>::try_from(user).is_ok_and(|user| user.server_name() == server)
}

/// Whether a user is in a room that we know.
fn is_joined(user: Option<&Value>, room: &str, facts: &Facts<'_>) -> Result<bool, Blocked> {
    let user = user.and_then(Value::as_str).map(<&UserId>::try_from);
    let (Some(Ok(user)), Ok(room_id)) = (user, <&RoomId>::try_from(room)) else {
        return Ok(false);
    };
    let room = facts.room_at_present(room_id)?;
    Ok(room.is_some_and(|room| room.joined.contains(user)))
}

fn may_speak_in(origin: &ServerName, room: &str, facts: &Facts<'_>) -> Result<bool, Blocked> {
    let Ok(room_id) = <&RoomId>::try_from(room) else {
        return Ok(false);
    };
    match gate::enter(room_id, origin, facts) {
        Ok(room) => Ok(room.has_server(facts.our_name())),
        Err(Stop::Refused(_)) => Ok(false),
        Err(Stop::Blocked) => Err(Blocked),
    }
}

/// Receipts by type, then by user.
fn only_own_receipts(origin: &ServerName, mut receipts: Value) -> Value {
    for users in receipts
        .as_object_mut()
        .into_iter()
        .flat_map(|types| types.values_mut())
    {
        if let Some(users) = users.as_object_mut() {
            users.retain(|user, _| is_of(origin, user));
        }
    }
    receipts
}
