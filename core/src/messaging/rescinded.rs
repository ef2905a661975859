//! An invite that is taken back before our user accepted it: we hold no state of the room, so
//! only the inviting server's word counts (INVITE-9).

use std::sync::Arc;

use ruma_common::{OwnedServerName, OwnedUserId, RoomId};

use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    pdu::{Pdu, event_type::MEMBER, signing},
    persistence::{
        queries::{Answer, Read, Write},
        tables::{LocalMembership, StoredEvent, Verdict},
    },
    transaction::incoming::Received,
};

/// A leave or ban for one of our invited users.
#[derive(Clone, Debug)]
pub struct RescindInvite {
    event: Arc<Pdu>,
    invite: LocalMembership,
}

/// Looks whether an event for a room that we are not in takes back an invite.
pub fn job(
    json: &str,
    origin: &OwnedServerName,
    room_id: &RoomId,
    facts: &Facts<'_>,
) -> Result<Option<Received>, Blocked> {
    #[derive(serde::Deserialize)]
    struct Member {
        #[serde(rename = "type")]
        event_type: String,
        state_key: OwnedUserId,
    }
    let member = serde_json::from_str(json).ok();
    let ours = |member: &Member| {
        member.event_type == MEMBER && member.state_key.server_name() == facts.our_name()
    };
    let Some(Member {
        state_key: user_id, ..
    }) = member.filter(ours)
    else {
        return Ok(None);
    };
    let Answer::Memberships(known) = facts.read(Read::Memberships(user_id))? else {
        return Ok(None);
    };
    let invite = known
        .iter()
        .find(|known| known.room_id == *room_id && known.membership == "invite")
        .filter(|invite| invite.event.pdu.origin() == origin);
    let Some(invite) = invite else {
        return Ok(None);
    };
    let Ok(event) = Pdu::parse(json, invite.event.pdu.room_version()) else {
        return Ok(None);
    };
    let taken_back = matches!(event.membership(), Some("leave" | "ban"))
        && event.origin() == origin
        && event.room_id() == room_id;
    let rescind = RescindInvite {
        event: Arc::new(event),
        invite: invite.clone(),
    };
    Ok(taken_back.then(|| Received::Judge(rescind.into())))
}

impl RescindInvite {
    /// The event that takes the invite back.
    #[must_use]
    pub fn event(&self) -> &Pdu {
        &self.event
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let keys = facts.keys_for([&self.event])?;
        if let Err(error) = signing::verify_event(&self.event, &keys) {
            return Ok(Outcome::failed(self.event.event_id(), error.to_string()));
        }
        let event = Arc::new(StoredEvent::outlier(self.event.clone(), Verdict::Accepted));
        let mut outcome = Outcome::default();
        let membership = LocalMembership {
            membership: event.pdu.membership().unwrap_or("leave").to_owned(),
            event: event.clone(),
            position: outcome.counters(facts).newest(),
            stripped_state: Vec::new(),
            ..self.invite.clone()
        };
        outcome.writes.push(Write::Event(event));
        outcome.note_membership(membership);
        Ok(outcome)
    }
}
