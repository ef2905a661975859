//! Keeping a room's graph narrow: an event of ours that says nothing joins its ends when they are
//! too many (as Synapse does).
//!
//! It is shown to no user, and goes to other servers only along with the next event of ours, which
//! builds on it: if every server told all others how it joins the same ends, that would make as
//! many new ends as there are servers, and so on for ever.

use ruma_common::{OwnedRoomId, OwnedUserId};

use super::{
    command::{CommandError, Content},
    compose::{self, NewEvent},
    delivery::{Delivery, deliver},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        registry::Identity,
        stop::Stop,
        world::Room,
    },
    pdu::event_type::DUMMY,
};

/// How many of our users are tried until one may speak.
const SPEAKERS_MAX: usize = 10;

/// A room whose graph may have too many ends.
#[derive(Clone, Debug)]
pub struct MergeEnds {
    /// The room.
    pub room_id: OwnedRoomId,
}

impl MergeEnds {
    /// Once is enough, however often it is wanted.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Ends(self.room_id.clone())
    }

    /// See [`crate::engine`]. Nobody waits for it: if no user of ours may speak, the ends stay.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let room = facts.room(&self.room_id)?;
        let Some(room) = room.filter(|room| has_too_many_ends(room, facts)) else {
            return Ok(Outcome::done());
        };
        match self.merge(room, facts) {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Refused(error)) => {
                tracing::debug!(room = %self.room_id, %error, "the ends stay");
                Ok(Outcome::done())
            }
            Err(Stop::Blocked) => Err(Blocked),
        }
    }

    fn merge(&self, room: &Room, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let own = |user_id: &&ruma_common::UserId| user_id.server_name() == facts.our_name();
        let speakers = room.joined.iter().filter(own).take(SPEAKERS_MAX);
        for speaker in speakers.map(ToOwned::to_owned) {
            match compose::compose(room, &nothing(speaker), facts) {
                Ok(event) => return deliver(room, event, Delivery::Nowhere, facts),
                Err(Stop::Blocked) => return Err(Stop::Blocked),
                Err(Stop::Refused(_)) => {}
            }
        }
        let reason = "no user of this server may speak in the room";
        Err(CommandError::Forbidden(reason.to_owned()).into())
    }
}

/// Whether a room's graph has more ends than it should.
#[must_use]
pub fn has_too_many_ends(room: &Room, facts: &Facts<'_>) -> bool {
    room.extremities.len() > facts.settings().extremities_max.max(1)
}

fn nothing(sender: OwnedUserId) -> NewEvent {
    NewEvent {
        sender,
        event_type: DUMMY.to_owned(),
        state_key: None,
        content: Content::new(),
        redacts: None,
    }
}
