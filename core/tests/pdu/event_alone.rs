//! The authorisation rules that depend on an event and its auth events alone.

use std::sync::Arc;

use comity_core::pdu::{
    Pdu, RoomVersion, auth_events,
    authorisation::{AuthEvent, Rule, check_auth_events, check_state},
    build::reference_hashes,
    event_type::{CREATE, JOIN_RULES, MEMBER, POWER_LEVELS, THIRD_PARTY_INVITE},
};
use ruma_common::EventId;
use serde_json::{Value, json};

use crate::{
    EVERY_VERSION,
    judge::{number, rule},
    room::{ALICE, BOB, CREATOR, Room, object},
    ruma,
};

/// A create event with some keys of its own and of its content replaced.
fn create_event(version: RoomVersion, keys: Value, content: Value) -> Arc<Pdu> {
    let mut event = Room::created(version, content).create.object();
    event.extend(object(keys));
    Arc::new(Pdu::from_object(event, version).unwrap())
}

/// The rule that denies the create event, which must be as ruma says.
fn judge_create(event: &Arc<Pdu>) -> Option<Rule> {
    let ours = rule(check_auth_events(event, &[], None));
    let theirs = ruma::check_auth_events(event, &[]);
    assert_eq!(
        ours.is_none(),
        theirs.is_ok(),
        "{ours:?}, but ruma {theirs:?}"
    );
    ours
}

/// How an event of this version names another.
fn reference(version: RoomVersion, event_id: &str) -> Value {
    match number(version) {
        ..=2 => json!([event_id, { "sha256": "YWJj" }]),
        _ => json!(event_id),
    }
}

fn without(event: &Pdu, key: &str) -> Arc<Pdu> {
    let mut object = event.object();
    object["content"].as_object_mut().unwrap().remove(key);
    Arc::new(Pdu::from_object(object, event.room_version()).unwrap())
}

#[test]
fn auth_2_create_events_come_first() {
    for version in EVERY_VERSION {
        let plain = create_event(version, json!({}), json!({}));
        assert_eq!(judge_create(&plain), None);
        let before = json!({ "prev_events": [reference(version, "$x:a.example")] });
        let late = create_event(version, before, json!({}));
        assert_eq!(judge_create(&late), Some(Rule::CreatePrevEvents));
    }
}

/// Ruma leaves it to its caller to know the version. None at all counts as version 1.
#[test]
fn auth_2_create_events_are_of_the_version_they_are_judged_by() {
    for version in EVERY_VERSION {
        let judge = |event: &Arc<Pdu>| rule(check_auth_events(event, &[], None));
        let plain = create_event(version, json!({}), json!({}));
        for wrong in [json!("999"), json!("13"), json!(null), json!(11)] {
            let event = create_event(version, json!({}), json!({ "room_version": wrong }));
            assert_eq!(judge(&event), Some(Rule::CreateRoomVersion), "{wrong}");
        }
        let expected = (version != RoomVersion::V1).then_some(Rule::CreateRoomVersion);
        assert_eq!(judge(&without(&plain, "room_version")), expected);
    }
}

/// In version 12 the create event has no room id, and events that have one are dropped.
#[test]
fn auth_2_room_ids_before_version_12_are_of_the_creators_server() {
    for version in EVERY_VERSION
        .into_iter()
        .filter(|version| number(*version) < 12)
    {
        for room_id in ["!room:z.example", "!room"] {
            let foreign = create_event(version, json!({ "room_id": room_id }), json!({}));
            assert_eq!(judge_create(&foreign), Some(Rule::CreateRoomId));
        }
    }
}

#[test]
fn auth_2_create_events_up_to_version_10_name_the_creator() {
    for version in EVERY_VERSION {
        let nobody = without(&create_event(version, json!({}), json!({})), "creator");
        let expected = (number(version) <= 10).then_some(Rule::CreateCreator);
        assert_eq!(judge_create(&nobody), expected);
    }
}

#[test]
fn auth_2_additional_creators_of_version_12() {
    for version in EVERY_VERSION {
        for (creators, valid) in [
            (json!([]), true),
            (json!([ALICE, BOB]), true),
            (json!(ALICE), false),
            (json!(null), false),
            (json!([ALICE, 5]), false),
            (json!(["alice"]), false),
            (json!(["@alice"]), false),
        ] {
            let content = json!({ "additional_creators": creators });
            let event = create_event(version, json!({}), content);
            let wrong = !valid && number(version) == 12;
            let expected = wrong.then_some(Rule::CreateAdditionalCreators);
            assert_eq!(judge_create(&event), expected, "{version} {creators}");
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

    /// The usual auth events of the message, and these.
    fn usual_and(&self, more: &[&Arc<Pdu>]) -> Vec<Arc<Pdu>> {
        let usual = [self.levels.clone(), self.alice.clone()];
        let more = more.iter().map(|event| (*event).clone());
        usual
            .into_iter()
            .chain(self.create.clone())
            .chain(more)
            .collect()
    }

    /// The message with these auth events.
    fn message(&mut self, auth: &[Arc<Pdu>]) -> Arc<Pdu> {
        let state = self.room.state.clone();
        let mut template = self
            .room
            .template(&state, ALICE, "m.room.message", None, json!({}));
        let before = template.prev_events.iter();
        let before: Vec<_> = before.map(|id| self.room.events[id].clone()).collect();
        template.auth_events = auth
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect();
        template.reference_hashes = reference_hashes(auth.iter().chain(&before).map(|e| &**e));
        self.room.add(template)
    }

    /// What denies the message with these auth events, of which one was rejected.
    fn judge(&mut self, auth: &[Arc<Pdu>], rejected: Option<&EventId>) -> Option<Rule> {
        let event = self.message(auth);
        let judged = |event| AuthEvent {
            event,
            rejected: rejected == Some(Pdu::event_id(event)),
        };
        let auth: Vec<_> = auth.iter().map(|event| judged(event)).collect();
        let create = judged(&self.room.create);
        let ours = rule(check_auth_events(&event, &auth, Some(create)));
        let known: Vec<_> = auth.iter().copied().chain([create]).collect();
        let theirs = ruma::check_auth_events(&event, &known);
        assert_eq!(
            ours.is_none(),
            theirs.is_ok(),
            "{ours:?}, but ruma {theirs:?}"
        );
        ours
    }
}

#[test]
fn auth_4_no_key_twice() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        assert_eq!(with.judge(&with.usual_and(&[]), None), None);
        let again = with
            .room
            .put(ALICE, MEMBER, ALICE, json!({ "membership": "join" }));
        for other in [with.alice.clone(), again] {
            let verdict = with.judge(&with.usual_and(&[&other]), None);
            assert_eq!(verdict, Some(Rule::AuthEventsDuplicate));
        }
    }
}

#[test]
fn auth_4_nothing_that_the_event_does_not_need() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        let room = &mut with.room;
        let member = room.put(BOB, MEMBER, BOB, json!({ "membership": "join" }));
        let state = room.state.clone();
        let message = room.make(&state, ALICE, "m.room.message", None, json!({}));
        for other in [member, message] {
            let verdict = with.judge(&with.usual_and(&[&other]), None);
            assert_eq!(verdict, Some(Rule::AuthEventsSelection));
        }
    }
}

#[test]
fn auth_4_nothing_of_another_room() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        let mut foreign = with.levels.object();
        let room_id = "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        foreign.insert("room_id".into(), room_id.into());
        let foreign = Arc::new(Pdu::from_object(foreign, version).unwrap());
        with.levels = foreign;
        let verdict = with.judge(&with.usual_and(&[]), None);
        assert_eq!(verdict, Some(Rule::AuthEventsRoomId));
    }
}

/// PDU-11
#[test]
fn auth_4_nothing_that_was_rejected() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        let auth = with.usual_and(&[]);
        for event in &auth {
            let verdict = with.judge(&auth, Some(event.event_id()));
            assert_eq!(verdict, Some(Rule::AuthEventsRejected));
        }
    }
}

/// In version 12 the room id names it instead.
#[test]
fn auth_4_the_create_event_up_to_version_11_only() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        let auth = [with.levels.clone(), with.alice.clone()];
        if number(version) < 12 {
            assert_eq!(with.judge(&auth, None), Some(Rule::AuthEventsCreate));
            continue;
        }
        let create = with.room.create.clone();
        let verdict = with.judge(&with.usual_and(&[&create]), None);
        assert_eq!(verdict, Some(Rule::AuthEventsSelection));
        let verdict = with.judge(&auth, Some(create.event_id()));
        assert_eq!(verdict, Some(Rule::RoomId));
    }
}

#[test]
fn auth_3_the_room_id_of_version_12_names_a_known_create_event() {
    let mut room = Room::new(RoomVersion::V12);
    let other = Room::created(RoomVersion::V12, json!({ "x": 1 })).create;
    let state = room.state.clone();
    let event = room.make(&state, ALICE, "m.room.message", None, json!({}));
    let view = room.view(&state);
    let judged = |event| AuthEvent {
        event,
        rejected: false,
    };
    let auth: Vec<_> = view.iter().map(|event| judged(event)).collect();
    let judge = |auth: &[AuthEvent<'_>], create: Option<&Arc<Pdu>>| {
        let create = create.map(|event| AuthEvent {
            event,
            rejected: false,
        });
        rule(check_auth_events(&event, auth, create))
    };
    assert_eq!(judge(&auth, Some(&room.create)), None);
    assert_eq!(judge(&auth, None), Some(Rule::RoomId));
    assert_eq!(judge(&auth, Some(&other)), Some(Rule::RoomId));
    // An auth event that the caller does not hold allows nothing.
    assert_eq!(
        judge(&auth[..1], Some(&room.create)),
        Some(Rule::AuthEvents)
    );
}

/// What the event names is no matter of the state it is judged by, and what the state says of its
/// sender is none of the event alone.
#[test]
fn auth_21_the_event_alone_and_each_state_are_judged_apart() {
    for version in EVERY_VERSION {
        let mut with = WithAuth::new(version);
        let (good, bad) = (with.usual_and(&[]), with.usual_and(&[&with.alice]));
        let joined = with.room.view(&with.room.state);
        with.room
            .put(CREATOR, MEMBER, ALICE, json!({ "membership": "ban" }));
        let banned = with.room.view(&with.room.state);
        for (auth, alone) in [(&good, None), (&bad, Some(Rule::AuthEventsDuplicate))] {
            assert_eq!(with.judge(auth, None), alone);
            let event = with.message(auth);
            let by_state = |state| rule(check_state(&event, &with.room.create, state));
            assert_eq!(by_state(&joined), None);
            assert_eq!(by_state(&banned), Some(Rule::Sender));
        }
    }
}

#[test]
fn pdu_25_auth_events_are_selected_by_type_and_membership() {
    for version in EVERY_VERSION {
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
            if number(version) < 12 {
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
        // Nobody can vouch for a join before version 8.
        let via = json!({ "membership": "join", "join_authorised_via_users_server": CREATOR });
        let creator = format!("{MEMBER} {CREATOR}");
        let expected = match number(version) {
            ..8 => usual(&[rules]),
            _ => usual(&[rules, creator]),
        };
        assert_eq!(selected(MEMBER, Some(ALICE), via), expected);
        assert_eq!(
            auth_events::select(&*room.create, version)
                .entries()
                .count(),
            0
        );
    }
}
