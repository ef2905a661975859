//! The authorisation rules for membership events, and the one on federation.

use comity_core::pdu::{
    RoomVersion,
    authorisation::{Denied, Membership, PowerLevel},
    event_type::{JOIN_RULES, MEMBER, POWER_LEVELS},
};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    judge::{
        NOBODY, join, judge, judge_by_us_alone, judge_event, member, room_with, set_join_rule,
        set_level,
    },
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, user},
};

#[test]
fn auth_5_unfederated_rooms_are_closed_to_other_servers() {
    for version in VERSIONS {
        for (federate, open) in [(json!(true), true), (json!(false), false)] {
            let mut room = Room::created(version, json!({ "m.federate": federate }));
            room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": "public" }));
            assert_eq!(join(&mut room, MODERATOR), Ok(()));
            let expected = if open {
                Ok(())
            } else {
                Err(Denied::NotFederated("a.example".try_into().unwrap()))
            };
            assert_eq!(join(&mut room, ALICE), expected);
            // The target's server is not asked for.
            room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
            assert_eq!(
                member(&mut room, CREATOR, ALICE, json!({ "membership": "invite" })),
                Ok(())
            );
        }
    }
}

#[test]
fn auth_7_membership_events_need_a_user_and_a_known_membership() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        assert_eq!(
            judge(
                &mut room,
                ALICE,
                MEMBER,
                Some("alice"),
                json!({ "membership": "join" })
            ),
            Err(Denied::MemberIsNoUser)
        );
        for wrong in [
            json!({}),
            json!({ "membership": "dance" }),
            json!({ "membership": null }),
        ] {
            assert!(matches!(
                member(&mut room, ALICE, ALICE, wrong),
                Err(Denied::UnknownMembership(_))
            ));
        }
        let state = room.state.clone();
        let event = room.make(&state, ALICE, MEMBER, None, json!({ "membership": "join" }));
        assert_eq!(
            judge_by_us_alone(&room, &event),
            Err(Denied::MemberIsNoUser)
        );
    }
}

#[test]
fn auth_8a_the_creator_joins_first() {
    for version in VERSIONS {
        let mut room = Room::created(version, json!({ "additional_creators": [ALICE] }));
        assert_eq!(join(&mut room, CREATOR), Ok(()));
        // Even if someone else sends it: this rule comes before the one on the sender.
        assert_eq!(
            member(&mut room, ALICE, CREATOR, json!({ "membership": "join" })),
            Err(Denied::ForSomeoneElse {
                sender: user(ALICE),
                target: user(CREATOR),
                to: "join",
            }),
            "the previous event is the one just made"
        );
        let mut room = Room::created(version, json!({ "additional_creators": [ALICE] }));
        assert_eq!(
            member(&mut room, ALICE, CREATOR, json!({ "membership": "join" })),
            Ok(())
        );
        for (room_user, extra) in [
            (ALICE, json!({ "additional_creators": [ALICE] })),
            (BOB, json!({})),
        ] {
            let mut room = Room::created(version, extra);
            // There are no join rules yet, which counts as `invite`; ruma makes it an error.
            let event = room.make(
                &room.state.clone(),
                room_user,
                MEMBER,
                Some(room_user),
                json!({ "membership": "join" }),
            );
            assert!(matches!(
                judge_event(&room, &event),
                Err(Denied::JoinRule { .. })
            ));
        }
    }
}

#[test]
fn auth_8a_who_the_creator_is_differs() {
    for version in VERSIONS {
        let mut room = Room::created(version, json!({ "creator": ALICE }));
        let creator = if version == RoomVersion::V10 {
            ALICE
        } else {
            CREATOR
        };
        assert_eq!(join(&mut room, creator), Ok(()));
        let mut room = Room::created(version, json!({ "creator": ALICE }));
        let other = if version == RoomVersion::V10 {
            CREATOR
        } else {
            ALICE
        };
        assert!(join(&mut room, other).is_err());
    }
}

#[test]
fn auth_8_joins_by_join_rule_and_membership() {
    for version in VERSIONS {
        for rule in [
            "public",
            "invite",
            "knock",
            "restricted",
            "knock_restricted",
            "private",
            "made_up",
        ] {
            for membership in ["join", "invite", "leave", "knock", "ban"] {
                let mut room = room_with(version, &[(BOB, membership)]);
                set_join_rule(&mut room, rule.into());
                let belongs = ["join", "invite"].contains(&membership);
                let known = !["private", "made_up"].contains(&rule);
                let allowed = membership != "ban" && (rule == "public" || known && belongs);
                assert_eq!(
                    join(&mut room, BOB).is_ok(),
                    allowed,
                    "{version} {rule} {membership}"
                );
                let by_other = member(&mut room, ALICE, BOB, json!({ "membership": "join" }));
                assert!(matches!(by_other, Err(Denied::ForSomeoneElse { .. })));
            }
        }
    }
}

#[test]
fn auth_8_bans_come_before_join_rules() {
    let mut room = room_with(RoomVersion::V12, &[(BOB, "ban")]);
    let denied = Denied::Membership {
        user: user(BOB),
        to: "join".into(),
        membership: Membership::Ban,
    };
    assert_eq!(join(&mut room, BOB), Err(denied));
}

#[test]
fn auth_8e_a_restricted_join_needs_someone_who_may_invite() {
    for version in VERSIONS {
        for rule in ["restricted", "knock_restricted"] {
            let mut room = Room::new(version);
            set_join_rule(&mut room, rule.into());
            set_level(&mut room, "invite", 50);
            let mut join_via = |via: Value| {
                member(
                    &mut room,
                    BOB,
                    BOB,
                    json!({ "membership": "join", "join_authorised_via_users_server": via }),
                )
            };
            assert_eq!(join_via(json!(MODERATOR)), Ok(()));
            assert_eq!(
                join_via(json!(ALICE)),
                Err(Denied::PowerLevel {
                    user: user(ALICE),
                    has: PowerLevel::Level(0),
                    needs: 50,
                    to: "let others join".into(),
                })
            );
            assert!(matches!(
                join_via(json!(NOBODY)),
                Err(Denied::Membership { .. })
            ));
            assert_eq!(join_via(json!("nobody")), Err(Denied::NoAuthorisingUser));
            assert_eq!(join(&mut room, BOB), Err(Denied::NoAuthorisingUser));
        }
    }
}

#[test]
fn auth_11_invites() {
    for version in VERSIONS {
        for membership in ["join", "invite", "leave", "knock", "ban"] {
            let mut room = room_with(version, &[(BOB, membership)]);
            let allowed = !["join", "ban"].contains(&membership);
            assert_eq!(
                member(&mut room, ALICE, BOB, json!({ "membership": "invite" })).is_ok(),
                allowed
            );
        }
        let mut room = Room::new(version);
        assert!(matches!(
            member(&mut room, BOB, NOBODY, json!({ "membership": "invite" })),
            Err(Denied::Membership { .. })
        ));
        set_level(&mut room, "invite", 50);
        assert_eq!(
            member(&mut room, MODERATOR, BOB, json!({ "membership": "invite" })),
            Ok(())
        );
        assert!(matches!(
            member(&mut room, ALICE, BOB, json!({ "membership": "invite" })),
            Err(Denied::PowerLevel { needs: 50, .. })
        ));
    }
}

#[test]
fn auth_12_leaving() {
    for version in VERSIONS {
        for (membership, allowed) in [
            ("join", true),
            ("invite", true),
            ("knock", true),
            ("leave", false),
            ("ban", false),
        ] {
            let mut room = room_with(version, &[(BOB, membership)]);
            assert_eq!(
                member(&mut room, BOB, BOB, json!({ "membership": "leave" })).is_ok(),
                allowed,
                "{membership}"
            );
        }
    }
}

#[test]
fn auth_12_kicking_and_unbanning() {
    for version in VERSIONS {
        let leave = || json!({ "membership": "leave" });
        let mut room = room_with(version, &[(BOB, "join")]);
        assert_eq!(member(&mut room, MODERATOR, BOB, leave()), Ok(()));
        assert!(matches!(
            member(&mut room, ALICE, BOB, leave()),
            Err(Denied::PowerLevel { needs: 50, .. })
        ));
        assert!(matches!(
            member(&mut room, NOBODY, BOB, leave()),
            Err(Denied::Membership { .. })
        ));
        assert!(matches!(
            member(&mut room, MODERATOR, CREATOR, leave()),
            Err(Denied::TargetLevel { .. })
        ));
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "ban" }));
        assert_eq!(member(&mut room, MODERATOR, BOB, leave()), Ok(()));
        // Unbanning needs the level for bans and the one for kicks.
        set_level(&mut room, "ban", 60);
        assert!(matches!(
            member(&mut room, MODERATOR, BOB, leave()),
            Err(Denied::PowerLevel { needs: 60, .. })
        ));
        set_level(&mut room, "kick", 60);
        assert!(matches!(
            member(&mut room, MODERATOR, BOB, leave()),
            Err(Denied::PowerLevel { needs: 60, .. })
        ));
        let mut levels = room.usual_levels();
        levels["users"][BOB] = 50.into();
        room.put(CREATOR, POWER_LEVELS, "", levels);
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "join" }));
        assert_eq!(
            member(&mut room, MODERATOR, BOB, leave()),
            Err(Denied::TargetLevel {
                sender: user(MODERATOR),
                has: PowerLevel::Level(50),
                target: user(BOB),
                level: PowerLevel::Level(50),
            })
        );
        assert_eq!(member(&mut room, CREATOR, BOB, leave()), Ok(()));
    }
}

#[test]
fn auth_13_bans() {
    for version in VERSIONS {
        let ban = || json!({ "membership": "ban" });
        for membership in ["join", "invite", "leave", "knock", "ban"] {
            let mut room = room_with(version, &[(BOB, membership)]);
            assert_eq!(member(&mut room, MODERATOR, BOB, ban()), Ok(()));
            assert!(matches!(
                member(&mut room, ALICE, BOB, ban()),
                Err(Denied::PowerLevel { needs: 50, .. })
            ));
        }
        let mut room = Room::new(version);
        assert!(matches!(
            member(&mut room, MODERATOR, CREATOR, ban()),
            Err(Denied::TargetLevel { .. })
        ));
        assert!(matches!(
            member(&mut room, MODERATOR, MODERATOR, ban()),
            Err(Denied::TargetLevel { .. })
        ));
        assert!(matches!(
            member(&mut room, NOBODY, BOB, ban()),
            Err(Denied::Membership { .. })
        ));
    }
}

#[test]
fn auth_13_creators_of_version_12_are_equals() {
    let mut room = Room::created(RoomVersion::V12, json!({ "additional_creators": [ALICE] }));
    for creator in [CREATOR, ALICE] {
        room.put(creator, MEMBER, creator, json!({ "membership": "join" }));
    }
    assert!(matches!(
        member(&mut room, CREATOR, ALICE, json!({ "membership": "ban" })),
        Err(Denied::TargetLevel { .. })
    ));
    assert!(matches!(
        member(&mut room, ALICE, CREATOR, json!({ "membership": "ban" })),
        Err(Denied::TargetLevel { .. })
    ));
    assert_eq!(
        judge(&mut room, ALICE, "m.room.name", Some(""), json!({})),
        Ok(())
    );
}

#[test]
fn auth_13_knocks() {
    for version in VERSIONS {
        for rule in [
            "public",
            "invite",
            "knock",
            "restricted",
            "knock_restricted",
        ] {
            for membership in ["join", "invite", "leave", "knock", "ban"] {
                let mut room = room_with(version, &[(BOB, membership)]);
                set_join_rule(&mut room, rule.into());
                let allowed = rule.starts_with("knock") && ["leave", "knock"].contains(&membership);
                let verdict = member(&mut room, BOB, BOB, json!({ "membership": "knock" }));
                assert_eq!(verdict.is_ok(), allowed, "{version} {rule} {membership}");
            }
        }
        let mut room = Room::new(version);
        set_join_rule(&mut room, "knock".into());
        assert!(matches!(
            member(&mut room, ALICE, BOB, json!({ "membership": "knock" })),
            Err(Denied::ForSomeoneElse { .. })
        ));
    }
}

#[test]
fn auth_19_without_join_rules_the_room_is_for_the_invited() {
    for version in VERSIONS {
        let mut room = Room::created(version, json!({}));
        room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
        room.put(CREATOR, MEMBER, BOB, json!({ "membership": "invite" }));
        let mut join = |user: &str| {
            let event = room.make(
                &room.state.clone(),
                user,
                MEMBER,
                Some(user),
                json!({ "membership": "join" }),
            );
            judge_by_us_alone(&room, &event)
        };
        assert_eq!(join(BOB), Ok(()));
        assert!(matches!(join(ALICE), Err(Denied::JoinRule { .. })));
    }
}
