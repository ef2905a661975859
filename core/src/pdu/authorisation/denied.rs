//! Why an event is not allowed.

use std::borrow::Cow;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use thiserror::Error;

use super::{membership::Membership, power_levels::PowerLevel};
use crate::pdu::state::StateKey;

/// The rule that an event breaks, and the values that break it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// A create event that follows other events.
    #[error("a create event has no previous events, this one has {0}")]
    CreateWithPrevEvents(usize),
    /// A create event for a room id of another server.
    #[error("room {room_id} was not made by {creator_server}")]
    CreateForForeignRoom {
        /// The room it names.
        room_id: OwnedRoomId,
        /// The server of the create event's sender.
        creator_server: OwnedServerName,
    },
    /// A create event of another room version than the one it is judged by.
    #[error("the create event is of room version {0}")]
    CreateOfOtherVersion(String),
    /// A create event without `content.creator`.
    #[error("the create event names no creator")]
    CreateWithoutCreator,
    /// A create event whose `additional_creators` are not a list of user ids.
    #[error("`additional_creators` is not a list of user ids")]
    AdditionalCreators,

    /// The room id belongs to no create event that we know.
    #[error("room {0} has no create event that we know")]
    UnknownCreateEvent(OwnedRoomId),
    /// The room's create event was rejected.
    #[error("the room's create event {0} was rejected")]
    RejectedCreateEvent(OwnedEventId),

    /// An auth event that the caller does not hold.
    #[error("auth event {0} is not known")]
    UnknownAuthEvent(OwnedEventId),
    /// Two auth events for one key.
    #[error("there are two auth events for {0:?}")]
    DuplicateAuthEvent(StateKey),
    /// An auth event that this event has no need of.
    #[error("auth event {0} is not among those that this event may name")]
    UnexpectedAuthEvent(OwnedEventId),
    /// An auth event that was rejected.
    #[error("auth event {0} was rejected")]
    RejectedAuthEvent(OwnedEventId),
    /// An auth event of another room.
    #[error("auth event {0} belongs to room {1}")]
    ForeignAuthEvent(OwnedEventId, OwnedRoomId),
    /// No create event among the auth events.
    #[error("the auth events lack the create event")]
    NoCreateEvent,

    /// The room is closed to other servers.
    #[error("the room is not federated and belongs to {0}")]
    NotFederated(OwnedServerName),

    /// A membership event whose state key is no user id.
    #[error("a membership event needs a user id as state key")]
    MemberIsNoUser,
    /// A membership that the room version does not know.
    #[error("there is no membership {0:?}")]
    UnknownMembership(String),
    /// Someone joins or knocks for someone else.
    #[error("{sender} cannot {to} for {target}")]
    ForSomeoneElse {
        /// Who tried.
        sender: OwnedUserId,
        /// For whom.
        target: OwnedUserId,
        /// To do what.
        to: &'static str,
    },
    /// The present membership of a user forbids it.
    #[error("{user} cannot {to}: membership is {membership}")]
    Membership {
        /// Whose membership.
        user: OwnedUserId,
        /// To do what.
        to: Cow<'static, str>,
        /// The user's membership now.
        membership: Membership,
    },
    /// The join rule does not let the user in.
    #[error("the join rule {rule:?} does not let {user} {to}: membership is {membership}")]
    JoinRule {
        /// The rule.
        rule: String,
        /// Who tried.
        user: OwnedUserId,
        /// To do what.
        to: &'static str,
        /// The user's membership now.
        membership: Membership,
    },
    /// A restricted join that nobody in the room vouches for.
    #[error("`join_authorised_via_users_server` names no user")]
    NoAuthorisingUser,
    /// A third-party invite that does not fit.
    #[error("third-party invite: {0}")]
    ThirdPartyInvite(#[from] ThirdPartyInviteDenied),

    /// A user's level is too low.
    #[error("{user}'s level {has} is below the {needs} needed to {to}")]
    PowerLevel {
        /// Whose level.
        user: OwnedUserId,
        /// What it is.
        has: PowerLevel,
        /// What it would have to be.
        needs: i64,
        /// To do what.
        to: Cow<'static, str>,
    },
    /// The target of a kick, ban or unban is not below the sender.
    #[error("{sender}'s level {has} is not above {target}'s level {level}")]
    TargetLevel {
        /// Who tried.
        sender: OwnedUserId,
        /// The sender's level.
        has: PowerLevel,
        /// Against whom.
        target: OwnedUserId,
        /// The target's level.
        level: PowerLevel,
    },
    /// A state key that is another user's id.
    #[error("only {0} can send state for that user id")]
    ForeignStateKey(String),

    /// A field of `m.room.power_levels` that has the wrong form.
    #[error("`{0}` is not {1}")]
    MalformedLevels(String, &'static str),
    /// A creator with a power level in a room whose creators stand above all levels.
    #[error("creator {0} cannot have a power level")]
    CreatorLevel(String),
    /// A power level that the sender may not change in this way.
    #[error("level {sender} cannot change {what} from {} to {}", level(.from), level(.to))]
    LevelChange {
        /// The level that changes.
        what: String,
        /// Its value now.
        from: Option<i64>,
        /// Its value in the event.
        to: Option<i64>,
        /// The sender's level.
        sender: PowerLevel,
    },
}

/// What is wrong with an invite that claims to follow from a third-party invite.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ThirdPartyInviteDenied {
    /// No `signed` object with `mxid` and `token`.
    #[error("`signed` lacks `mxid` or `token`")]
    Malformed,
    /// It was signed for another user.
    #[error("it was signed for another user")]
    OtherUser,
    /// The room has no third-party invite with this token.
    #[error("the room has no invite with this token")]
    UnknownToken,
    /// Another user made the third-party invite.
    #[error("another user made it")]
    OtherSender,
    /// No signature verifies with a key of the third-party invite.
    #[error("no signature is by a key of the invite")]
    Signature,
}

fn level(level: &Option<i64>) -> String {
    level.map_or_else(|| "nothing".to_owned(), |level| level.to_string())
}
