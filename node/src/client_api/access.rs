//! Whether a user may look into a room, and up to when.

use std::sync::Arc;

use comity_core::{
    pdu::event_type::MEMBER,
    persistence::tables::{LocalMembership, Position, SnapshotId, StoredEvent},
    transport::matrix_error::MatrixError,
};
use ruma_common::RoomId;

use super::{errors::forbidden, room_reads::membership_of, session::Session, token::Token};

/// How many changes of one membership are followed back, at most.
const CHANGES_MAX: usize = 50;

/// What a user may see of a room.
pub(super) enum Access {
    /// They are in it, since this position at the latest.
    Joined(Position),
    /// They were in it, and see it as it was when they left.
    Left(Departure),
}

/// How a user left a room.
pub(super) struct Departure {
    /// Where the event stands with which they left.
    pub(super) position: Position,
    /// The room's state after it.
    pub(super) state: SnapshotId,
}

impl Access {
    /// The last place that the user may see.
    pub(super) fn end(&self) -> Option<Token> {
        match self {
            Self::Joined(_) => None,
            Self::Left(departure) => Some(Token(departure.position)),
        }
    }
}

impl Session<'_> {
    /// What the user may see of a room.
    ///
    /// Errors with `M_FORBIDDEN` if that is nothing; whether the room exists is not told.
    pub(super) fn access(&self, room_id: &RoomId) -> Result<Access, MatrixError> {
        let memberships = self.memberships()?;
        let membership = memberships
            .iter()
            .find(|membership| membership.room_id == *room_id);
        let stranger = || forbidden("you are not in this room");
        let membership = membership.ok_or_else(stranger)?;
        if membership.membership == "join" {
            return Ok(Access::Joined(membership.position));
        }
        self.departure(membership)?
            .map(Access::Left)
            .ok_or_else(stranger)
    }

    /// Errors with `M_FORBIDDEN` unless the user is in the room.
    pub(super) fn must_be_joined(&self, room_id: &RoomId) -> Result<(), MatrixError> {
        match self.access(room_id)? {
            Access::Joined(_) => Ok(()),
            Access::Left(_) => Err(forbidden("you have left this room")),
        }
    }

    /// How a user who is no longer in a room left it; `None` if they never were in it.
    pub(super) fn departure(
        &self,
        membership: &LocalMembership,
    ) -> Result<Option<Departure>, MatrixError> {
        let mut event = membership.event.clone();
        if membership_of(Some(&event)) == "join" {
            // Nobody said that they left: a resolution of states undid the join.
            return Ok(event.state.map(|state| Departure {
                position: membership.position,
                state: state.after,
            }));
        }
        for _ in 0..CHANGES_MAX {
            let Some(previous) = self.previous_membership(&event)? else {
                return Ok(None);
            };
            if let ("join", Some(state)) = (membership_of(Some(&previous)), event.state) {
                let departure = |position| Departure {
                    position,
                    state: state.after,
                };
                return Ok(event.position.map(departure));
            }
            event = previous;
        }
        Ok(None)
    }

    /// Whether the user was in a room at some place, and whether they have been ever since.
    pub(super) fn presence_since(
        &self,
        membership: &LocalMembership,
        since: Token,
    ) -> Result<Presence, MatrixError> {
        let mut always = membership.membership == "join";
        let mut event = membership.event.clone();
        if membership.position <= since.0 {
            return Ok(Presence {
                then: always,
                always,
            });
        }
        for _ in 0..CHANGES_MAX {
            let previous = self.previous_membership(&event)?;
            let joined = membership_of(previous.as_deref()) == "join";
            always &= joined;
            match previous {
                Some(previous) if previous.position.is_some_and(|position| position > since.0) => {
                    event = previous;
                }
                _ => {
                    return Ok(Presence {
                        then: joined,
                        always,
                    });
                }
            }
        }
        Ok(Presence {
            then: false,
            always: false,
        })
    }

    /// The member event that a member event of the user replaced.
    fn previous_membership(
        &self,
        event: &StoredEvent,
    ) -> Result<Option<Arc<StoredEvent>>, MatrixError> {
        match event.state {
            Some(state) => self.snapshot_event(state.before, MEMBER, self.user_id.as_str()),
            None => Ok(None),
        }
    }
}

/// See [`Session::presence_since`].
pub(super) struct Presence {
    /// They were in the room then.
    pub(super) then: bool,
    /// They have been in the room from then until now.
    pub(super) always: bool,
}
