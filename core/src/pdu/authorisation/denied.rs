//! Why an event is not allowed.

use std::borrow::Cow;

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use thiserror::Error;

use super::{membership::Membership, power_levels::PowerLevel, rule::Rule};
use crate::pdu::{Pdu, RoomVersion, state::StateKey};

/// How a rule is named that has a number in its room version, and one that has none.
const NUMBERED: &str = "rule ";
const UNNUMBERED: &str = "the rules";

/// An event that is not allowed: which event, by which rule, and which values were compared.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason} ({} of room version {version})", self.number())]
pub struct Denied {
    event_id: OwnedEventId,
    version: RoomVersion,
    rule: Rule,
    reason: Reason,
}

impl Denied {
    /// `event` breaks this rule, for this reason.
    pub(super) fn new(event: &Pdu, rule: Rule, reason: Reason) -> Self {
        Self {
            event_id: event.event_id().to_owned(),
            version: event.room_version(),
            rule,
            reason,
        }
    }

    /// The state that `event` is judged by has no create event.
    pub(in crate::pdu) fn no_create_event(event: &Pdu) -> Self {
        Self::new(event, Rule::AuthEventsCreate, Reason::NoCreateEvent)
    }

    /// The event that is not allowed.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The rule that it breaks.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// How the specification of the event's room version numbers the rule, as "rule 5.3.2".
    #[must_use]
    pub fn number(&self) -> String {
        match self.rule.number(self.version) {
            Some(number) => format!("{NUMBERED}{number}"),
            None => UNNUMBERED.to_owned(),
        }
    }

    /// The values that break the rule.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// The rule that the text of a [`Denied`] tells, with its room version, as "rule 5.3.2 of room version
/// 11": there are only so many. `None` for any other text.
#[must_use]
pub fn rule_told_by(text: &str) -> Option<&str> {
    let (_, rule) = text.strip_suffix(')')?.rsplit_once('(')?;
    let (number, version) = rule.split_once(" of room version ")?;
    let is_rule = number == UNNUMBERED || number.starts_with(NUMBERED);
    (is_rule && RoomVersion::parse(version).is_some()).then_some(rule)
}

/// The values that break a rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
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
    /// No create event among the auth events.
    #[error("the auth events lack the create event")]
    NoCreateEvent,
    /// An auth event of another room.
    #[error("auth event {0} belongs to room {1}")]
    ForeignAuthEvent(OwnedEventId, OwnedRoomId),

    /// The room is closed to other servers.
    #[error("{sender} is of another server, and the room is open to {creator_server} only")]
    NotFederated {
        /// Who tried.
        sender: OwnedUserId,
        /// The server of the room's creator.
        creator_server: OwnedServerName,
    },

    /// Aliases of another server, or of none.
    #[error("{server} cannot set the aliases of {}", .of.as_deref().unwrap_or("no server"))]
    ForeignAliases {
        /// The sender's server.
        server: OwnedServerName,
        /// Whose aliases they are, by the state key.
        of: Option<String>,
    },

    /// A membership event whose state key is no user id.
    #[error("a membership event needs a user id as state key")]
    MemberIsNoUser,
    /// A membership event without a membership.
    #[error("the membership event gives no membership")]
    NoMembership,
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
        to: &'static str,
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

    /// A third-party invite without `signed`.
    #[error("the third-party invite lacks `signed`")]
    NotSigned,
    /// A third-party invite whose `signed` is incomplete.
    #[error("the third-party invite's `signed` lacks `{0}`")]
    SignedLacks(&'static str),
    /// A third-party invite that was signed for another user.
    #[error("the third-party invite is for {signed_for:?}, not for {target}")]
    SignedForOther {
        /// `mxid` of `signed`.
        signed_for: String,
        /// Who is invited.
        target: OwnedUserId,
    },
    /// A third-party invite with a token that the room does not know.
    #[error("the room has no third-party invite {0:?}")]
    UnknownToken(String),
    /// A third-party invite that someone else made.
    #[error("{made_by} made the third-party invite, not {sender}")]
    OtherInviter {
        /// Who made it.
        made_by: OwnedUserId,
        /// Who sent the invite that follows from it.
        sender: OwnedUserId,
    },
    /// A third-party invite that none of its keys signed.
    #[error("no signature of the third-party invite is by one of its {0} keys")]
    NoSignature(usize),

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

    /// A redaction that the sender may not make, of another server's event.
    #[error("{sender}'s level {has} is below the {needs} needed to redact {redacts}")]
    Redaction {
        /// Who tried.
        sender: OwnedUserId,
        /// The sender's level.
        has: PowerLevel,
        /// The level for redactions.
        needs: i64,
        /// The event to be redacted, or what stands in its place.
        redacts: String,
    },
}

fn level(level: &Option<i64>) -> String {
    level.map_or_else(|| "nothing".to_owned(), |level| level.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_found_in_what_is_told_of_it() {
        let told =
            |rule: &str, version| format!("who (knows) why ({rule} of room version {version})");
        for rule in ["rule 5.3.2", "the rules"] {
            let of_version_11 = format!("{rule} of room version 11");
            assert_eq!(rule_told_by(&told(rule, "11")), Some(&*of_version_11));
        }
        for other in [told("rule 1", "99"), told("whim", "11"), "no".to_owned()] {
            assert_eq!(rule_told_by(&other), None, "{other}");
        }
    }
}
