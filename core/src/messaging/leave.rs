//! Leaving a room: by ourselves if we are in it; else, to refuse an invite or take back a knock,
//! by `make_leave` and `send_leave` (LEAVE-1).

use std::sync::Arc;

use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};

use super::{
    command::{CommandError, Content, Reply},
    compose::NewEvent,
    delivery::compose_and_deliver,
    join::template::signed_membership,
    knock,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        stop::{Stop, for_command},
    },
    pdu::Pdu,
    persistence::{
        queries::{Answer, Read, Write},
        tables::{LocalMembership, StoredEvent, Verdict},
    },
    transport::remote_request::{Endpoint, SignedEvent},
};

/// A wish to leave.
#[derive(Clone, Debug)]
pub struct LeaveRoom {
    /// Our user.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Further keys of the member event.
    pub content: Content,
}

impl LeaveRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.leave(facts))
    }

    fn leave(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let room = facts.room(&self.room_id)?;
        match room.filter(|room| room.has_server(facts.our_name())) {
            Some(room) => {
                let user_id = &self.user_id;
                let event = NewEvent::member(user_id, user_id, "leave", &self.content);
                compose_and_deliver(room, &event, facts)
            }
            None if facts.joined_in_part(&self.room_id).is_some() => {
                Err(CommandError::RoomInPart(self.room_id.clone()).into())
            }
            None => self.refuse_invite(facts),
        }
    }

    /// Asks the inviting server, or one that took the knock, for a leave to sign. If it does not
    /// help, our user is rid of the invite all the same.
    fn refuse_invite(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let Answer::Memberships(known) = facts.read(Read::Memberships(self.user_id.clone()))?
        else {
            return Err(self.not_in_it().into());
        };
        let pending = |known: &&LocalMembership| {
            known.room_id == self.room_id && matches!(known.membership.as_str(), "invite" | "knock")
        };
        let invite = known.iter().find(pending).ok_or_else(|| self.not_in_it())?;
        let residents = knock::residents(invite);
        let Some(server) = residents.first() else {
            return Ok(forget_invite(invite, &invite.event, facts));
        };
        let endpoint = Endpoint::MakeLeave(self.room_id.clone(), self.user_id.clone());
        let event = match facts.call(server, endpoint)? {
            Ok(body) => {
                let (room_id, user_id) = (&self.room_id, &self.user_id);
                signed_membership(body, room_id, user_id, "leave", &self.content, facts)
            }
            Err(error) => Err(error.clone()),
        };
        Ok(match event {
            Ok(event) => Outcome::phase(SendLeave {
                server: server.clone(),
                event,
                invite: invite.clone(),
            }),
            Err(error) => {
                tracing::info!(%server, %error, "refusing an invite without its sender's help");
                forget_invite(invite, &invite.event, facts)
            }
        })
    }

    fn not_in_it(&self) -> CommandError {
        CommandError::Forbidden(format!("{} is not in {}", self.user_id, self.room_id))
    }
}

/// A signed leave on its way in.
#[derive(Clone, Debug)]
pub struct SendLeave {
    server: OwnedServerName,
    event: Arc<Pdu>,
    invite: LocalMembership,
}

impl SendLeave {
    /// See [`crate::engine`]. Whatever the server says, our user wants no more of the invite.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let endpoint = Endpoint::SendLeave(SignedEvent {
            room_id: self.event.room_id().to_owned(),
            event_id: self.event.event_id().to_owned(),
            body: self.event.json().to_owned(),
        });
        if let Err(error) = facts.call(&self.server, endpoint)? {
            tracing::info!(server = %self.server, %error, "a refusal was not taken");
        }
        let event = Arc::new(StoredEvent::outlier(self.event.clone(), Verdict::Accepted));
        let mut outcome = forget_invite(&self.invite, &event, facts);
        outcome.writes.insert(0, Write::Event(event));
        Ok(outcome)
    }
}

/// Our user is no longer invited.
fn forget_invite(invite: &LocalMembership, event: &Arc<StoredEvent>, facts: &Facts<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let position = outcome.counters(facts).newest();
    let membership = LocalMembership {
        membership: "leave".to_owned(),
        event: event.clone(),
        position,
        stripped_state: Vec::new(),
        ..invite.clone()
    };
    outcome.note_membership(membership);
    let event_id = event.pdu.event_id().to_owned();
    outcome.with_reply(Reply::Event(event_id))
}
