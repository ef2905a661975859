//! The authorisation rules that depend on an event and its auth events alone.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, StateKey, auth_events,
    authorisation::{AuthEvent, Denied, check_auth_events},
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
};
use ruma_common::EventId;
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    judge::Verdict,
    room::{ALICE, BOB, CREATOR, Room, object},
    ruma,
};

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

/// A room, and the auth events that a message of Alice has there.
struct WithAuth {
    room: Room,
    levels: Arc<Pdu>,
    alice: Arc<Pdu>,
    /// The create event, where auth events list it.
    create: Option<Arc<Pdu>>,
}

impl WithAuth {
    fn new(version: RoomVersion) -> Self {
        let room = Room::new(version);
        let entry = |event_type, key| room.events[room.state.get(event_type, key).unwrap()].clone();
        let (levels, alice) = (entry(POWER_LEVELS, ""), entry(MEMBER, ALICE));
        let create = (!version.rules().room_id_is_create_event).then(|| room.create.clone());
        Self {
            room,
            levels,
            alice,
            create,
        }
    }

    /// The verdict on the message with the usual auth events and these.
    fn judge_and(&mut self, more: &[&Arc<Pdu>]) -> Verdict {
        let usual = [self.levels.clone(), self.alice.clone()];
        let all: Vec<_> = usual
            .into_iter()
            .chain(self.create.clone())
            .chain(more.iter().map(|e| (*e).clone()))
            .collect();
        self.judge(&all, None)
    }

    /// The verdict on the message with these auth events, of which one was rejected.
    fn judge(&mut self, auth: &[Arc<Pdu>], rejected: Option<&EventId>) -> Verdict {
        let state = self.room.state.clone();
        let mut template = self
            .room
            .template(&state, ALICE, "m.room.message", None, json!({}));
        template.auth_events = auth
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect();
        let event = self.room.add(template);
        let judged = |event| AuthEvent {
            event,
            rejected: rejected == Some(Pdu::event_id(event)),
        };
        let auth: Vec<_> = auth.iter().map(|event| judged(event)).collect();
        let create = judged(&self.room.create);
        let ours = check_auth_events(&event, &auth, Some(create));
        let known: Vec<_> = auth.iter().copied().chain([create]).collect();
        let theirs = ruma::check_auth_events(&event, &known);
        assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{ours:?}, but ruma {theirs:?}"
        );
        ours
    }
}

#[test]
fn auth_4_no_key_twice() {
    for version in VERSIONS {
        let mut with = WithAuth::new(version);
        assert_eq!(with.judge_and(&[]), Ok(()));
        let again = with
            .room
            .put(ALICE, MEMBER, ALICE, json!({ "membership": "join" }));
        for other in [with.alice.clone(), again] {
            let denied = Denied::DuplicateAuthEvent(StateKey::new(MEMBER, ALICE));
            assert_eq!(with.judge_and(&[&other]), Err(denied));
        }
    }
}

#[test]
fn auth_4_nothing_that_the_event_does_not_need() {
    for version in VERSIONS {
        let mut with = WithAuth::new(version);
        let member = with
            .room
            .put(BOB, MEMBER, BOB, json!({ "membership": "join" }));
        let state = with.room.state.clone();
        let message = with
            .room
            .make(&state, ALICE, "m.room.message", None, json!({}));
        for other in [member, message] {
            let denied = Denied::UnexpectedAuthEvent(other.event_id().to_owned());
            assert_eq!(with.judge_and(&[&other]), Err(denied));
        }
    }
}

#[test]
fn auth_4_nothing_of_another_room() {
    for version in VERSIONS {
        let mut with = WithAuth::new(version);
        let mut foreign = with.levels.object();
        let room_id = "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        foreign.insert("room_id".into(), room_id.into());
        let foreign = Arc::new(Pdu::from_object(foreign, version).unwrap());
        assert!(matches!(
            with.judge_and(&[&foreign]),
            Err(Denied::ForeignAuthEvent(..))
        ));
    }
}

/// PDU-11
#[test]
fn auth_4_nothing_that_was_rejected() {
    for version in VERSIONS {
        let mut with = WithAuth::new(version);
        let auth = [
            with.levels.clone(),
            with.alice.clone(),
            with.room.create.clone(),
        ];
        let auth = if with.create.is_some() {
            &auth[..]
        } else {
            &auth[..2]
        };
        assert_eq!(with.judge(auth, None), Ok(()));
        let alice = with.alice.event_id().to_owned();
        assert_eq!(
            with.judge(auth, Some(&alice)),
            Err(Denied::RejectedAuthEvent(alice.clone()))
        );
    }
}

#[test]
fn auth_4_the_create_event_up_to_version_11_only() {
    for version in VERSIONS {
        let mut with = WithAuth::new(version);
        let create = with.room.create.clone();
        let auth = [with.levels.clone(), with.alice.clone()];
        if version == RoomVersion::V12 {
            let denied = Denied::UnexpectedAuthEvent(create.event_id().to_owned());
            assert_eq!(with.judge_and(&[&create]), Err(denied));
            let denied = Denied::RejectedCreateEvent(create.event_id().to_owned());
            assert_eq!(with.judge(&auth, Some(create.event_id())), Err(denied));
        } else {
            assert_eq!(with.judge(&auth, None), Err(Denied::NoCreateEvent));
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
fn pdu_25_auth_events_are_selected_by_type_and_membership() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let mut selected = |event_type: &str, key: Option<&str>, content: Value| {
            let event = room.make(&room.state.clone(), ALICE, event_type, key, content);
            let keys = auth_events::select(&*event, version);
            keys.entries()
                .map(|(event_type, key)| format!("{event_type} {key}"))
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
        assert_eq!(
            auth_events::select(&*room.create, version)
                .entries()
                .count(),
            0
        );
    }
}
