//! What a peer may not have: a hearing without proof of who it is, a signature under nonsense, and
//! anything of a room that it is not in.

use comity_core::{
    messaging::{command::Preset, notice::Question},
    pdu::{Pdu, RoomVersion},
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::{Liar, Network};
use http::{Request, header::AUTHORIZATION};
use ruma_common::OwnedEventId;
use serde_json::{Value, json};

use crate::{
    forger::{Forger, altered, body, eve, infiltrate, lied_to, list, signed},
    stage::{Stage, VERSIONS, room, user},
};

/// A request of the liar for a profile, with this `Authorization` header.
fn profile_request(header: Option<&str>) -> Request<bytes::Bytes> {
    let mut request = Request::get("/_matrix/federation/v1/query/profile?user_id=%40ann%3Aone");
    if let Some(header) = header {
        request = request.header(AUTHORIZATION, header);
    }
    request.body(bytes::Bytes::new()).unwrap()
}

/// ERR-2.
#[test]
fn xmtx_9_requests_that_prove_no_sender_are_401() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let signature = "A".repeat(86);
    let header = |destination: &str| {
        format!(
            r#"X-Matrix origin="liar",destination="{destination}",key="ed25519:liar",sig="{signature}""#
        )
    };
    for (header, status) in [
        (None, 401),
        (Some(header("one")), 401),
        (Some(header("two")), 401),
        (Some("X-Matrix nonsense".to_owned()), 400),
    ] {
        let request = profile_request(header.as_deref());
        let response = stage.network.ask_with("liar", "one", request);
        assert_eq!(response.status().as_u16(), status, "{header:?}");
        assert_eq!(body(&response)["errcode"], "M_UNAUTHORIZED");
    }
}

/// XMTX-8.
#[test]
fn key_8_a_request_signed_with_an_expired_key_is_401() {
    let mut network = Network::of(&["one"]);
    let mut liar = Liar::new("liar");
    liar.keys_expire_at = Some(network.now().wall.0 - 1);
    network.add_liar(liar);
    let ask = Endpoint::Question(Question::Profile(user("one")));
    let response = network.ask("liar", "one", ask.clone());
    assert_eq!(response.status().as_u16(), 401);
    network.liar("liar").keys_expire_at = None;
    network.pass(std::time::Duration::from_secs(2 * 60 * 60));
    let response = network.ask("liar", "one", ask);
    assert_eq!(response.status().as_u16(), 404);
}

#[test]
fn invite_5_what_is_no_proper_invite_is_not_signed() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let invite = |target: &str, membership: &str| {
        let content = json!({ "membership": membership });
        forger.event("m.room.member", Some(target), content)
    };
    let good = invite("@zoe:one", "invite");
    let forged = altered(&good, |event| {
        event["signatures"]["liar"]["ed25519:liar"] = json!("A".repeat(86));
    });
    let said = Value::from(list(&forger.events));
    let request = |version: &str, event: &str| {
        format!(r#"{{"room_version":"{version}","event":{event},"invite_room_state":{said}}}"#)
    };
    let version = forger.version.as_str();
    let of_ann = altered(&good, |event| event["sender"] = json!("@ann:one"));
    let of_ann = Pdu::parse(&of_ann, forger.version).unwrap();
    let cases = [
        signed(&good, request(version, &forged)),
        signed(&good, request("org.example.99", good.json())),
        signed(&good, request(version, forger.message("hi").json())),
        signed(&good, "{}".to_owned()),
        signed(&of_ann, request(version, of_ann.json())),
    ];
    let others = [
        invite("@bob:two", "invite"),
        invite("@zoe:one", "ban"),
        forger.message("hi"),
    ];
    let others = others.map(|event| signed(&event, request(version, event.json())));
    for case in cases.into_iter().chain(others) {
        let response = stage
            .network
            .ask("liar", "one", Endpoint::Invite(case.clone()));
        assert_eq!(response.status().as_u16(), 400, "{case:?}: {response:?}");
    }
    let case = signed(&good, request(version, good.json()));
    let response = stage.network.ask("liar", "one", Endpoint::Invite(case));
    let answer = body(&response);
    let signers = answer["event"]["signatures"].as_object().unwrap();
    assert!(signers.contains_key("one") && signers.contains_key("liar"));
}

/// INVITE-6: what is said of a room is kept as far as it can be of that room; where the room's id
/// tells which create event it has, that must be among it.
#[test]
fn invite_6_what_an_invite_says_of_its_room_must_be_of_that_room() {
    for (version, must_be_there) in [(RoomVersion::V11, false), (RoomVersion::V12, true)] {
        let mut stage = Stage::with(&["one"], room(version, Preset::Public));
        stage.network.add_liar(Liar::new("liar"));
        let own = stage.network.liar("liar").own.clone();
        let ours = infiltrate(&mut stage, version);
        let theirs = Forger::with_a_room(own, version);
        stage.room_id = theirs.room_id.clone();
        let content = json!({ "membership": "invite" });
        let invite = theirs.event("m.room.member", Some("@ann:one"), content);
        let whole = |forger: &Forger| Value::Object(forger.events[0].object());
        let altered = altered_content(whole(&theirs));
        let name = json!({ "type": "m.room.name", "state_key": "", "sender": "@eve:liar",
            "content": { "name": "Elsewhere" } });
        let stripped = json!({ "type": "m.room.create", "state_key": "", "sender": "@eve:liar",
            "content": {} });
        let foreign = Value::Object(ours.last.object());
        let mut invited = |said: &[&Value]| {
            let (event, said) = (invite.json(), json!(said));
            let request = format!(
                r#"{{"room_version":"{version}","event":{event},"invite_room_state":{said}}}"#
            );
            let endpoint = Endpoint::Invite(signed(&invite, request));
            let response = stage.network.ask("liar", "one", endpoint);
            (
                response.status().as_u16(),
                body(&response)["errcode"].clone(),
            )
        };
        for said in [
            vec![],
            vec![&name],
            vec![&stripped],
            vec![&whole(&ours)],
            vec![&altered],
        ] {
            let answered = invited(&said);
            let expected = match must_be_there {
                true => (400, json!("M_INVALID_PARAM")),
                false => (200, Value::Null),
            };
            assert_eq!(answered, expected, "{version}: {said:?}");
        }
        let create = whole(&theirs);
        let answered = invited(&[&create, &json!(17), &name, &foreign, &altered]);
        assert_eq!(answered, (200, Value::Null), "{version}");
        let known = stage.own_membership("one").unwrap();
        assert_eq!(known.stripped_state, [create, name], "{version}");
    }
}

/// The event with other content than was hashed.
fn altered_content(mut event: Value) -> Value {
    event["content"]["m.federate"] = json!(true);
    event
}

#[test]
fn statereq_2_outsiders_may_read_nothing() {
    for version in VERSIONS {
        let mut stage = Stage::with(&["one"], room(version, Preset::Public));
        let event_id = stage.say("one", "between us");
        stage.network.add_liar(Liar::new("liar"));
        let room_id = stage.room_id.clone();
        let missing = |latest: Vec<ruma_common::OwnedEventId>| Endpoint::MissingEvents {
            room_id: room_id.clone(),
            earliest: Vec::new(),
            latest,
            limit: 10,
            min_depth: 0,
        };
        let questions = [
            Endpoint::Event(event_id.clone()),
            Endpoint::State(room_id.clone(), event_id.clone()),
            Endpoint::EventAuth(room_id.clone(), event_id.clone()),
            Endpoint::Backfill {
                room_id: room_id.clone(),
                from: vec![event_id.clone()],
                limit: 10,
            },
            missing(vec![event_id.clone()]),
        ];
        for question in questions {
            let response = stage.network.ask("liar", "one", question.clone());
            assert_eq!(response.status().as_u16(), 403, "{question:?}");
            assert_eq!(body(&response)["errcode"], "M_FORBIDDEN");
        }
    }
}

/// The ids of the events in a part of an answer.
fn ids(answer: &Value, part: &str, version: RoomVersion) -> Vec<OwnedEventId> {
    let events = answer[part].as_array().unwrap().iter();
    events
        .map(|event| {
            Pdu::parse(event.to_string(), version)
                .unwrap()
                .event_id()
                .to_owned()
        })
        .collect()
}

/// MISSING-2: oldest first.
#[test]
fn a_member_may_read_state_authorisation_and_history() {
    for version in VERSIONS {
        let (mut stage, forger) = lied_to(version);
        let said: Vec<_> = (0..5)
            .map(|number| stage.say("one", &number.to_string()))
            .collect();
        let room_id = stage.room_id.clone();
        let mut ask = |question| body(&stage.network.ask("liar", "one", question));
        let create = forger.state.get("m.room.create", "").unwrap().to_owned();

        let state = ask(Endpoint::State(room_id.clone(), said[4].clone()));
        let mut held = ids(&state, "pdus", version);
        held.sort();
        let mut expected: Vec<_> = forger.state.iter().map(|(_, id)| id.to_owned()).collect();
        expected.sort();
        assert_eq!(held, expected, "STATEREQ-1");
        assert!(ids(&state, "auth_chain", version).contains(&create));

        let chain = ask(Endpoint::EventAuth(room_id.clone(), said[4].clone()));
        let chain = ids(&chain, "auth_chain", version);
        assert!(
            chain.contains(&create) && !chain.contains(&said[4]),
            "EVENTAUTH-1"
        );

        let missing = ask(Endpoint::MissingEvents {
            room_id: room_id.clone(),
            earliest: vec![said[0].clone()],
            latest: vec![said[4].clone()],
            limit: 10,
            min_depth: 0,
        });
        assert_eq!(ids(&missing, "events", version), said[1..4], "MISSING-1");

        let mut backfill = |limit| {
            let from = vec![said[4].clone()];
            let question = Endpoint::Backfill {
                room_id: room_id.clone(),
                from,
                limit,
            };
            ids(&ask(question), "pdus", version)
        };
        let newest: Vec<_> = said.iter().rev().take(3).cloned().collect();
        assert_eq!(backfill(3), newest, "BACKFILL-1");
        assert_eq!(backfill(1000).last(), Some(&create), "BACKFILL-3");
    }
}

#[test]
fn join_10_what_is_no_proper_join_is_not_taken() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::DEFAULT, Preset::Private));
    stage.network.add_liar(Liar::new("liar"));
    let make = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    assert_eq!(
        stage.network.ask("liar", "one", make).status().as_u16(),
        403
    );
    let make = Endpoint::MakeJoin(stage.room_id.clone(), user("one"));
    assert_eq!(
        stage.network.ask("liar", "one", make).status().as_u16(),
        403
    );
    let make = Endpoint::MakeJoin("!nowhere:one".try_into().unwrap(), eve());
    assert_eq!(
        stage.network.ask("liar", "one", make).status().as_u16(),
        404
    );
}
