//! The authorisation rules for events that are neither memberships nor power levels.

use comity_core::pdu::{
    RoomVersion,
    authorisation::Rule,
    event_type::{ALIASES, REDACTION, THIRD_PARTY_INVITE},
};
use ruma_common::EventId;
use serde_json::json;

use crate::{
    EVERY_VERSION,
    judge::{NOBODY, judge, judge_event, number, room_with, rule, set_level, words},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room},
};

/// Versions 1 to 5 only: afterwards an event like any other.
#[test]
fn auth_6_aliases_are_of_the_senders_server() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let mut set = |sender, key| rule(judge(&mut room, sender, ALIASES, key, json!({})));
        if number(version) >= 6 {
            assert_eq!(set(ALICE, Some("b.example")), Some(Rule::Level));
            assert_eq!(set(MODERATOR, Some("z.example")), None);
            continue;
        }
        // Power and membership are not asked for.
        assert_eq!(set(ALICE, Some("b.example")), None);
        assert_eq!(set(NOBODY, Some("d.example")), None);
        assert_eq!(set(CREATOR, Some("b.example")), Some(Rule::AliasesServer));
        assert_eq!(set(CREATOR, Some("")), Some(Rule::AliasesServer));
        assert_eq!(set(CREATOR, None), Some(Rule::AliasesStateKey));
    }
}

#[test]
fn auth_14_senders_are_joined() {
    for version in EVERY_VERSION {
        let mut room = room_with(version, &[(BOB, "invite")]);
        let mut say = |sender| rule(judge(&mut room, sender, "m.room.message", None, json!({})));
        assert_eq!(say(ALICE), None);
        assert_eq!(say(BOB), Some(Rule::Sender));
        assert_eq!(say(NOBODY), Some(Rule::Sender));
    }
}

#[test]
fn auth_14_third_party_invites_need_the_level_for_invites() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let invite = |room: &mut Room, sender, token| {
            rule(judge(
                room,
                sender,
                THIRD_PARTY_INVITE,
                Some(token),
                json!({}),
            ))
        };
        assert_eq!(invite(&mut room, ALICE, "t"), None);
        set_level(&mut room, "invite", 50);
        assert_eq!(
            invite(&mut room, ALICE, "t"),
            Some(Rule::ThirdPartyInviteLevel)
        );
        // That rule has the last word: neither the level for state nor the state key matter.
        set_level(&mut room, "state_default", 60);
        assert_eq!(invite(&mut room, MODERATOR, "@x"), None);
    }
}

#[test]
fn auth_14_senders_have_the_level_that_the_type_needs() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let name = |room: &mut Room, sender, event_type: &str| {
            judge(room, sender, event_type, Some(""), json!({}))
        };
        assert_eq!(rule(name(&mut room, MODERATOR, "m.room.name")), None);
        let denied = name(&mut room, ALICE, "m.room.name").unwrap_err();
        let number = if (6..=11).contains(&number(version)) {
            7
        } else {
            8
        };
        assert_eq!(
            denied.to_string(),
            format!(
                "@alice:b.example's level 0 is below the 50 needed to send m.room.name \
                 (rule {number} of room version {version})"
            )
        );
        let verdict = name(&mut room, ALICE, "m.room.member.not");
        assert_eq!(rule(verdict), Some(Rule::Level));
    }
}

#[test]
fn auth_14_a_user_id_as_state_key_is_the_senders() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        set_level(&mut room, "state_default", 0);
        let mut set = |key| rule(judge(&mut room, ALICE, "x", Some(key), json!({})));
        assert_eq!(set(ALICE), None);
        assert_eq!(set("_@bob"), None);
        for other in [BOB, "@", "@alice"] {
            assert_eq!(set(other), Some(Rule::StateKey));
        }
    }
}

/// Versions 1 and 2 only; afterwards a redaction is an event like any other.
#[test]
fn auth_16_redactions_need_the_level_or_the_own_server() {
    const EVE: &str = "@eve:b.example";
    for version in EVERY_VERSION {
        let mut room = room_with(version, &[(BOB, "join"), (EVE, "join")]);
        let state = room.state.clone();
        let said = room.make(&state, ALICE, "m.room.message", None, json!({}));
        let mut redact = |sender, target: Option<&EventId>| {
            let mut template = room.template(&state, sender, REDACTION, None, json!({}));
            template.redacts = target.map(ToOwned::to_owned);
            let redaction = room.add(template);
            judge_event(&room, &redaction)
        };
        let target = Some(said.event_id());
        for sender in [ALICE, EVE, MODERATOR] {
            assert_eq!(rule(redact(sender, target)), None);
        }
        let denied = (number(version) <= 2).then_some(Rule::Redaction);
        assert_eq!(rule(redact(BOB, target)), denied);
        assert_eq!(rule(redact(MODERATOR, None)), None);
        if version == RoomVersion::V1 {
            let id = said.event_id();
            assert_eq!(
                words(redact(BOB, target)),
                format!(
                    "@bob:c.example's level 0 is below the 50 needed to redact {id} \
                     (rule 11 of room version 1)"
                )
            );
            assert_eq!(rule(redact(BOB, None)), denied);
        }
    }
}
