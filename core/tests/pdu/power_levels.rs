//! The authorisation rules on power: levels, what they are needed for, who may change them.

use comity_core::pdu::{
    RoomVersion,
    authorisation::{NamedLevel, PowerLevel, Reason, Rule},
    event_type::{MEMBER, POWER_LEVELS},
};
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION,
    judge::{Verdict, judge, judge_by_us_alone, judge_event, levels_of, number, rule},
    room::{ALICE, BOB, CREATOR, MODERATOR, Room, user},
};

const NAMED: [&str; 7] = [
    "users_default",
    "events_default",
    "state_default",
    "ban",
    "redact",
    "kick",
    "invite",
];

/// In version 12 creators stand above all levels; before, the creator has 100 until there are
/// power levels, and nothing by itself afterwards.
/// LIMIT-7.
#[test]
fn auth_1_levels_that_the_room_does_not_give() {
    for version in EVERY_VERSION {
        let above = number(version) == 12;
        let creator = |level| match above {
            true => PowerLevel::Creator,
            false => PowerLevel::Level(level),
        };
        let mut room = Room::created(version, json!({}));
        assert_eq!(levels_of(&room).of_user(&user(CREATOR)), creator(100));
        assert_eq!(levels_of(&room).of_user(&user(ALICE)), PowerLevel::Level(0));
        let before = levels_of(&room);
        assert_eq!(
            (before.to_send("x", true), before.to_send("x", false)),
            (50, 0)
        );
        room.put(CREATOR, POWER_LEVELS, "", json!({}));
        let levels = levels_of(&room);
        assert_eq!(levels.of_user(&user(CREATOR)), creator(0));
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
    }
}

#[test]
fn auth_1_levels_that_the_room_gives() {
    for version in EVERY_VERSION {
        let mut room = Room::created(version, json!({}));
        let content = json!({
            "users_default": 7, "users": { ALICE: 8 }, "events": { "x": 9 },
            "state_default": 1, "events_default": 2,
        });
        room.put(CREATOR, POWER_LEVELS, "", content);
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
    }
    assert!(PowerLevel::Creator > PowerLevel::Level(i64::MAX));
}

/// The verdict on power levels of the moderator, who has 50, that replace these.
fn change_levels(version: RoomVersion, before: Value, after: Value) -> Verdict {
    let mut room = Room::new(version);
    room.put(CREATOR, POWER_LEVELS, "", before);
    judge(&mut room, MODERATOR, POWER_LEVELS, Some(""), after)
}

/// A room whose creator is about to send its first power levels.
fn without_levels(version: RoomVersion) -> Room {
    let mut room = Room::created(version, json!({}));
    room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
    room
}

/// The verdict on the first power levels of a room, without ruma's.
fn first_levels(room: &mut Room, content: Value) -> Verdict {
    let state = room.state.clone();
    let event = room.make(&state, CREATOR, POWER_LEVELS, Some(""), content);
    judge_by_us_alone(room, &event)
}

/// Up to version 9 the text of an integer will do as well.
#[test]
fn auth_15_1_to_3_levels_are_integers_of_users() {
    for version in EVERY_VERSION {
        let mut room = without_levels(version);
        let mut first = |content| rule(judge(&mut room, CREATOR, POWER_LEVELS, Some(""), content));
        let usual = json!({
            "users": { ALICE: 5 }, "events": { "x": 1 }, "notifications": { "y": 2 }, "ban": -3,
        });
        assert_eq!(first(json!({})), None);
        assert_eq!(first(usual), None);
        let text = (number(version) >= 10).then_some(());
        for name in NAMED {
            let verdict = first(json!({ name: "50" }));
            assert_eq!(verdict, text.map(|()| Rule::LevelsNamed));
        }
        for (list, its_rule) in [
            ("events", Rule::LevelsLists),
            ("notifications", Rule::LevelsLists),
            ("users", Rule::LevelsUsers),
        ] {
            let verdict = first(json!({ list: { ALICE: "5" } }));
            assert_eq!(verdict, text.map(|()| its_rule));
        }
        for stranger in ["alice", "@alice", "@alice:", "@alice:b:1:99999", ""] {
            let verdict = first(json!({ "users": { stranger: 5 } }));
            assert_eq!(verdict, Some(Rule::LevelsUsers));
        }
    }
}

/// The grammar of ports is up to five digits. Ruma knows none that no server can be at.
#[test]
fn auth_15_3_a_user_id_may_have_any_port_of_five_digits() {
    for version in EVERY_VERSION {
        let mut room = without_levels(version);
        for (user, expected) in [
            ("@alice:b.example:65536", None),
            ("@alice:[::1]:99999", None),
            ("@alice:b.example:100000", Some(Rule::LevelsUsers)),
            ("@alice:b.example:1:99999", Some(Rule::LevelsUsers)),
        ] {
            let verdict = first_levels(&mut room, json!({ "users": { user: 5 } }));
            assert_eq!(rule(verdict), expected, "{version} {user}");
        }
    }
}

/// What is no level in any version. Before notifications counted, in version 6, nobody read theirs.
#[test]
fn auth_15_1_to_3_what_is_no_level() {
    for version in EVERY_VERSION {
        let mut room = without_levels(version);
        let mut first = |content| rule(first_levels(&mut room, content));
        for name in NAMED {
            for wrong in [json!(null), json!(true), json!([]), json!({}), json!("x")] {
                assert_eq!(first(json!({ name: wrong })), Some(Rule::LevelsNamed));
            }
        }
        let notifications = (number(version) >= 6).then_some(Rule::LevelsLists);
        for (list, expected) in [
            ("events", Some(Rule::LevelsLists)),
            ("notifications", notifications),
            ("users", Some(Rule::LevelsUsers)),
        ] {
            for wrong in [
                json!([]),
                json!(null),
                json!(5),
                json!({ ALICE: true }),
                json!({ ALICE: null }),
            ] {
                assert_eq!(first(json!({ list: wrong })), expected, "{version} {list}");
            }
        }
    }
}

/// Up to version 9: digits, one sign before them, white space around. Python's further ways to
/// write an integer are no levels.
#[test]
fn auth_18_levels_as_text() {
    for version in EVERY_VERSION {
        let mut room = without_levels(version);
        let mut is_level =
            |text: &str| rule(first_levels(&mut room, json!({ "ban": text }))).is_none();
        for text in [
            "100",
            "000100",
            "+100",
            "-100",
            " 100 ",
            " +00100 ",
            "\t100\n",
            "\u{2003}1",
            "99999999999999999999",
        ] {
            assert_eq!(is_level(text), number(version) <= 9, "{version} {text:?}");
        }
        for text in [
            "", " ", "+", "--1", "+-1", "+ 1", "1 0", "5_0", "٥٠", "0x10", "1.0", "1e2", "fifty",
        ] {
            assert!(!is_level(text), "{version} {text:?}");
        }
    }
}

/// What the texts and numbers stand for.
#[test]
fn auth_18_levels_count_as_the_integers_that_they_stand_for() {
    let level = |version, value: Value| {
        let mut room = without_levels(version);
        room.put(
            CREATOR,
            POWER_LEVELS,
            "",
            json!({ "users": { ALICE: value } }),
        );
        levels_of(&room).of_user(&user(ALICE))
    };
    for version in EVERY_VERSION {
        if number(version) <= 9 {
            for (text, expected) in [
                (" +0050 ", 50),
                ("-7", -7),
                ("99999999999999999999", i64::MAX),
            ] {
                assert_eq!(level(version, json!(text)), PowerLevel::Level(expected));
            }
        }
        if number(version) <= 5 {
            for (float, expected) in [
                (json!(50.57), 50),
                (json!(-0.9), 0),
                (json!(-1.9), -1),
                (json!(5.114698e4), 51146),
                (json!(1e300), i64::MAX),
                (json!(-1e300), i64::MIN),
            ] {
                assert_eq!(level(version, float), PowerLevel::Level(expected));
            }
        }
    }
}

/// K 4 of version 12; before, a creator has a level like everybody.
#[test]
fn auth_15_4_creators_of_version_12_have_no_level() {
    for version in EVERY_VERSION {
        for creator in [CREATOR, ALICE] {
            let mut room = Room::created(version, json!({ "additional_creators": [ALICE] }));
            room.put(CREATOR, MEMBER, CREATOR, json!({ "membership": "join" }));
            let content = json!({ "users": { creator: 5 } });
            let verdict = judge(&mut room, CREATOR, POWER_LEVELS, Some(""), content);
            let expected = (number(version) == 12).then_some(Rule::LevelsCreators);
            assert_eq!(rule(verdict), expected);
        }
    }
}

#[test]
fn auth_15_5_the_first_power_levels_may_say_anything() {
    for version in EVERY_VERSION {
        let mut room = without_levels(version);
        let content = json!({ "users": { ALICE: 1000 }, "ban": 1000, "events": { "x": 1000 } });
        let verdict = judge(&mut room, CREATOR, POWER_LEVELS, Some(""), content);
        assert_eq!(rule(verdict), None);
    }
}

/// A value before and after for which the change is judged, by a sender with level 50.
const CHANGES: [(Option<i64>, Option<i64>, Change); 9] = [
    (Some(50), Some(40), Change::Allowed),
    (Some(40), Some(50), Change::Allowed),
    (Some(51), Some(51), Change::Allowed),
    (Some(51), Some(40), Change::AboveNow),
    (Some(40), Some(51), Change::AboveThen),
    (None, Some(50), Change::Allowed),
    (None, Some(51), Change::AboveThen),
    (Some(50), None, Change::Allowed),
    (Some(51), None, Change::AboveNow),
];

#[derive(Clone, Copy)]
enum Change {
    Allowed,
    AboveNow,
    AboveThen,
}

impl Change {
    fn denied_by(self, current: Rule, new: Rule) -> Option<Rule> {
        match self {
            Self::Allowed => None,
            Self::AboveNow => Some(current),
            Self::AboveThen => Some(new),
        }
    }
}

/// As in Synapse; ruma compares it with the room's levels.
#[test]
fn auth_15_5_levels_under_another_state_key_follow_none() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let mut levels = room.usual_levels();
        levels["users"][ALICE] = 50.into();
        levels["state_default"] = 0.into();
        room.put(CREATOR, POWER_LEVELS, "", levels);
        let state = room.state.clone();
        let content = json!({ "users": { ALICE: 100 } });
        let mut put = |state_key| {
            let content = content.clone();
            room.make(&state, MODERATOR, POWER_LEVELS, state_key, content)
        };
        let (elsewhere, here, nowhere) = (put(Some("elsewhere")), put(Some("")), put(None));
        assert_eq!(judge_by_us_alone(&room, &elsewhere), Ok(()));
        assert!(judge_event(&room, &here).is_err());
        assert!(judge_event(&room, &nowhere).is_err());
    }
}

#[test]
fn auth_15_6_named_levels_change_within_the_senders_power() {
    for version in EVERY_VERSION {
        let with = |name: &str, level: Option<i64>| {
            let mut levels = Room::new(version).usual_levels();
            if let Some(level) = level {
                levels[name] = level.into();
            }
            // Whatever the level for state is, the moderator may send power levels.
            levels["events"] = json!({ POWER_LEVELS: 50 });
            levels
        };
        for name in NAMED {
            for (before, after, change) in CHANGES {
                let verdict = change_levels(version, with(name, before), with(name, after));
                assert_eq!(
                    rule(verdict),
                    change.denied_by(Rule::LevelsNamedCurrent, Rule::LevelsNamedNew),
                    "{version} {name} {before:?} {after:?}"
                );
            }
        }
    }
}

/// Ruma compares the default where the level is absent; Synapse compares nothing.
#[test]
fn auth_17_an_absent_level_is_not_compared() {
    for version in EVERY_VERSION {
        let mut room = Room::new(version);
        let levels = json!({ "users": { MODERATOR: 40 }, "events": { POWER_LEVELS: 40 } });
        room.put(CREATOR, POWER_LEVELS, "", levels.clone());
        let mut lower = levels.clone();
        lower["ban"] = 40.into();
        let state = room.state.clone();
        let event = room.make(&state, MODERATOR, POWER_LEVELS, Some(""), lower.clone());
        assert_eq!(rule(judge_by_us_alone(&room, &event)), None);
        // The same value as the default is an alteration all the same.
        lower["ban"] = 50.into();
        let denied = judge(&mut room, MODERATOR, POWER_LEVELS, Some(""), lower).unwrap_err();
        let reason = Reason::LevelChange {
            what: "ban".into(),
            from: None,
            to: Some(50),
            sender: PowerLevel::Level(40),
        };
        assert_eq!(denied.reason(), &reason);
    }
}

/// `notifications` from version 6 on; before, who may send power levels may set them as they like.
#[test]
fn auth_15_7_and_8_entries_of_lists_change_within_the_senders_power() {
    for version in EVERY_VERSION {
        for list in ["events", "notifications"] {
            let guarded = list == "events" || number(version) >= 6;
            let with = |level: Option<i64>| {
                let mut levels = Room::new(version).usual_levels();
                levels[list] = match level {
                    Some(level) => json!({ "x": level, "y": 99 }),
                    None => json!({ "y": 99 }),
                };
                levels
            };
            for (before, after, change) in CHANGES {
                let verdict = change_levels(version, with(before), with(after));
                let expected = change.denied_by(Rule::LevelsListCurrent, Rule::LevelsListNew);
                assert_eq!(
                    rule(verdict),
                    expected.filter(|_| guarded),
                    "{version} {list} {before:?} {after:?}"
                );
            }
        }
    }
}

#[test]
fn auth_15_9_and_10_users_change_below_the_sender() {
    const CURRENT: Option<Rule> = Some(Rule::LevelsUserCurrent);
    const NEW: Option<Rule> = Some(Rule::LevelsUserNew);
    for version in EVERY_VERSION {
        let with = |who: &str, level: Option<i64>| {
            let mut levels = Room::new(version).usual_levels();
            levels["users"].as_object_mut().unwrap().remove(who);
            if let Some(level) = level {
                levels["users"][who] = level.into();
            }
            levels
        };
        for (who, before, after, expected) in [
            (ALICE, Some(49), Some(0), None),
            (ALICE, Some(49), Some(50), None),
            (ALICE, Some(49), None, None),
            (ALICE, None, Some(50), None),
            (ALICE, None, Some(51), NEW),
            (ALICE, Some(0), Some(51), NEW),
            (ALICE, Some(50), Some(0), CURRENT),
            (ALICE, Some(50), None, CURRENT),
            (ALICE, Some(60), Some(0), CURRENT),
            (ALICE, Some(60), Some(60), None),
            (MODERATOR, Some(50), Some(10), None),
            (MODERATOR, Some(50), None, None),
            (MODERATOR, Some(50), Some(51), NEW),
        ] {
            let verdict = change_levels(version, with(who, before), with(who, after));
            assert_eq!(
                rule(verdict),
                expected,
                "{version} {who} {before:?} {after:?}"
            );
        }
    }
}

#[test]
fn auth_17_absent_users_count_as_none() {
    for version in EVERY_VERSION {
        let usual = Room::new(version).usual_levels();
        let mut gone = usual.clone();
        gone.as_object_mut().unwrap().remove("users");
        // Before version 12 the creator's 100 goes with them.
        let expected = (number(version) < 12).then_some(Rule::LevelsUserCurrent);
        assert_eq!(rule(change_levels(version, usual, gone)), expected);
    }
}
