//! The list of rules, in the order of the specification (room versions, "Authorization rules").
//!
//! One list serves every room version: a line that a version does not have is skipped, and the
//! number of a rule in a version is found by counting the lines that the version has.

use std::fmt;

use crate::pdu::room_version::{LevelForm, RoomVersion, RoomVersionRules};

/// Tells whether a room version has a line.
type Exists = fn(&RoomVersionRules) -> bool;

const ALWAYS: Exists = |_| true;
const ALIASES: Exists = |rules| rules.aliases_of_servers;
const KNOCK: Exists = |rules| rules.knock;
const RESTRICTED: Exists = |rules| rules.restricted;
const NAMED_BY_ROOM_ID: Exists = |rules| rules.room_id_is_create_event;
const ONLY_INTEGERS: Exists = |rules| matches!(rules.levels, LevelForm::Integer);

macro_rules! rules {
    ($($depth:literal $rule:ident $name:literal $exists:expr, $text:literal;)*) => {
        /// A line of the specification's list of authorisation rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $rule,)*
        }

        /// The lines in their order: how deep each stands in the list, its stable name, and where
        /// it exists.
        const LINES: &[(usize, Rule, &str, Exists)] = &[$(($depth, Rule::$rule, $name, $exists),)*];
    };
}

rules! {
    1 Create "create" ALWAYS, "The rules for `m.room.create`.";
    2 CreatePrevEvents "create.prev_events" ALWAYS, "It has no previous events.";
    2 CreateRoomId "create.room_id" ALWAYS, "Its room id is of the sender's server, or is absent.";
    2 CreateRoomVersion "create.room_version" ALWAYS, "Its room version is known.";
    2 CreateCreator "create.creator" |rules| rules.creator_in_content, "It names the creator.";
    2 CreateAdditionalCreators "create.additional_creators" |rules| rules.creators_above_levels,
        "The additional creators are user ids.";
    1 RoomId "room_id" NAMED_BY_ROOM_ID, "The room id names an accepted create event.";
    1 AuthEvents "auth_events" ALWAYS, "The rules for the auth events.";
    2 AuthEventsDuplicate "auth_events.duplicate" ALWAYS, "No two are for one entry of the state.";
    2 AuthEventsSelection "auth_events.selection" ALWAYS, "All are of those that may be named.";
    2 AuthEventsRejected "auth_events.rejected" ALWAYS, "None was rejected.";
    2 AuthEventsCreate "auth_events.create" |rules| !rules.room_id_is_create_event,
        "The create event is among them.";
    2 AuthEventsRoomId "auth_events.room_id" ALWAYS, "All are of the event's room.";
    1 Federate "federate" ALWAYS, "In an unfederated room, senders are of the creator's server.";
    1 Aliases "aliases" ALIASES, "The rules for `m.room.aliases`.";
    2 AliasesStateKey "aliases.state_key" ALIASES, "It has a state key.";
    2 AliasesServer "aliases.server" ALIASES, "The state key is the sender's server.";
    1 Member "member" ALWAYS, "The rules for `m.room.member`.";
    2 MemberForm "member.form" ALWAYS, "It has a user id as state key, and a membership.";
    2 MemberVouched "member.vouched" RESTRICTED, "The server of who vouches for a join signed it.";
    2 Join "member.join" ALWAYS, "The rules for joining.";
    3 JoinCreator "member.join.creator" ALWAYS, "The creator joins right after the create event.";
    3 JoinSender "member.join.sender" ALWAYS, "Nobody joins for someone else.";
    3 JoinBanned "member.join.banned" ALWAYS, "Who is banned does not join.";
    3 JoinInvited "member.join.invited" ALWAYS, "The invited join where one must be invited.";
    3 JoinRestricted "member.join.restricted" RESTRICTED, "The rules for restricted joins.";
    4 JoinRestrictedBelongs "member.join.restricted.belongs" RESTRICTED,
        "Who is invited or joined needs nobody to vouch.";
    4 JoinRestrictedVouched "member.join.restricted.vouched" RESTRICTED,
        "Who vouches is joined and may invite.";
    3 JoinPublic "member.join.public" ALWAYS, "Anybody joins a public room.";
    3 JoinOtherwise "member.join.otherwise" ALWAYS, "Nobody joins by another join rule.";
    2 Invite "member.invite" ALWAYS, "The rules for invites.";
    3 ThirdParty "member.invite.third_party" ALWAYS, "The rules for third-party invites.";
    4 ThirdPartyBanned "member.invite.third_party.banned" ALWAYS, "The target is not banned.";
    4 ThirdPartySigned "member.invite.third_party.signed" ALWAYS, "It has `signed`.";
    4 ThirdPartyForm "member.invite.third_party.form" ALWAYS, "`signed` has `mxid` and `token`.";
    4 ThirdPartyTarget "member.invite.third_party.target" ALWAYS, "`mxid` is the target.";
    4 ThirdPartyToken "member.invite.third_party.token" ALWAYS, "The room has an invite of `token`.";
    4 ThirdPartySender "member.invite.third_party.sender" ALWAYS, "Both have the same sender.";
    4 ThirdPartySignature "member.invite.third_party.signature" ALWAYS,
        "A signature is by a key of the invite.";
    3 InviteSender "member.invite.sender" ALWAYS, "The sender is joined.";
    3 InviteTarget "member.invite.target" ALWAYS, "The target is neither joined nor banned.";
    3 InviteLevel "member.invite.level" ALWAYS, "The sender has the level for invites.";
    2 Leave "member.leave" ALWAYS, "The rules for leaving and kicking.";
    3 LeaveOwn "member.leave.own" ALWAYS, "Who leaves was joined, invited or knocking.";
    3 LeaveSender "member.leave.sender" ALWAYS, "Who kicks is joined.";
    3 LeaveBanned "member.leave.banned" ALWAYS, "Who unbans has the level for bans.";
    3 LeaveLevel "member.leave.level" ALWAYS,
        "Who kicks has the level for kicks, and more than the target.";
    2 Ban "member.ban" ALWAYS, "The rules for bans.";
    3 BanSender "member.ban.sender" ALWAYS, "The sender is joined.";
    3 BanLevel "member.ban.level" ALWAYS,
        "The sender has the level for bans, and more than the target.";
    2 Knock "member.knock" KNOCK, "The rules for knocking.";
    3 KnockRule "member.knock.rule" KNOCK, "The join rule allows knocking.";
    3 KnockSender "member.knock.sender" KNOCK, "Nobody knocks for someone else.";
    3 KnockMembership "member.knock.membership" KNOCK,
        "Who is banned, invited or joined does not knock.";
    2 MemberOtherwise "member.otherwise" ALWAYS, "There is no other membership.";
    1 Sender "sender" ALWAYS, "The sender is joined.";
    1 ThirdPartyInvite "third_party_invite" ALWAYS, "The rules for `m.room.third_party_invite`.";
    2 ThirdPartyInviteLevel "third_party_invite.level" ALWAYS,
        "The sender has the level for invites.";
    1 Level "level" ALWAYS, "The sender has the level for events of this type.";
    1 StateKey "state_key" ALWAYS, "A user id as state key is the sender's.";
    1 PowerLevels "power_levels" ALWAYS, "The rules for `m.room.power_levels`.";
    2 LevelsNamed "power_levels.named" ONLY_INTEGERS, "The named levels are integers.";
    2 LevelsLists "power_levels.lists" ONLY_INTEGERS, "The lists of levels are of integers.";
    2 LevelsUsers "power_levels.users" ALWAYS, "The users' levels are levels of user ids.";
    2 LevelsCreators "power_levels.creators" |rules| rules.creators_above_levels,
        "No creator has a level.";
    2 LevelsFirst "power_levels.first" ALWAYS, "The first of a room are allowed.";
    2 LevelsNamedChange "power_levels.named_change" ALWAYS, "The rules for changes of named levels.";
    3 LevelsNamedCurrent "power_levels.named_change.current" ALWAYS,
        "The present value is not above the sender's.";
    3 LevelsNamedNew "power_levels.named_change.new" ALWAYS,
        "The new value is not above the sender's.";
    2 LevelsListCurrent "power_levels.list_current" ALWAYS,
        "The present value of a changed entry is not above the sender's.";
    2 LevelsListNew "power_levels.list_new" ALWAYS,
        "The new value of a changed entry is not above the sender's.";
    2 LevelsUserCurrent "power_levels.user_current" ALWAYS,
        "The present level of another user is below the sender's.";
    2 LevelsUserNew "power_levels.user_new" ALWAYS,
        "The new level of a user is not above the sender's.";
    2 LevelsOtherwise "power_levels.otherwise" ALWAYS, "All other changes are allowed.";
    1 Redaction "redaction" |rules| rules.redaction_is_authorised,
        "Redactions are by who has the level for them, or of the own server's events.";
}

impl Rule {
    /// A name that stays the same whatever the room version.
    #[must_use]
    pub fn name(self) -> &'static str {
        let line = LINES.iter().find(|(_, rule, ..)| *rule == self);
        line.map_or("", |(_, _, name, _)| name)
    }

    /// Its number in the specification of this room version, as "5.3.2"; `None` if the version has
    /// no such rule.
    #[must_use]
    pub fn number(self, version: RoomVersion) -> Option<String> {
        let mut counts = Vec::new();
        for (depth, rule, _, exists) in LINES {
            if !exists(version.rules()) {
                continue;
            }
            counts.resize(*depth, 0_usize);
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
            if *rule == self {
                let numbers: Vec<_> = counts.iter().map(ToString::to_string).collect();
                return Some(numbers.join("."));
            }
        }
        None
    }
}

/// Its name.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn numbers<const N: usize>(rule: Rule, versions: [RoomVersion; N]) -> String {
        let number = |version| rule.number(version).unwrap_or_else(|| "-".to_owned());
        versions.map(number).join(" ")
    }

    /// The table of stages in the checklist, AUTH.
    #[test]
    fn the_stages_have_the_specifications_numbers() {
        let versions = [
            RoomVersion::V2,
            RoomVersion::V5,
            RoomVersion::V11,
            RoomVersion::V12,
        ];
        for (stage, expected) in [
            (Rule::Create, "1 1 1 1"),
            (Rule::RoomId, "- - - 2"),
            (Rule::AuthEvents, "2 2 2 3"),
            (Rule::Federate, "3 3 3 4"),
            (Rule::Aliases, "4 4 - -"),
            (Rule::Member, "5 5 4 5"),
            (Rule::Sender, "6 6 5 6"),
            (Rule::ThirdPartyInvite, "7 7 6 7"),
            (Rule::Level, "8 8 7 8"),
            (Rule::StateKey, "9 9 8 9"),
            (Rule::PowerLevels, "10 10 9 10"),
            (Rule::Redaction, "11 - - -"),
        ] {
            assert_eq!(numbers(stage, versions), expected, "{stage}");
        }
    }

    /// Lines that come and go within a stage.
    #[test]
    fn the_lines_have_the_specifications_numbers() {
        let versions = [
            RoomVersion::V1,
            RoomVersion::V6,
            RoomVersion::V7,
            RoomVersion::V8,
            RoomVersion::V10,
            RoomVersion::V11,
            RoomVersion::V12,
        ];
        for (line, expected) in [
            (Rule::CreateCreator, "1.4 1.4 1.4 1.4 1.4 - -"),
            (Rule::CreateAdditionalCreators, "- - - - - - 1.4"),
            (Rule::AuthEventsRoomId, "2.5 2.5 2.5 2.5 2.5 2.5 3.4"),
            (Rule::AliasesServer, "4.2 - - - - - -"),
            (Rule::MemberVouched, "- - - 4.2 4.2 4.2 5.2"),
            (
                Rule::JoinBanned,
                "5.2.3 4.2.3 4.2.3 4.3.3 4.3.3 4.3.3 5.3.3",
            ),
            (
                Rule::JoinOtherwise,
                "5.2.6 4.2.6 4.2.6 4.3.7 4.3.7 4.3.7 5.3.7",
            ),
            (
                Rule::JoinRestrictedVouched,
                "- - - 4.3.5.2 4.3.5.2 4.3.5.2 5.3.5.2",
            ),
            (
                Rule::ThirdPartySignature,
                "5.3.1.7 4.3.1.7 4.3.1.7 4.4.1.7 4.4.1.7 4.4.1.7 5.4.1.7",
            ),
            (
                Rule::LeaveLevel,
                "5.4.4 4.4.4 4.4.4 4.5.4 4.5.4 4.5.4 5.5.4",
            ),
            (Rule::KnockRule, "- - 4.6.1 4.7.1 4.7.1 4.7.1 5.7.1"),
            (Rule::MemberOtherwise, "5.6 4.6 4.7 4.8 4.8 4.8 5.8"),
            (Rule::LevelsUsers, "10.1 9.1 9.1 9.1 9.3 9.3 10.3"),
            (Rule::LevelsCreators, "- - - - - - 10.4"),
            (
                Rule::LevelsNamedNew,
                "10.3.2 9.3.2 9.3.2 9.3.2 9.5.2 9.5.2 10.6.2",
            ),
            (Rule::LevelsUserNew, "10.7 9.7 9.7 9.7 9.9 9.9 10.10"),
        ] {
            assert_eq!(numbers(line, versions), expected, "{line}");
        }
    }

    #[test]
    fn no_two_rules_share_a_name() {
        let names: BTreeSet<_> = LINES.iter().map(|(_, rule, ..)| rule.name()).collect();
        assert_eq!(names.len(), LINES.len());
    }
}
