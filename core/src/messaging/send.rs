//! Sending an event into a room that we are in.

use ruma_common::{OwnedRoomId, OwnedServerName, UserId};

use super::{
    command::{CommandError, Reply},
    compose::{self, NewEvent, our_room},
    delivery::{Delivery, deliver},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        registry::Identity,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::event_type::MEMBER,
    persistence::queries::{Answer, Read},
};

/// An event to send.
#[derive(Clone, Debug)]
pub struct SendEventJob {
    /// The room.
    pub room_id: OwnedRoomId,
    /// What it says.
    pub event: NewEvent,
    /// See [`super::command::SendEvent::once`].
    pub once: Option<String>,
}

impl SendEventJob {
    /// Two commands with one key are one.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.once.clone().map(Identity::Once)
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.send(facts))
    }

    fn send(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        if let Some(key) = &self.once
            && let Answer::Once(Some(event_id)) = facts.read(Read::Once(key.clone()))?
        {
            return Ok(Outcome::default().with_reply(Reply::Event(event_id.clone())));
        }
        let room = our_room(&self.room_id, facts)?;
        let event = compose::compose(room, &self.event, facts)?;
        let also = self.server_to_tell(room, facts)?;
        let delivery = Delivery::Room {
            also,
            once: self.once.clone(),
            reply: Reply::Event(event.event_id().to_owned()),
        };
        deliver(room, event, delivery, facts)
    }

    /// Somebody whose invite is taken back, or whose knock is refused, is not in the room, but must hear of it (TXN-15).
    fn server_to_tell(
        &self,
        room: &Room,
        facts: &Facts<'_>,
    ) -> Result<Option<OwnedServerName>, Blocked> {
        let target = self
            .event
            .state_key
            .as_deref()
            .filter(|_| self.event.event_type == MEMBER);
        let Some(Ok(target)) = target.map(<&UserId>::try_from) else {
            return Ok(None);
        };
        let Some(member) = room.state.get(MEMBER, target.as_str()) else {
            return Ok(None);
        };
        let member = facts.held(member)?;
        let membership = member.as_ref().and_then(|member| member.pdu.membership());
        let waits = matches!(membership, Some("invite" | "knock"));
        Ok(waits.then(|| target.server_name().to_owned()))
    }
}
