//! The rules for `m.room.member`: joining, inviting, leaving, kicking, banning, knocking (room
//! versions, "Authorization rules").

use std::fmt;

use ruma_common::UserId;

use super::{
    Case, Denied, PowerLevels, Reason, Rule, power_levels::is_creator, third_party_invite,
};
use crate::pdu::{
    auth_content::{MemberContent, NamedLevel},
    event_type::JOIN_RULES,
    room_version::RoomVersionRules,
};

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

pub(super) fn check(case: Case<'_>) -> Result<(), Denied> {
    let sender = case.event.sender();
    let target = case
        .event
        .state_key()
        .and_then(|user| match sender == user {
            true => Some(sender),
            false => user.try_into().ok(),
        });
    let Some(target) = target else {
        return case.deny(Rule::MemberForm, Reason::MemberIsNoUser);
    };
    let content = case.event.auth_content().member();
    let Some((content, name)) = content.and_then(|content| Some((content, content.membership()?)))
    else {
        return case.deny(Rule::MemberForm, Reason::NoMembership);
    };
    let change = MemberChange {
        case,
        content,
        target,
    };
    match Membership::parse(name) {
        Some(Membership::Join) => change.check_join(),
        Some(Membership::Invite) => change.check_invite(),
        Some(Membership::Leave) if case.event.sender() == target => change.check_leave(),
        Some(Membership::Leave) => change.check_kick(),
        Some(Membership::Ban) => change.check_ban(),
        Some(Membership::Knock) if change.rules().knock => change.check_knock(),
        _ => {
            let reason = Reason::UnknownMembership(name.to_owned());
            case.deny(Rule::MemberOtherwise, reason)
        }
    }
}

/// A membership event before a state of its room, and whose membership it is.
struct MemberChange<'a> {
    case: Case<'a>,
    content: &'a MemberContent,
    target: &'a UserId,
}

impl<'a> MemberChange<'a> {
    fn rules(&self) -> &'static RoomVersionRules {
        self.case.event.room_version().rules()
    }

    fn sender(&self) -> &'a UserId {
        self.case.event.sender()
    }

    /// The target's membership until now.
    fn present(&self) -> Membership {
        self.case.membership_of(self.target)
    }

    fn check_join(&self) -> Result<(), Denied> {
        if self.is_first_join_of_creator() {
            return Ok(());
        }
        self.require_own(Rule::JoinSender, "join")?;
        let present = self.present();
        if present == Membership::Ban {
            return self.deny_for(Rule::JoinBanned, self.target, "join");
        }
        let belongs = matches!(present, Membership::Join | Membership::Invite);
        let rules = self.rules();
        match self.join_rule() {
            "public" => Ok(()),
            "invite" => self.require_invited(belongs),
            "knock" if rules.knock => self.require_invited(belongs),
            "restricted" if rules.restricted && belongs => Ok(()),
            "restricted" if rules.restricted => self.require_voucher(),
            "knock_restricted" if rules.knock_restricted && belongs => Ok(()),
            "knock_restricted" if rules.knock_restricted => self.require_voucher(),
            _ => self.deny_by_join_rule(Rule::JoinOtherwise, "join"),
        }
    }

    /// Whoever sends it: this rule comes before the one on the sender.
    fn is_first_join_of_creator(&self) -> bool {
        let create = self.case.create;
        self.case.event.prev_events() == [create.event_id()]
            && is_creator(create, self.target.as_str())
    }

    fn require_invited(&self, belongs: bool) -> Result<(), Denied> {
        if belongs {
            return Ok(());
        }
        self.deny_by_join_rule(Rule::JoinInvited, "join")
    }

    /// Someone in the room who may invite has vouched for this join. That this user's server has
    /// signed the event is part of the check of its signatures.
    fn require_voucher(&self) -> Result<(), Denied> {
        const TO: &str = "let others join";
        let rule = Rule::JoinRestrictedVouched;
        let user = self.content.authorising_user();
        let Some(user) = user.and_then(|user| <&UserId>::try_from(user).ok()) else {
            return self.case.deny(rule, Reason::NoAuthorisingUser);
        };
        self.case.require_joined(rule, user, TO)?;
        let levels = self.case.power_levels();
        self.case
            .require_named(rule, &levels, user, NamedLevel::Invite, TO)
    }

    fn check_invite(&self) -> Result<(), Denied> {
        if let Some(invite) = self.content.third_party_invite() {
            return third_party_invite::check(self.case, self.target, invite);
        }
        let sender = self.sender();
        self.case
            .require_joined(Rule::InviteSender, sender, "invite")?;
        if matches!(self.present(), Membership::Join | Membership::Ban) {
            return self.deny_for(Rule::InviteTarget, self.target, "be invited");
        }
        let levels = self.case.power_levels();
        self.case.require_named(
            Rule::InviteLevel,
            &levels,
            sender,
            NamedLevel::Invite,
            "invite",
        )
    }

    /// Leaving, refusing an invite, taking back a knock.
    fn check_leave(&self) -> Result<(), Denied> {
        match self.present() {
            Membership::Join | Membership::Invite => Ok(()),
            Membership::Knock if self.rules().knock => Ok(()),
            _ => self.deny_for(Rule::LeaveOwn, self.target, "leave"),
        }
    }

    /// Kicking, taking back an invite, refusing a knock, and unbanning, which needs the level for
    /// bans and the level for kicks.
    fn check_kick(&self) -> Result<(), Denied> {
        let (case, sender) = (self.case, self.sender());
        case.require_joined(Rule::LeaveSender, sender, "kick")?;
        let levels = case.power_levels();
        if self.present() == Membership::Ban {
            case.require_named(Rule::LeaveBanned, &levels, sender, NamedLevel::Ban, "unban")?;
        }
        case.require_named(Rule::LeaveLevel, &levels, sender, NamedLevel::Kick, "kick")?;
        self.require_target_below_sender(Rule::LeaveLevel, &levels)
    }

    fn check_ban(&self) -> Result<(), Denied> {
        let (case, sender) = (self.case, self.sender());
        case.require_joined(Rule::BanSender, sender, "ban")?;
        let levels = case.power_levels();
        case.require_named(Rule::BanLevel, &levels, sender, NamedLevel::Ban, "ban")?;
        self.require_target_below_sender(Rule::BanLevel, &levels)
    }

    fn check_knock(&self) -> Result<(), Denied> {
        match self.join_rule() {
            "knock" => {}
            "knock_restricted" if self.rules().knock_restricted => {}
            _ => return self.deny_by_join_rule(Rule::KnockRule, "knock"),
        }
        self.require_own(Rule::KnockSender, "knock")?;
        match self.present() {
            Membership::Leave | Membership::Knock => Ok(()),
            Membership::Join | Membership::Invite | Membership::Ban => {
                self.deny_for(Rule::KnockMembership, self.target, "knock")
            }
        }
    }

    /// The rule of the room. Without one it is `invite`: the specification does not say, and this
    /// is how Synapse reads it.
    fn join_rule(&self) -> &'a str {
        let event = self.case.state.event(JOIN_RULES, "");
        let content = event.and_then(|event| event.auth_content().join_rules());
        content
            .and_then(|content| content.join_rule.as_deref())
            .unwrap_or("invite")
    }

    fn require_own(&self, rule: Rule, to: &'static str) -> Result<(), Denied> {
        let (sender, target) = (self.sender(), self.target);
        if sender == target {
            return Ok(());
        }
        let reason = Reason::ForSomeoneElse {
            sender: sender.to_owned(),
            target: target.to_owned(),
            to,
        };
        self.case.deny(rule, reason)
    }

    fn require_target_below_sender(
        &self,
        rule: Rule,
        levels: &PowerLevels<'_>,
    ) -> Result<(), Denied> {
        let (sender, target) = (self.sender(), self.target);
        let (has, level) = (levels.of_user(sender), levels.of_user(target));
        if level < has {
            return Ok(());
        }
        let reason = Reason::TargetLevel {
            sender: sender.to_owned(),
            has,
            target: target.to_owned(),
            level,
        };
        self.case.deny(rule, reason)
    }

    fn deny_for(&self, rule: Rule, user: &UserId, to: &'static str) -> Result<(), Denied> {
        let reason = Reason::Membership {
            user: user.to_owned(),
            to,
            membership: self.case.membership_of(user),
        };
        self.case.deny(rule, reason)
    }

    fn deny_by_join_rule(&self, rule: Rule, to: &'static str) -> Result<(), Denied> {
        let reason = Reason::JoinRule {
            rule: self.join_rule().to_owned(),
            user: self.target.to_owned(),
            to,
            membership: self.present(),
        };
        self.case.deny(rule, reason)
    }
}
