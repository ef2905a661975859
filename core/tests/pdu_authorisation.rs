//! The authorisation rules, each with a case that it allows and cases that it denies. Every verdict
//! is compared with ruma's, except where a test says that the two read the specification differently.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod pdu_room;

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, auth_events,
    authorisation::{
        AuthEvent, Denied, Membership, NamedLevel, PowerLevel, PowerLevels, ThirdPartyInviteDenied,
        check_auth_events, check_state, may_redact,
    },
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
    signing::sign_json,
    unpadded_base64,
};
use pdu_room::{ALICE, BOB, CREATOR, MODERATOR, Room, key, object, ruma, user};
use serde_json::{Value, json};

const VERSIONS: [RoomVersion; 3] = [RoomVersion::V10, RoomVersion::V11, RoomVersion::V12];
const NOBODY: &str = "@nobody:d.example";

type Verdict = Result<(), Denied>;

/// The verdict on an event that follows the room's present state.
fn judge(
    room: &mut Room,
    sender: &str,
    event_type: &str,
    key: Option<&str>,
    content: Value,
) -> Verdict {
    let state = room.state.clone();
    let event = room.make(&state, sender, event_type, key, content);
    judge_event(room, &event)
}

fn judge_event(room: &Room, event: &Arc<Pdu>) -> Verdict {
    let ours = judge_by_us_alone(room, event);
    let theirs = ruma::check_state(event, &room.view(&room.state));
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "{ours:?}, but ruma {theirs:?}: {}",
        event.json()
    );
    ours
}

fn judge_by_us_alone(room: &Room, event: &Arc<Pdu>) -> Verdict {
    let verdict = check_state(event, &room.create, &room.view(&room.state));
    // The part of the state that the rules say they need must be all that they look at.
    let needed = auth_events::needed_state(&**event, room.version);
    let part: Vec<_> = needed
        .iter()
        .filter_map(|key| room.state.get_key(key))
        .collect();
    let part: Vec<_> = part.into_iter().map(|id| room.events[id].clone()).collect();
    assert_eq!(check_state(event, &room.create, &part), verdict);
    verdict
}

fn member(room: &mut Room, sender: &str, target: &str, content: Value) -> Verdict {
    judge(room, sender, MEMBER, Some(target), content)
}

fn join(room: &mut Room, user: &str) -> Verdict {
    member(room, user, user, json!({ "membership": "join" }))
}

/// A room in whose state these users have these memberships.
fn room_with(version: RoomVersion, memberships: &[(&str, &str)]) -> Room {
    let mut room = Room::new(version);
    for (user, membership) in memberships {
        room.put(CREATOR, MEMBER, user, json!({ "membership": membership }));
    }
    room
}

fn set_join_rule(room: &mut Room, rule: Value) {
    room.put(CREATOR, JOIN_RULES, "", json!({ "join_rule": rule }));
}

fn set_level(room: &mut Room, name: &str, level: i64) {
    let mut levels = room.usual_levels();
    levels[name] = level.into();
    room.put(CREATOR, POWER_LEVELS, "", levels);
}

fn levels_of(room: &Room) -> PowerLevels<'_> {
    let levels = room.state.get(POWER_LEVELS, "").map(|id| &*room.events[id]);
    PowerLevels::new(&room.create, levels)
}

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
        room.put(CREATOR, POWER_LEVELS, "", json!({
            "users_default": 7, "users": { ALICE: 8 }, "events": { "x": 9 }, "state_default": 1, "events_default": 2,
        }));
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

/// A create event with some keys of its own and of its content replaced.
fn create_event(version: RoomVersion, keys: Value, content: Value) -> Arc<Pdu> {
    let mut event = Room::created(version, content).create.object();
    event.extend(object(keys));
    Arc::new(Pdu::from_object(event, version).unwrap())
}

fn judge_create(event: &Arc<Pdu>) -> Verdict {
    check_auth_events(event, &[], None)
}

#[test]
fn auth_2_create_events() {
    for version in VERSIONS {
        let plain = create_event(version, json!({}), json!({}));
        assert_eq!(judge_create(&plain), Ok(()));
        assert_eq!(ruma::check_auth_events(&plain, &[]), Ok(()));
        let late = create_event(version, json!({ "prev_events": ["$x"] }), json!({}));
        assert_eq!(judge_create(&late), Err(Denied::CreateWithPrevEvents(1)));
        assert!(ruma::check_auth_events(&late, &[]).is_err());
        for wrong in [json!("999"), json!("1"), json!(null), json!(11)] {
            let event = create_event(version, json!({}), json!({ "room_version": wrong }));
            assert!(
                matches!(judge_create(&event), Err(Denied::CreateOfOtherVersion(_))),
                "{wrong}"
            );
        }
        let mut absent = plain.object();
        absent["content"]
            .as_object_mut()
            .unwrap()
            .remove("room_version");
        let absent = Arc::new(Pdu::from_object(absent, version).unwrap());
        assert_eq!(
            judge_create(&absent),
            Err(Denied::CreateOfOtherVersion("1".into()))
        );
    }
}

#[test]
fn auth_2_room_id_and_creator_before_version_12() {
    for version in [RoomVersion::V10, RoomVersion::V11] {
        for room_id in ["!room:z.example", "!room"] {
            let foreign = create_event(version, json!({ "room_id": room_id }), json!({}));
            assert!(matches!(
                judge_create(&foreign),
                Err(Denied::CreateForForeignRoom { .. })
            ));
            assert!(ruma::check_auth_events(&foreign, &[]).is_err());
        }
        let mut nobody = create_event(version, json!({}), json!({})).object();
        nobody["content"].as_object_mut().unwrap().remove("creator");
        let nobody = Arc::new(Pdu::from_object(nobody, version).unwrap());
        let expected = match version.rules().creator_in_content {
            true => Err(Denied::CreateWithoutCreator),
            false => Ok(()),
        };
        assert_eq!(judge_create(&nobody), expected);
        assert_eq!(
            ruma::check_auth_events(&nobody, &[]).is_ok(),
            expected.is_ok()
        );
    }
}

#[test]
fn auth_2_additional_creators_of_version_12() {
    for version in VERSIONS {
        for (creators, valid) in [
            (json!([]), true),
            (json!([ALICE, BOB]), true),
            (json!(ALICE), false),
            (json!(null), false),
            (json!([ALICE, 5]), false),
            (json!(["alice"]), false),
            (json!(["@alice"]), false),
        ] {
            let event = create_event(
                version,
                json!({}),
                json!({ "additional_creators": creators }),
            );
            let expected = match valid || version != RoomVersion::V12 {
                true => Ok(()),
                false => Err(Denied::AdditionalCreators),
            };
            assert_eq!(judge_create(&event), expected, "{version} {creators}");
            assert_eq!(
                ruma::check_auth_events(&event, &[]).is_ok(),
                expected.is_ok()
            );
        }
    }
}

/// The verdict on a message of Alice with these auth events.
fn judge_with_auth(room: &mut Room, auth: &[AuthEvent<'_>], create_rejected: bool) -> Verdict {
    let state = room.state.clone();
    let mut template = room.template(&state, ALICE, "m.room.message", None, json!({}));
    template.auth_events = auth
        .iter()
        .map(|auth| auth.event.event_id().to_owned())
        .collect();
    let event = room.add(template);
    let create = AuthEvent {
        event: &room.create,
        rejected: create_rejected,
    };
    let ours = check_auth_events(&event, auth, Some(create));
    let known: Vec<_> = auth.iter().copied().chain([create]).collect();
    let theirs = ruma::check_auth_events(&event, &known);
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "{ours:?}, but ruma {theirs:?}"
    );
    ours
}

/// AUTH-3, AUTH-4, PDU-11
#[test]
fn auth_4_auth_events() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let state_event = |room: &Room, event_type, key| {
            room.events[room.state.get(event_type, key).unwrap()].clone()
        };
        let create = room.create.clone();
        let levels = state_event(&room, POWER_LEVELS, "");
        let alice = state_event(&room, MEMBER, ALICE);
        let moderator = state_event(&room, MEMBER, MODERATOR);
        let accepted = |event| AuthEvent {
            event,
            rejected: false,
        };
        let mut usual = vec![accepted(&levels), accepted(&alice)];
        if !version.rules().room_id_is_create_event {
            usual.push(accepted(&create));
        }
        assert_eq!(judge_with_auth(&mut room, &usual, false), Ok(()));

        let rejected = AuthEvent {
            event: &alice,
            rejected: true,
        };
        let with = |event| usual.iter().copied().chain([event]).collect::<Vec<_>>();
        let mut with_rejected = with(rejected);
        with_rejected.remove(1);
        assert_eq!(
            judge_with_auth(&mut room, &with_rejected, false),
            Err(Denied::RejectedAuthEvent(alice.event_id().to_owned()))
        );
        let duplicate = room.make(
            &room.state.clone(),
            ALICE,
            MEMBER,
            Some(ALICE),
            json!({ "membership": "join" }),
        );
        for other in [&alice, &duplicate] {
            assert_eq!(
                judge_with_auth(&mut room, &with(accepted(other)), false),
                Err(Denied::DuplicateAuthEvent(StateKey::new(MEMBER, ALICE)))
            );
        }
        let message = room.make(
            &room.state.clone(),
            ALICE,
            "m.room.message",
            None,
            json!({}),
        );
        for other in [&moderator, &message] {
            assert_eq!(
                judge_with_auth(&mut room, &with(accepted(other)), false),
                Err(Denied::UnexpectedAuthEvent(other.event_id().to_owned()))
            );
        }
        let mut foreign = levels.object();
        foreign.insert(
            "room_id".into(),
            "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        );
        let foreign = Pdu::from_object(foreign, version).unwrap();
        assert!(matches!(
            judge_with_auth(&mut room, &with(accepted(&foreign)), false),
            Err(Denied::ForeignAuthEvent(..))
        ));
        if version == RoomVersion::V12 {
            assert!(matches!(
                judge_with_auth(&mut room, &with(accepted(&create)), false),
                Err(Denied::UnexpectedAuthEvent(_))
            ));
            assert!(matches!(
                judge_with_auth(&mut room, &usual, true),
                Err(Denied::RejectedCreateEvent(_))
            ));
        } else {
            usual.pop();
            assert_eq!(
                judge_with_auth(&mut room, &usual, false),
                Err(Denied::NoCreateEvent)
            );
        }
    }
}

#[test]
fn auth_3_the_room_id_of_version_12_names_a_known_create_event() {
    let mut room = Room::new(RoomVersion::V12);
    let other = Room::created(RoomVersion::V12, json!({ "x": 1 })).create;
    let event = room.make(
        &room.state.clone(),
        ALICE,
        "m.room.message",
        None,
        json!({}),
    );
    let auth: Vec<_> = room.view(&room.state);
    let auth: Vec<_> = auth
        .iter()
        .map(|event| AuthEvent {
            event,
            rejected: false,
        })
        .collect();
    assert_eq!(
        check_auth_events(
            &event,
            &auth,
            Some(AuthEvent {
                event: &room.create,
                rejected: false
            })
        ),
        Ok(())
    );
    for wrong in [
        None,
        Some(AuthEvent {
            event: &other,
            rejected: false,
        }),
    ] {
        let verdict = check_auth_events(&event, &auth, wrong);
        assert_eq!(
            verdict,
            Err(Denied::UnknownCreateEvent(event.room_id().to_owned()))
        );
    }
    assert!(matches!(
        check_auth_events(
            &event,
            &auth[..1],
            Some(AuthEvent {
                event: &room.create,
                rejected: false
            })
        ),
        Err(Denied::UnknownAuthEvent(_))
    ));
}

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

/// The verdict on Bob's invite that follows from a third-party invite of Alice.
fn third_party_invite(
    version: RoomVersion,
    invite: Value,
    sender: &str,
    token: &str,
    alter: impl Fn(&mut Value),
) -> Verdict {
    let mut room = Room::new(version);
    room.put(ALICE, THIRD_PARTY_INVITE, token, invite);
    room.put(CREATOR, MEMBER, ALICE, json!({ "membership": "leave" }));
    let mut signed = object(json!({ "mxid": BOB, "token": "token", "sender": "x" }));
    sign_json(&mut signed, "id.example".try_into().unwrap(), &key());
    let mut content = json!({ "membership": "invite", "third_party_invite": { "display_name": "b", "signed": signed } });
    alter(&mut content);
    member(&mut room, sender, BOB, content)
}

fn wrong(reason: ThirdPartyInviteDenied) -> Verdict {
    Err(Denied::ThirdPartyInvite(reason))
}

#[test]
fn auth_10_third_party_invites() {
    let public_key = unpadded_base64::encode(&key().public_key());
    let other_key = unpadded_base64::encode(&[9; 32]);
    let url_safe = unpadded_base64::encode_url_safe(&key().public_key());
    for version in VERSIONS {
        for good in [
            json!({ "public_key": public_key }),
            json!({ "public_key": url_safe }),
            json!({ "public_key": other_key, "public_keys": [{ "public_key": public_key }] }),
            json!({ "public_keys": [{ "public_key": other_key }, { "public_key": public_key, "key_validity_url": "x" }] }),
        ] {
            // Alice has left the room and had no power: it does not matter.
            let good = match good.get("public_key") {
                Some(_) => good,
                None => {
                    let mut good = good;
                    good["public_key"] = other_key.clone().into();
                    good
                }
            };
            assert_eq!(
                third_party_invite(version, good.clone(), ALICE, "token", |_| ()),
                Ok(()),
                "{good}"
            );
        }
        let good = json!({ "public_key": public_key });
        let judge = |alter: &dyn Fn(&mut Value)| {
            third_party_invite(version, good.clone(), ALICE, "token", alter)
        };
        assert_eq!(
            judge(&|c| c["third_party_invite"] = json!({})),
            wrong(ThirdPartyInviteDenied::Malformed)
        );
        for key in ["mxid", "token"] {
            let verdict = judge(&|c| {
                drop(
                    c["third_party_invite"]["signed"]
                        .as_object_mut()
                        .unwrap()
                        .remove(key),
                )
            });
            assert_eq!(verdict, wrong(ThirdPartyInviteDenied::Malformed));
        }
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["mxid"] = ALICE.into()),
            wrong(ThirdPartyInviteDenied::OtherUser)
        );
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["sender"] = "y".into()),
            wrong(ThirdPartyInviteDenied::Signature)
        );
        assert_eq!(
            judge(&|c| c["third_party_invite"]["signed"]["signatures"] = json!({})),
            wrong(ThirdPartyInviteDenied::Signature)
        );
        let verdict =
            |invite, sender, token| third_party_invite(version, invite, sender, token, |_| ());
        assert_eq!(
            verdict(good.clone(), ALICE, "other"),
            wrong(ThirdPartyInviteDenied::UnknownToken)
        );
        assert_eq!(
            verdict(good.clone(), MODERATOR, "token"),
            wrong(ThirdPartyInviteDenied::OtherSender)
        );
        assert_eq!(
            verdict(json!({ "public_key": other_key }), ALICE, "token"),
            wrong(ThirdPartyInviteDenied::Signature)
        );
    }
}

#[test]
fn auth_10_a_banned_user_cannot_be_invited_by_third_party_either() {
    let mut room = room_with(RoomVersion::V11, &[(BOB, "ban")]);
    let content = json!({ "membership": "invite", "third_party_invite": { "signed": { "mxid": BOB, "token": "t" } } });
    assert!(matches!(
        member(&mut room, ALICE, BOB, content),
        Err(Denied::Membership {
            membership: Membership::Ban,
            ..
        })
    ));
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
                json!({ "users": { ALICE: 5 }, "events": { "x": 1 }, "notifications": { "room": 2 }, "ban": -3 })
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

#[test]
fn pdu_25_auth_events_are_selected_by_type_and_membership() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let mut selected = |event_type: &str, key: Option<&str>, content: Value| {
            let event = room.make(&room.state.clone(), ALICE, event_type, key, content);
            let keys = auth_events::select(&*event, version);
            keys.iter()
                .map(|key| format!("{} {}", key.event_type, key.state_key))
                .collect::<Vec<_>>()
        };
        let usual = |more: &[String]| {
            let mut keys = vec![format!("{POWER_LEVELS} "), format!("{MEMBER} {ALICE}")];
            if version != RoomVersion::V12 {
                keys.push(format!("{CREATE} "));
            }
            keys.extend_from_slice(more);
            keys.sort();
            keys
        };
        let (bob, rules) = (format!("{MEMBER} {BOB}"), format!("{JOIN_RULES} "));
        assert_eq!(selected("m.room.message", None, json!({})), usual(&[]));
        assert_eq!(
            selected(MEMBER, Some(ALICE), json!({ "membership": "leave" })),
            usual(&[])
        );
        assert_eq!(
            selected(MEMBER, Some(BOB), json!({ "membership": "ban" })),
            usual(std::slice::from_ref(&bob))
        );
        for membership in ["join", "invite", "knock"] {
            let content = json!({ "membership": membership });
            assert_eq!(
                selected(MEMBER, Some(BOB), content),
                usual(&[bob.clone(), rules.clone()])
            );
        }
        let invite =
            json!({ "membership": "invite", "third_party_invite": { "signed": { "token": "t" } } });
        let token = format!("{THIRD_PARTY_INVITE} t");
        assert_eq!(
            selected(MEMBER, Some(BOB), invite.clone()),
            usual(&[bob.clone(), rules.clone(), token])
        );
        let via = json!({ "membership": "join", "join_authorised_via_users_server": CREATOR });
        let creator = format!("{MEMBER} {CREATOR}");
        assert_eq!(selected(MEMBER, Some(ALICE), via), usual(&[rules, creator]));
        assert!(auth_events::select(&*room.create, version).is_empty());
    }
}

#[test]
fn pdu_27_redactions_need_the_level_or_the_same_server() {
    for version in VERSIONS {
        let mut room = room_with(version, &[(BOB, "join"), ("@carol:b.example", "join")]);
        let message = room.make(
            &room.state.clone(),
            ALICE,
            "m.room.message",
            None,
            json!({}),
        );
        let create = room.create.clone();
        let mut redact = |sender: &str, target: &Arc<Pdu>, of: &Arc<Pdu>| {
            let mut template = room.template(
                &room.state.clone(),
                sender,
                "m.room.redaction",
                None,
                json!({}),
            );
            template.redacts = Some(of.event_id().to_owned());
            let redaction = room.add(template);
            may_redact(&redaction, target, &levels_of(&room))
        };
        assert!(redact(ALICE, &message, &message));
        assert!(redact("@carol:b.example", &message, &message));
        assert!(redact(MODERATOR, &message, &message));
        assert!(!redact(BOB, &message, &message));
        assert!(
            !redact(MODERATOR, &message, &create),
            "another event is meant"
        );
        assert!(!redact(CREATOR, &create, &create));
        let elsewhere = Room::created(version, json!({ "x": 1 }));
        if version == RoomVersion::V12 {
            assert!(!redact(CREATOR, &elsewhere.create, &elsewhere.create));
        }
    }
}
