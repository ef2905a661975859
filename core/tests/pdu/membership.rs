//! The authorisation rules for membership events, and the one on federation.

use comity_core::pdu::{
    RoomVersion,
    authorisation::{Membership, PowerLevel, Reason, Rule},
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
};
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION,
    judge::{
        NOBODY, join, judge, judge_by_us_alone, judge_event, member, number, room_with, rule,
        set_join_rule, set_level, words,
    },
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, user},
};

const MEMBERSHIPS: [&str; 5] = ["join", "invite", "leave", "knock", "ban"];
const JOIN_RULE_NAMES: [&str; 7] = [
    "public",
    "invite",
    "knock",
    "restricted",
    "knock_restricted",
    "private",
    "made_up",
];

/// Whether the room version has this join rule, by the checklist's table of versions.
fn has_join_rule(version: RoomVersion, join_rule: &str) -> bool {
    match join_rule {
        "public" | "invite" => true,
        "knock" => number(version) >= 7,
        "restricted" => number(version) >= 8,
        "knock_restricted" => number(version) >= 10,
        _ => false,
    }
}

#[test]
fn auth_5_unfederated_rooms_are_closed_to_other_servers() {
    for version in EVERY_VERSION {
        for (federate, open) in [(json!(true), true), (json!(false), false)] {
            let mut room = Room::created(version, json!({ "m.federate": federate }));
            room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": "public" }));
            assert_eq!(rule(join(&mut room, MODERATOR)), None);
            let verdict = join(&mut room, ALICE);
            assert_eq!(rule(verdict), (!open).then_some(Rule::Federate));
        }
    }
}

/// What is done to users of other servers is allowed in a room that they can never join.
#[test]
fn auth_20_an_unfederated_room_does_not_ask_for_the_targets_server() {
    for version in EVERY_VERSION {
        let mut room = Room::created(version, json!({ "m.federate": false }));
        room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
        for membership in ["invite", "leave", "ban", "leave"] {
            let content = json!({ "membership": membership });
            let verdict = member(&mut room, CREATOR, ALICE, content.clone());
            assert_eq!(rule(verdict), None, "{version} {membership}");
            room.put(CREATOR, MEMBER, ALICE, content);
        }
    }
}

#[test]
fn auth_7_membership_events_need_a_user_and_a_known_membership() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let membership = json!({ "membership": "join" });
        let stranger = judge(&mut room, ALICE, MEMBER, Some("alice"), membership.clone());
        assert_eq!(rule(stranger), Some(Rule::MemberForm));
        for wrong in [
            json!({}),
            json!({ "membership": null }),
            json!({ "membership": 1 }),
        ] {
            let verdict = member(&mut room, ALICE, ALICE, wrong);
            assert_eq!(rule(verdict), Some(Rule::MemberForm));
        }
        let dance = member(&mut room, ALICE, ALICE, json!({ "membership": "dance" }));
        assert_eq!(rule(dance), Some(Rule::MemberOtherwise));
        let state = room.state.clone();
        let event = room.make(&state, ALICE, MEMBER, None, membership);
        assert_eq!(
            rule(judge_by_us_alone(&room, &event)),
            Some(Rule::MemberForm)
        );
    }
}

#[test]
fn auth_8a_the_creator_joins_first() {
    for version in EVERY_VERSION {
        let with_creators = || Room::created(version, json!({ "additional_creators": [ALICE] }));
        let creator_by_alice =
            |room: &mut Room| member(room, ALICE, CREATOR, json!({ "membership": "join" }));
        let mut room = with_creators();
        assert_eq!(rule(join(&mut room, CREATOR)), None);
        // The previous event is now the one just made.
        assert_eq!(rule(creator_by_alice(&mut room)), Some(Rule::JoinSender));
        // Even if someone else sends it: this rule comes before the one on the sender.
        assert_eq!(rule(creator_by_alice(&mut with_creators())), None);
        // There are no join rules yet, which counts as `invite`.
        assert_eq!(
            rule(join(&mut with_creators(), ALICE)),
            Some(Rule::JoinInvited)
        );
        assert_eq!(
            rule(join(&mut with_creators(), BOB)),
            Some(Rule::JoinInvited)
        );
    }
}

/// Up to version 10 the creator is whom the create event names, later who sent it.
#[test]
fn auth_8a_who_the_creator_is_differs() {
    for version in EVERY_VERSION {
        let (creator, other) = match number(version) {
            ..=10 => (ALICE, CREATOR),
            _ => (CREATOR, ALICE),
        };
        let named_alice = || Room::created(version, json!({ "creator": ALICE }));
        assert_eq!(rule(join(&mut named_alice(), creator)), None);
        assert_eq!(
            rule(join(&mut named_alice(), other)),
            Some(Rule::JoinInvited)
        );
    }
}

#[test]
fn auth_8b_nobody_joins_for_someone_else() {
    for version in EVERY_VERSION {
        for membership in MEMBERSHIPS {
            let mut room = room_with(version, &[(BOB, membership)]);
            let verdict = member(&mut room, ALICE, BOB, json!({ "membership": "join" }));
            assert_eq!(rule(verdict), Some(Rule::JoinSender));
        }
    }
}

#[test]
fn auth_8c_bans_come_before_join_rules() {
    for version in EVERY_VERSION {
        for join_rule in JOIN_RULE_NAMES {
            let mut room = room_with(version, &[(BOB, "ban")]);
            set_join_rule(&mut room, join_rule.into());
            let denied = join(&mut room, BOB).unwrap_err();
            assert_eq!(denied.rule(), Rule::JoinBanned);
            let reason = Reason::Membership {
                user: user(BOB),
                to: "join",
                membership: Membership::Ban,
            };
            assert_eq!(denied.reason(), &reason);
        }
    }
}

/// A join rule that the version does not have lets nobody in, not even who is in the room.
#[test]
fn auth_8d_to_8g_joins_by_join_rule_and_membership() {
    for version in EVERY_VERSION {
        for join_rule in JOIN_RULE_NAMES {
            for membership in ["join", "invite", "leave", "knock"] {
                let mut room = room_with(version, &[(BOB, membership)]);
                set_join_rule(&mut room, join_rule.into());
                let belongs = ["join", "invite"].contains(&membership);
                let expected = match join_rule {
                    _ if !has_join_rule(version, join_rule) => Some(Rule::JoinOtherwise),
                    _ if join_rule == "public" || belongs => None,
                    "invite" | "knock" => Some(Rule::JoinInvited),
                    _ => Some(Rule::JoinRestrictedVouched),
                };
                assert_eq!(
                    rule(join(&mut room, BOB)),
                    expected,
                    "{version} {join_rule} {membership}"
                );
            }
        }
    }
}

#[test]
fn auth_8e_a_restricted_join_needs_someone_who_may_invite() {
    for version in EVERY_VERSION {
        for join_rule in ["restricted", "knock_restricted"] {
            let mut room = Room::new(version);
            set_join_rule(&mut room, join_rule.into());
            set_level(&mut room, "invite", 50);
            let mut join_via = |via: Value| {
                let content =
                    json!({ "membership": "join", "join_authorised_via_users_server": via });
                member(&mut room, BOB, BOB, content)
            };
            if !has_join_rule(version, join_rule) {
                let verdict = join_via(json!(MODERATOR));
                assert_eq!(rule(verdict), Some(Rule::JoinOtherwise));
                continue;
            }
            assert_eq!(rule(join_via(json!(MODERATOR))), None);
            let too_low = join_via(json!(ALICE)).unwrap_err();
            assert_eq!(too_low.rule(), Rule::JoinRestrictedVouched);
            let reason = Reason::PowerLevel {
                user: user(ALICE),
                has: PowerLevel::Level(0),
                needs: 50,
                to: "let others join".into(),
            };
            assert_eq!(too_low.reason(), &reason);
            for nobody in [json!(NOBODY), json!("nobody")] {
                let verdict = join_via(nobody);
                assert_eq!(rule(verdict), Some(Rule::JoinRestrictedVouched));
            }
            let verdict = join(&mut room, BOB);
            assert_eq!(rule(verdict), Some(Rule::JoinRestrictedVouched));
        }
    }
}

#[test]
fn auth_11_invites() {
    for version in EVERY_VERSION {
        let invite = || json!({ "membership": "invite" });
        for membership in MEMBERSHIPS {
            let mut room = room_with(version, &[(BOB, membership)]);
            let denied = ["join", "ban"].contains(&membership);
            let verdict = member(&mut room, ALICE, BOB, invite());
            assert_eq!(rule(verdict), denied.then_some(Rule::InviteTarget));
        }
        let mut room = Room::new(version);
        let by_outsider = member(&mut room, BOB, NOBODY, invite());
        assert_eq!(rule(by_outsider), Some(Rule::InviteSender));
        set_level(&mut room, "invite", 50);
        assert_eq!(rule(member(&mut room, MODERATOR, BOB, invite())), None);
        let by_alice = member(&mut room, ALICE, BOB, invite());
        assert_eq!(rule(by_alice), Some(Rule::InviteLevel));
    }
}

/// From a knock one leaves where one can knock, from version 7 on.
#[test]
fn auth_12_leaving() {
    for version in EVERY_VERSION {
        for membership in MEMBERSHIPS {
            let mut room = room_with(version, &[(BOB, membership)]);
            let allowed = match membership {
                "join" | "invite" => true,
                "knock" => number(version) >= 7,
                _ => false,
            };
            let verdict = member(&mut room, BOB, BOB, json!({ "membership": "leave" }));
            assert_eq!(
                rule(verdict),
                (!allowed).then_some(Rule::LeaveOwn),
                "{version} {membership}"
            );
        }
    }
}

#[test]
fn auth_12_kicking_and_unbanning() {
    for version in EVERY_VERSION {
        let mut room = room_with(version, &[(BOB, "join")]);
        let kick = |room: &mut Room, sender, target| {
            rule(member(
                room,
                sender,
                target,
                json!({ "membership": "leave" }),
            ))
        };
        assert_eq!(kick(&mut room, MODERATOR, BOB), None);
        assert_eq!(kick(&mut room, ALICE, BOB), Some(Rule::LeaveLevel));
        assert_eq!(kick(&mut room, NOBODY, BOB), Some(Rule::LeaveSender));
        assert_eq!(kick(&mut room, MODERATOR, CREATOR), Some(Rule::LeaveLevel));
        // Unbanning needs the level for bans and the one for kicks.
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "ban" }));
        assert_eq!(kick(&mut room, MODERATOR, BOB), None);
        set_level(&mut room, "ban", 60);
        assert_eq!(kick(&mut room, MODERATOR, BOB), Some(Rule::LeaveBanned));
        set_level(&mut room, "kick", 60);
        assert_eq!(kick(&mut room, MODERATOR, BOB), Some(Rule::LeaveLevel));
        let mut levels = room.usual_levels();
        levels["users"][BOB] = 50.into();
        room.put(CREATOR, POWER_LEVELS, "", levels);
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "join" }));
        let of_equal = member(&mut room, MODERATOR, BOB, json!({ "membership": "leave" }));
        let reason = Reason::TargetLevel {
            sender: user(MODERATOR),
            has: PowerLevel::Level(50),
            target: user(BOB),
            level: PowerLevel::Level(50),
        };
        assert_eq!(of_equal.unwrap_err().reason(), &reason);
        assert_eq!(kick(&mut room, CREATOR, BOB), None);
    }
}

#[test]
fn auth_13_bans() {
    for version in EVERY_VERSION {
        let ban = |room: &mut Room, sender, target| {
            rule(member(room, sender, target, json!({ "membership": "ban" })))
        };
        for membership in MEMBERSHIPS {
            let mut room = room_with(version, &[(BOB, membership)]);
            assert_eq!(ban(&mut room, MODERATOR, BOB), None);
            assert_eq!(ban(&mut room, ALICE, BOB), Some(Rule::BanLevel));
        }
        let mut room = Room::new(version);
        assert_eq!(ban(&mut room, MODERATOR, CREATOR), Some(Rule::BanLevel));
        assert_eq!(ban(&mut room, MODERATOR, MODERATOR), Some(Rule::BanLevel));
        assert_eq!(ban(&mut room, NOBODY, BOB), Some(Rule::BanSender));
    }
}

#[test]
fn auth_13_creators_of_version_12_are_equals() {
    let mut room = Room::created(RoomVersion::V12, json!({ "additional_creators": [ALICE] }));
    for creator in [CREATOR, ALICE] {
        room.put(creator, MEMBER, creator, json!({ "membership": "join" }));
    }
    for (sender, target) in [(CREATOR, ALICE), (ALICE, CREATOR)] {
        let verdict = member(&mut room, sender, target, json!({ "membership": "ban" }));
        assert_eq!(
            words(verdict),
            format!(
                "{sender}'s level of a creator is not above {target}'s level of a creator \
                 (rule 5.6.2 of room version 12)"
            )
        );
    }
    let verdict = judge(&mut room, ALICE, "m.room.name", Some(""), json!({}));
    assert_eq!(rule(verdict), None);
}

/// Before version 7 there is no membership `knock`; before 10 no join rule `knock_restricted`.
#[test]
fn auth_13_knocks() {
    for version in EVERY_VERSION {
        let knock = |room: &mut Room, sender| {
            rule(member(room, sender, BOB, json!({ "membership": "knock" })))
        };
        for join_rule in JOIN_RULE_NAMES {
            for membership in MEMBERSHIPS {
                let mut room = room_with(version, &[(BOB, membership)]);
                set_join_rule(&mut room, join_rule.into());
                let knocking = join_rule.starts_with("knock") && has_join_rule(version, join_rule);
                let expected = match membership {
                    _ if number(version) < 7 => Some(Rule::MemberOtherwise),
                    _ if !knocking => Some(Rule::KnockRule),
                    "leave" | "knock" => None,
                    _ => Some(Rule::KnockMembership),
                };
                assert_eq!(
                    knock(&mut room, BOB),
                    expected,
                    "{version} {join_rule} {membership}"
                );
            }
        }
        let mut room = Room::new(version);
        set_join_rule(&mut room, "knock".into());
        let for_other = match number(version) {
            ..7 => Rule::MemberOtherwise,
            _ => Rule::KnockSender,
        };
        assert_eq!(knock(&mut room, ALICE), Some(for_other));
    }
}

/// As in Synapse; ruma makes it an error.
#[test]
fn auth_19_without_join_rules_the_room_is_for_the_invited() {
    for version in EVERY_VERSION {
        let mut room = Room::created(version, json!({}));
        room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "invite" }));
        let mut join = |user: &str| {
            let content = json!({ "membership": "join" });
            let event = room.make(&room.state.clone(), user, MEMBER, Some(user), content);
            judge_by_us_alone(&room, &event)
        };
        assert_eq!(rule(join(BOB)), None);
        assert_eq!(rule(join(ALICE)), Some(Rule::JoinInvited));
    }
}

/// Join rules whose name is no text are of no known kind.
#[test]
fn auth_8g_a_join_rule_that_is_no_text_lets_nobody_in() {
    for version in EVERY_VERSION {
        let mut room = room_with(version, &[(BOB, "invite")]);
        set_join_rule(&mut room, json!(5));
        let content = json!({ "membership": "join" });
        let event = room.make(&room.state.clone(), BOB, MEMBER, Some(BOB), content);
        assert_eq!(rule(judge_event(&room, &event)), Some(Rule::JoinOtherwise));
    }
}
