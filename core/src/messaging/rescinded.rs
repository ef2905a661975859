//! An invite that is taken back before our user accepted it, or a knock that is refused: we hold no
//! state of the room, so only the word of the inviting server counts (INVITE-9), or of those that
//! took the knock.

use std::sync::Arc;

use ruma_common::{OwnedUserId, RoomId, ServerName};

use super::knock;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    pdu::{Pdu, RoomVersion, event_type::MEMBER},
    persistence::{
        queries::{Answer, Read, Write},
        tables::{LocalMembership, StoredEvent, Verdict},
    },
};

/// The version of a room that we are not in, if this event of it may take back an invite.
pub fn version(
    json: &str,
    from: &ServerName,
    room_id: &RoomId,
    facts: &Facts<'_>,
) -> Result<Option<RoomVersion>, Blocked> {
    #[derive(serde::Deserialize)]
    struct Member {
        #[serde(rename = "type")]
        event_type: String,
        state_key: OwnedUserId,
    }
    let member: Option<Member> = serde_json::from_str(json).ok();
    let Some(member) = member.filter(|member| member.event_type == MEMBER) else {
        return Ok(None);
    };
    let invite = invite(&member.state_key, from, room_id, facts)?;
    Ok(invite.map(|invite| invite.event.pdu.room_version()))
}

/// Takes back the invite that a genuine event of a room that we are not in is about; `None` if it
/// is about none.
pub fn take_back(
    event: &Arc<Pdu>,
    from: &ServerName,
    facts: &Facts<'_>,
) -> Result<Option<Outcome>, Blocked> {
    let takes_back = event.event_type() == MEMBER
        && matches!(event.membership(), Some("leave" | "ban"))
        && event.origin() == from;
    let user_id = event.state_key().map(OwnedUserId::try_from);
    let Some(Ok(user_id)) = user_id.filter(|_| takes_back) else {
        return Ok(None);
    };
    let Some(invite) = invite(&user_id, from, event.room_id(), facts)? else {
        return Ok(None);
    };
    let event = Arc::new(StoredEvent::outlier(event.clone(), Verdict::Accepted));
    let mut outcome = Outcome::default();
    let membership = LocalMembership {
        membership: event.pdu.membership().unwrap_or("leave").to_owned(),
        event: event.clone(),
        position: outcome.counters(facts).newest(),
        stripped_state: Vec::new(),
        ..invite
    };
    outcome.writes.push(Write::Event(event));
    outcome.note_membership(membership);
    Ok(Some(outcome))
}

/// The invite of one of our users to a room, or their knock at it, of which this server may speak.
fn invite(
    user_id: &OwnedUserId,
    from: &ServerName,
    room_id: &RoomId,
    facts: &Facts<'_>,
) -> Result<Option<LocalMembership>, Blocked> {
    if user_id.server_name() != facts.our_name() {
        return Ok(None);
    }
    let Answer::Memberships(known) = facts.read(Read::Memberships(user_id.clone()))? else {
        return Ok(None);
    };
    let is_pending = |known: &&LocalMembership| {
        known.room_id == *room_id && matches!(known.membership.as_str(), "invite" | "knock")
    };
    let mut pending = known.iter().filter(is_pending);
    Ok(pending
        .find(|known| knock::residents(known).contains(from))
        .cloned())
}
