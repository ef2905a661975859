//! The rules for `m.room.member`: joining, inviting, leaving, kicking, banning, knocking (room
//! versions, "Authorization rules").

use std::{borrow::Cow, fmt};

use ruma_common::UserId;

use super::{Denied, NamedLevel, Room, power_levels::is_creator, third_party_invite};
use crate::pdu::{Pdu, auth_content::MemberContent, event_type::JOIN_RULES};

/// How a user belongs to a room. A user without a membership event has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// In the room.
    Join,
    /// Invited.
    Invite,
    /// Gone, or never there.
    Leave,
    /// Kept out.
    Ban,
    /// Has asked to be invited.
    Knock,
}

impl Membership {
    /// The membership of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Join,
            Self::Invite,
            Self::Leave,
            Self::Ban,
            Self::Knock,
        ];
        all.into_iter()
            .find(|membership| membership.as_str() == name)
    }

    /// Its name in `content.membership`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Ban => "ban",
            Self::Knock => "knock",
        }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) fn check(event: &Pdu, room: &Room<'_>) -> Result<(), Denied> {
    let target = event
        .state_key()
        .and_then(|user| <&UserId>::try_from(user).ok());
    let target = target.ok_or(Denied::MemberIsNoUser)?;
    let name = event.membership().unwrap_or_default();
    let change = MemberChange {
        event,
        target,
        room,
    };
    match Membership::parse(name) {
        Some(Membership::Join) => change.check_join(),
        Some(Membership::Invite) => change.check_invite(),
        Some(Membership::Leave) if event.sender() == target => change.check_leave(),
        Some(Membership::Leave) => change.check_kick(),
        Some(Membership::Ban) => change.check_ban(),
        Some(Membership::Knock) => change.check_knock(),
        None => Err(Denied::UnknownMembership(name.to_owned())),
    }
}

struct MemberChange<'a> {
    event: &'a Pdu,
    target: &'a UserId,
    room: &'a Room<'a>,
}

impl MemberChange<'_> {
    fn check_join(&self) -> Result<(), Denied> {
        if self.is_first_join_of_creator() {
            return Ok(());
        }
        self.require_own("join")?;
        let membership = self.room.membership_of(self.target);
        let belongs = matches!(membership, Membership::Join | Membership::Invite);
        if membership == Membership::Ban {
            return self.deny_for(self.target, "join");
        }
        match self.join_rule() {
            "public" => Ok(()),
            "invite" | "knock" | "restricted" | "knock_restricted" if belongs => Ok(()),
            "restricted" | "knock_restricted" => self.require_authorising_user(),
            _ => self.deny_by_join_rule("join"),
        }
    }

    fn is_first_join_of_creator(&self) -> bool {
        let create = self.room.create;
        matches!(self.event.prev_events(), [only] if only == create.event_id())
            && is_creator(create, self.target.as_str())
    }

    /// Someone in the room who may invite has vouched for this join. That this user's server has
    /// signed the event is part of the check of its signatures.
    fn require_authorising_user(&self) -> Result<(), Denied> {
        let user = self.content().and_then(MemberContent::authorising_user);
        let user = user.and_then(|user| <&UserId>::try_from(user).ok());
        let user = user.ok_or(Denied::NoAuthorisingUser)?;
        if self.room.membership_of(user) != Membership::Join {
            return self.deny_for(user, "let others join");
        }
        self.room
            .require_level(user, NamedLevel::Invite, "let others join")
    }

    fn check_invite(&self) -> Result<(), Denied> {
        if let Some(invite) = self.content().and_then(MemberContent::third_party_invite) {
            if self.room.membership_of(self.target) == Membership::Ban {
                return self.deny_for(self.target, "be invited");
            }
            return Ok(third_party_invite::check(self.event, invite, self.room)?);
        }
        self.room.require_joined(self.event.sender(), "invite")?;
        if matches!(
            self.room.membership_of(self.target),
            Membership::Join | Membership::Ban
        ) {
            return self.deny_for(self.target, "be invited");
        }
        self.room
            .require_level(self.event.sender(), NamedLevel::Invite, "invite")
    }

    /// Leaving, refusing an invite, taking back a knock.
    fn check_leave(&self) -> Result<(), Denied> {
        match self.room.membership_of(self.target) {
            Membership::Join | Membership::Invite | Membership::Knock => Ok(()),
            Membership::Leave | Membership::Ban => self.deny_for(self.target, "leave"),
        }
    }

    /// Kicking, taking back an invite, refusing a knock, and unbanning, which needs the level for
    /// bans and the level for kicks.
    fn check_kick(&self) -> Result<(), Denied> {
        let sender = self.event.sender();
        self.room.require_joined(sender, "kick")?;
        if self.room.membership_of(self.target) == Membership::Ban {
            self.room.require_level(sender, NamedLevel::Ban, "unban")?;
        }
        self.room.require_level(sender, NamedLevel::Kick, "kick")?;
        self.require_target_below_sender()
    }

    fn check_ban(&self) -> Result<(), Denied> {
        self.room.require_joined(self.event.sender(), "ban")?;
        self.room
            .require_level(self.event.sender(), NamedLevel::Ban, "ban")?;
        self.require_target_below_sender()
    }

    fn check_knock(&self) -> Result<(), Denied> {
        if !matches!(self.join_rule(), "knock" | "knock_restricted") {
            return self.deny_by_join_rule("knock");
        }
        self.require_own("knock")?;
        match self.room.membership_of(self.target) {
            Membership::Leave | Membership::Knock => Ok(()),
            Membership::Join | Membership::Invite | Membership::Ban => {
                self.deny_for(self.target, "knock")
            }
        }
    }

    /// The rule of the room. Without one it is `invite`: the specification does not say, and this
    /// is how Synapse reads it.
    fn join_rule(&self) -> &str {
        let event = self.room.state.event(JOIN_RULES, "");
        let content = event.and_then(|event| event.auth_content().join_rules());
        let rule = content.and_then(|content| content.join_rule.as_deref());
        rule.unwrap_or("invite")
    }

    fn content(&self) -> Option<&MemberContent> {
        self.event.auth_content().member()
    }

    fn require_own(&self, to: &'static str) -> Result<(), Denied> {
        let (sender, target) = (self.event.sender(), self.target);
        if sender == target {
            return Ok(());
        }
        Err(Denied::ForSomeoneElse {
            sender: sender.to_owned(),
            target: target.to_owned(),
            to,
        })
    }

    fn require_target_below_sender(&self) -> Result<(), Denied> {
        let (sender, target, levels) = (self.event.sender(), self.target, self.room.power_levels());
        let (has, level) = (levels.of_user(sender), levels.of_user(target));
        if level < has {
            return Ok(());
        }
        let (sender, target) = (sender.to_owned(), target.to_owned());
        Err(Denied::TargetLevel {
            sender,
            has,
            target,
            level,
        })
    }

    fn deny_for(&self, user: &UserId, to: &'static str) -> Result<(), Denied> {
        let membership = self.room.membership_of(user);
        Err(Denied::Membership {
            user: user.to_owned(),
            to: Cow::Borrowed(to),
            membership,
        })
    }

    fn deny_by_join_rule(&self, to: &'static str) -> Result<(), Denied> {
        Err(Denied::JoinRule {
            rule: self.join_rule().to_owned(),
            user: self.target.to_owned(),
            to,
            membership: self.room.membership_of(self.target),
        })
    }
}
