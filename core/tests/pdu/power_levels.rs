//! The authorisation rules on power: levels, what they are needed for, who may change them.

use comity_core::pdu::{
    RoomVersion,
    authorisation::{Denied, NamedLevel, PowerLevel},
    event_type::{MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
};
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    judge::{NOBODY, Verdict, judge, judge_by_us_alone, levels_of, room_with, set_level},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, user},
};

#[test]
fn auth_1_levels_that_the_room_does_not_give() {
    for version in VERSIONS {
        let mut room = Room::created(version, json!({}));
        let creator = if version == RoomVersion::V12 {
            PowerLevel::Creator
        } else {
            PowerLevel::Level(100)
        };
        assert_eq!(levels_of(&room).of_user(&user(CREATOR)), creator);
        assert_eq!(levels_of(&room).of_user(&user(ALICE)), PowerLevel::Level(0));
        room.put(CREATOR, POWER_LEVELS, "", json!({}));
        let creator = if version == RoomVersion::V12 {
            creator
        } else {
            PowerLevel::Level(0)
        };
        let levels = levels_of(&room);
        assert_eq!(levels.of_user(&user(CREATOR)), creator);
        for (name, level) in [
            (NamedLevel::UsersDefault, 0),
            (NamedLevel::EventsDefault, 0),
            (NamedLevel::Invite, 0),
            (NamedLevel::StateDefault, 50),
            (NamedLevel::Kick, 50),
            (NamedLevel::Ban, 50),
            (NamedLevel::Redact, 50),
        ] {
            assert_eq!(levels.named(name), level, "{name:?}");
        }
        assert_eq!(
            (levels.to_send("x", true), levels.to_send("x", false)),
            (50, 0)
        );
        room.put(
            CREATOR,
            POWER_LEVELS,
            "",
            json!({
                "users_default": 7, "users": { ALICE: 8 }, "events": { "x": 9 },
                    "state_default": 1, "events_default": 2,
            }),
        );
        let levels = levels_of(&room);
        assert_eq!(levels.of_user(&user(ALICE)), PowerLevel::Level(8));
        assert_eq!(levels.of_user(&user(BOB)), PowerLevel::Level(7));
        assert_eq!(
            (levels.to_send("x", true), levels.to_send("x", false)),
            (9, 9)
        );
        assert_eq!(
            (levels.to_send("y", true), levels.to_send("y", false)),
            (1, 2)
        );
        assert!(PowerLevel::Creator > PowerLevel::Level(i64::MAX));
    }
}

#[test]
fn auth_14_senders_are_joined_and_have_the_level() {
    for version in VERSIONS {
        let mut room = room_with(version, &[(BOB, "invite")]);
        assert_eq!(
            judge(&mut room, ALICE, "m.room.message", None, json!({})),
            Ok(())
        );
        for outsider in [BOB, NOBODY] {
            assert!(matches!(
                judge(&mut room, outsider, "m.room.message", None, json!({})),
                Err(Denied::Membership { .. })
            ));
        }
        assert_eq!(
            judge(&mut room, MODERATOR, "m.room.name", Some(""), json!({})),
            Ok(())
        );
        let denied = judge(&mut room, ALICE, "m.room.name", Some(""), json!({})).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "@alice:b.example's level 0 is below the 50 needed to send m.room.name"
        );
        assert!(judge(&mut room, ALICE, "m.room.member.not", Some(""), json!({})).is_err());

        assert_eq!(
            judge(&mut room, ALICE, THIRD_PARTY_INVITE, Some("t"), json!({})),
            Ok(())
        );
        set_level(&mut room, "invite", 50);
        assert!(judge(&mut room, ALICE, THIRD_PARTY_INVITE, Some("t"), json!({})).is_err());
        set_level(&mut room, "state_default", 60);
        assert_eq!(
            judge(
                &mut room,
                MODERATOR,
                THIRD_PARTY_INVITE,
                Some("@x"),
                json!({})
            ),
            Ok(())
        );

        set_level(&mut room, "state_default", 0);
        assert_eq!(judge(&mut room, ALICE, "x", Some(ALICE), json!({})), Ok(()));
        assert_eq!(
            judge(&mut room, ALICE, "x", Some("_@bob"), json!({})),
            Ok(())
        );
        for other in [BOB, "@", "@alice"] {
            assert_eq!(
                judge(&mut room, ALICE, "x", Some(other), json!({})),
                Err(Denied::ForeignStateKey(other.into()))
            );
        }
    }
}

/// The verdict on power levels of the moderator, who has 50, that replace these.
fn change_levels(version: RoomVersion, before: Value, after: Value) -> Verdict {
    let mut room = Room::new(version);
    room.put(CREATOR, POWER_LEVELS, "", before);
    judge(&mut room, MODERATOR, POWER_LEVELS, Some(""), after)
}

#[test]
fn auth_15_1_to_3_levels_are_integers_of_users() {
    for version in VERSIONS {
        let mut room = Room::created(version, json!({}));
        room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
        let mut first = |content| judge(&mut room, CREATOR, POWER_LEVELS, Some(""), content);
        assert_eq!(first(json!({})), Ok(()));
        assert_eq!(
            first(
                json!({ "users": { ALICE: 5 }, "events": { "x": 1 }, "notifications": { "y": 2 }, "ban": -3 })
            ),
            Ok(())
        );
        for name in [
            "users_default",
            "events_default",
            "state_default",
            "ban",
            "redact",
            "kick",
            "invite",
        ] {
            for wrong in [json!("50"), json!(null), json!(true), json!([])] {
                assert!(
                    matches!(
                        first(json!({ name: wrong })),
                        Err(Denied::MalformedLevels(..))
                    ),
                    "{name}"
                );
            }
        }
        for list in ["users", "events", "notifications"] {
            for wrong in [
                json!([]),
                json!(null),
                json!(5),
                json!({ ALICE: "5" }),
                json!({ ALICE: null }),
            ] {
                assert!(
                    matches!(
                        first(json!({ list: wrong })),
                        Err(Denied::MalformedLevels(..))
                    ),
                    "{list}"
                );
            }
        }
        for wrong in ["alice", "@alice", "@alice:", ""] {
            assert!(matches!(
                first(json!({ "users": { wrong: 5 } })),
                Err(Denied::MalformedLevels(..))
            ));
        }
    }
}

#[test]
fn auth_15_4_creators_of_version_12_have_no_level() {
    for version in VERSIONS {
        for creator in [CREATOR, ALICE] {
            let mut room = Room::created(version, json!({ "additional_creators": [ALICE] }));
            room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
            let verdict = judge(
                &mut room,
                CREATOR,
                POWER_LEVELS,
                Some(""),
                json!({ "users": { creator: 5 } }),
            );
            let expected = match version == RoomVersion::V12 {
                true => Err(Denied::CreatorLevel(creator.into())),
                false => Ok(()),
            };
            assert_eq!(verdict, expected);
        }
    }
}

#[test]
fn auth_15_6_named_levels_change_within_the_senders_power() {
    for version in VERSIONS {
        let usual = || Room::new(version).usual_levels();
        let with = |name: &str, level: Option<i64>| {
            let mut levels = usual();
            if let Some(level) = level {
                levels[name] = level.into();
            }
            levels
        };
        for name in [
            "users_default",
            "events_default",
            "ban",
            "redact",
            "kick",
            "invite",
        ] {
            for (before, after, allowed) in [
                (Some(50), Some(40), true),
                (Some(40), Some(50), true),
                (Some(51), Some(51), true),
                (Some(51), Some(40), false),
                (Some(40), Some(51), false),
                (None, Some(50), true),
                (None, Some(51), false),
                (Some(50), None, true),
                (Some(51), None, false),
            ] {
                // The level of the sender, not of everybody, is what matters here.
                let verdict = change_levels(version, with(name, before), with(name, after));
                assert_eq!(
                    verdict.is_ok(),
                    allowed,
                    "{version} {name} {before:?} {after:?}: {verdict:?}"
                );
            }
        }
    }
}

/// AUTH-17. Ruma compares the default where the level is absent; Synapse compares nothing.
#[test]
fn auth_17_an_absent_level_is_not_compared() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let levels = json!({ "users": { MODERATOR: 40 }, "events": { POWER_LEVELS: 40 } });
        room.put(CREATOR, POWER_LEVELS, "", levels.clone());
        let mut lower = levels.clone();
        lower["ban"] = 40.into();
        let event = room.make(
            &room.state.clone(),
            MODERATOR,
            POWER_LEVELS,
            Some(""),
            lower.clone(),
        );
        assert_eq!(judge_by_us_alone(&room, &event), Ok(()));
        // The same value as the default is an alteration all the same.
        lower["ban"] = 50.into();
        assert_eq!(
            judge(&mut room, MODERATOR, POWER_LEVELS, Some(""), lower),
            Err(Denied::LevelChange {
                what: "ban".into(),
                from: None,
                to: Some(50),
                sender: PowerLevel::Level(40),
            })
        );
    }
}

#[test]
fn auth_15_7_and_8_entries_of_lists_change_within_the_senders_power() {
    for version in VERSIONS {
        let usual = || Room::new(version).usual_levels();
        for list in ["events", "notifications"] {
            let with = |level: Option<i64>| {
                let mut levels = usual();
                levels[list] = match level {
                    Some(level) => json!({ "x": level, "y": 99 }),
                    None => json!({ "y": 99 }),
                };
                levels
            };
            for (before, after, allowed) in [
                (Some(50), Some(40), true),
                (Some(51), Some(51), true),
                (Some(51), Some(40), false),
                (Some(40), Some(51), false),
                (None, Some(50), true),
                (None, Some(51), false),
                (Some(50), None, true),
                (Some(51), None, false),
            ] {
                let verdict = change_levels(version, with(before), with(after));
                assert_eq!(
                    verdict.is_ok(),
                    allowed,
                    "{version} {list} {before:?} {after:?}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn auth_15_9_and_10_users_change_below_the_sender() {
    for version in VERSIONS {
        let with = |who: &str, level: Option<i64>| {
            let mut levels = Room::new(version).usual_levels();
            levels["users"].as_object_mut().unwrap().remove(who);
            if let Some(level) = level {
                levels["users"][who] = level.into();
            }
            levels
        };
        for (who, before, after, allowed) in [
            (ALICE, Some(49), Some(0), true),
            (ALICE, Some(49), Some(50), true),
            (ALICE, Some(49), None, true),
            (ALICE, None, Some(50), true),
            (ALICE, None, Some(51), false),
            (ALICE, Some(0), Some(51), false),
            (ALICE, Some(50), Some(0), false),
            (ALICE, Some(50), None, false),
            (ALICE, Some(60), Some(0), false),
            (ALICE, Some(60), Some(60), true),
            (MODERATOR, Some(50), Some(10), true),
            (MODERATOR, Some(50), None, true),
            (MODERATOR, Some(50), Some(51), false),
        ] {
            let verdict = change_levels(version, with(who, before), with(who, after));
            assert_eq!(
                verdict.is_ok(),
                allowed,
                "{version} {who} {before:?} {after:?}: {verdict:?}"
            );
        }
        let mut gone = Room::new(version).usual_levels();
        gone.as_object_mut().unwrap().remove("users");
        let expected = version == RoomVersion::V12;
        assert_eq!(
            change_levels(version, Room::new(version).usual_levels(), gone).is_ok(),
            expected,
            "the creator's 100 goes"
        );
    }
}
