//! Endpoints as they were, as they may be asked, and what of them is refused to whom.

use std::collections::BTreeSet;

use bytes::Bytes;
use comity_core::{
    keys::OwnKeys,
    messaging::command::{CreateRoom, Preset},
    pdu::{Pdu, RoomVersion, build},
    transport::{
        remote_request::{Endpoint, SignedEvent},
        x_matrix::{XMatrix, signing_object},
    },
};
use comity_tests::simulation::Liar;
use http::{Method, Request, header::AUTHORIZATION};
use serde_json::{Value, json};

use crate::{
    forger::{body, eve, infiltrate, lied_to, list, signed},
    stage::{Stage, VERSIONS, initial, object, room, user},
};

/// A request of the liar to server `one`, signed, whatever it asks for.
fn request(own: &OwnKeys, method: Method, target: &str, content: Option<&Value>) -> Request<Bytes> {
    let uri: http::Uri = target.parse().unwrap();
    let one = "one".try_into().unwrap();
    let mut object = signing_object(&method, &uri, own.server_name(), one, content);
    own.sign(&mut object);
    let key_id = own.signing_key().key_id();
    let signature = &object["signatures"][own.server_name().as_str()][key_id];
    let header = XMatrix {
        origin: own.server_name().to_owned(),
        destination: Some(one.to_owned()),
        key: key_id.try_into().unwrap(),
        signature: signature.as_str().unwrap().to_owned(),
    };
    let body = content.map(Value::to_string).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(uri)
        .header(AUTHORIZATION, header.to_header_value().unwrap())
        .body(body.into())
        .unwrap()
}

/// A room with a liar who is not in it.
pub fn with_liar(room: CreateRoom) -> (Stage, OwnKeys) {
    let mut stage = Stage::with(&["one", "two", "three"], room);
    stage.network.add_liar(Liar::new("liar"));
    let own = stage.network.liar("liar").own.clone();
    (stage, own)
}

pub fn ask(
    stage: &mut Stage,
    method: Method,
    target: &str,
    content: Option<&Value>,
) -> (u16, Value) {
    let own = stage.network.liar("liar").own.clone();
    let request = request(&own, method, target, content);
    let answer = stage.network.ask_with("liar", "one", request);
    (answer.status().as_u16(), body(&answer))
}

/// A path below `/_matrix/federation/`, percent-encoded.
pub fn path(name: &str, segments: [&str; 2]) -> String {
    let segments = segments.map(comity_core::transport::path::path_segment);
    format!("/_matrix/federation/{name}/{}/{}", segments[0], segments[1])
}

/// Eve's membership from a template, signed.
pub fn completed(stage: &mut Stage, version: RoomVersion, endpoint: Endpoint) -> Pdu {
    let own = stage.network.liar("liar").own.clone();
    let made = body(&stage.network.ask("liar", "one", endpoint));
    let now = stage.network.now().wall.to_i64();
    let template = object(made["event"].clone());
    build::complete_template(template, now, version, own.server_name(), own.signing_key()).unwrap()
}

fn ids(events: &Value, version: RoomVersion) -> BTreeSet<String> {
    let events = events.as_array().unwrap().iter();
    let parsed = events.map(|event| Pdu::parse(event.to_string(), version).unwrap());
    parsed.map(|event| event.event_id().to_string()).collect()
}

pub fn members(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    let members = events.filter(|event| event["type"] == "m.room.member");
    members
        .map(|event| event["state_key"].as_str().unwrap())
        .collect()
}

/// Eve's join, answered without members.
fn joined_without_members(stage: &mut Stage) -> Value {
    let make = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    let join = completed(stage, RoomVersion::DEFAULT, make);
    let segments = [stage.room_id.as_str(), join.event_id().as_str()];
    let target = path("v2/send_join", segments) + "?omit_members=true";
    let content = Value::Object(join.object());
    let (status, answer) = ask(stage, Method::PUT, &target, Some(&content));
    assert_eq!(status, 200, "{answer}");
    answer
}

/// FJOIN-1: the members are left out, their servers told, and what is there is authorised.
#[test]
fn fjoin_1_a_join_is_answered_without_members_if_that_is_wished() {
    let (mut stage, _) = with_liar(room(RoomVersion::DEFAULT, Preset::Public));
    for server in ["two", "three"] {
        stage.join(server).unwrap();
    }
    stage.network.settle();
    let answer = joined_without_members(&mut stage);
    assert_eq!(answer["members_omitted"], true);
    assert_eq!(answer["servers_in_room"], json!(["one", "three", "two"]));
    assert_eq!(members(&answer["state"]), Vec::<&str>::new());
    let version = RoomVersion::DEFAULT;
    let (state, chain) = (
        ids(&answer["state"], version),
        ids(&answer["auth_chain"], version),
    );
    let all: Vec<&Value> = ["state", "auth_chain"]
        .into_iter()
        .flat_map(|part| answer[part].as_array().unwrap())
        .collect();
    for event in all {
        let event = Pdu::parse(event.to_string(), version).unwrap();
        for named in event.auth_events() {
            let there = state.contains(named.as_str()) || chain.contains(named.as_str());
            assert!(there, "{named} is missing");
        }
    }
}

/// FJOIN-2, LIMIT-23: a room without a name is called by some of its members.
#[test]
fn fjoin_2_five_members_of_a_nameless_room_are_told() {
    let nameless = CreateRoom {
        name: None,
        ..room(RoomVersion::DEFAULT, Preset::Public)
    };
    let (mut stage, _) = with_liar(nameless);
    for number in 0..6 {
        let user_id = format!("@user{number}:two").try_into().unwrap();
        stage.join_as("two", &user_id, &["one"]).unwrap();
    }
    stage.network.settle();
    let answer = joined_without_members(&mut stage);
    assert_eq!(members(&answer["state"]).len(), 5);
}

/// LIMIT-21, ERR-9, JOIN-9: who says no version knows the first one only.
#[test]
fn limit_21_without_ver_a_join_is_for_the_first_room_version() {
    for version in VERSIONS {
        let (mut stage, _) = with_liar(room(version, Preset::Public));
        let target = path("v1/make_join", [stage.room_id.as_str(), eve().as_str()]);
        let (status, answer) = ask(&mut stage, Method::GET, &target, None);
        if version == RoomVersion::V1 {
            assert_eq!(status, 200, "{answer}");
        } else {
            assert_eq!(
                (status, &answer["errcode"]),
                (400, &json!("M_INCOMPATIBLE_ROOM_VERSION"))
            );
            assert_eq!(answer["room_version"], version.as_str());
        }
    }
}

/// VERSION-1, XMTX-11: anybody may ask what we are.
#[test]
fn version_1_a_server_says_what_it_is() {
    let (mut stage, _) = with_liar(room(RoomVersion::DEFAULT, Preset::Public));
    let request = Request::get("/_matrix/federation/v1/version")
        .body(Bytes::new())
        .unwrap();
    let answer = stage.network.ask_with("liar", "one", request);
    assert_eq!(answer.status(), 200);
    let server = &body(&answer)["server"];
    assert!(
        server["name"].is_string() && server["version"].is_string(),
        "{server}"
    );
}

/// GEN-3, ERR-5, ERR-6: what the body says counts, not what it is said to be.
#[test]
fn gen_3_a_body_must_be_a_json_object_whatever_its_content_type() {
    let (mut stage, own) = with_liar(room(RoomVersion::DEFAULT, Preset::Public));
    let target = "/_matrix/federation/v1/user/keys/query";
    for (content_type, sent, status, errcode) in [
        ("image/png", r#"{"device_keys":{}}"#, 200, Value::Null),
        ("application/json", "{", 400, json!("M_NOT_JSON")),
        ("application/json", "[]", 400, json!("M_BAD_JSON")),
        ("application/json", "{}", 400, json!("M_BAD_JSON")),
    ] {
        let content = serde_json::from_str(sent).unwrap_or_default();
        let mut request = request(&own, Method::POST, target, Some(&content));
        *request.body_mut() = Bytes::from(sent);
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        let answer = stage.network.ask_with("liar", "one", request);
        assert_eq!(
            (answer.status().as_u16(), &body(&answer)["errcode"]),
            (status, &errcode),
            "{sent}"
        );
    }
}

/// ACL-3, ACL-4, ERR-3: every endpoint that the specification names is closed to who is denied.
#[test]
fn acl_4_a_denied_server_changes_no_membership() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let room_id = stage.room_id.clone();
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    let member = |membership: &str| {
        let content = json!({ "membership": membership });
        let event = forger.event("m.room.member", Some(eve().as_str()), content);
        signed(&event, event.json().to_owned())
    };
    let invite = forger.event(
        "m.room.member",
        Some("@zoe:one"),
        json!({ "membership": "invite" }),
    );
    let version = forger.version.as_str();
    let (event, said) = (invite.json(), json!(list(&forger.events)));
    let invite_body =
        format!(r#"{{"room_version":"{version}","event":{event},"invite_room_state":{said}}}"#);
    let endpoints = [
        Endpoint::MakeJoin(room_id.clone(), eve()),
        Endpoint::MakeLeave(room_id.clone(), eve()),
        Endpoint::MakeKnock(room_id, eve()),
        Endpoint::SendJoin(member("join")),
        Endpoint::SendLeave(member("leave")),
        Endpoint::SendKnock(member("knock")),
        Endpoint::Invite(signed(&invite, invite_body)),
    ];
    for endpoint in endpoints {
        let answer = stage.network.ask("liar", "one", endpoint.clone());
        assert_eq!(answer.status().as_u16(), 403, "{endpoint:?}");
        assert_eq!(body(&answer)["errcode"], "M_FORBIDDEN");
    }
}

/// TXN-16: who is denied is not heard, but still hears.
#[test]
fn txn_16_a_denied_server_gets_what_is_said() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::DEFAULT);
    let acl = json!({ "allow": ["*"], "deny": ["two"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    stage.say("one", "you may listen");
    stage.network.settle();
    assert_eq!(stage.said("two"), ["you may listen"]);
}

/// TXN-21: what a server says of single events is no reason to send them again.
#[test]
fn txn_21_an_event_that_was_refused_counts_as_delivered() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::DEFAULT, Preset::Public));
    infiltrate(&mut stage, RoomVersion::DEFAULT);
    stage.network.liar("liar").says(|_, sent| {
        let sent = sent["pdus"].as_array().into_iter().flatten();
        let refused = sent.map(|event| {
            let event = Pdu::parse(event.to_string(), RoomVersion::DEFAULT).unwrap();
            (
                event.event_id().to_string(),
                json!({ "error": "I do not like it" }),
            )
        });
        (200, json!({ "pdus": Value::Object(refused.collect()) }))
    });
    stage.say("one", "once");
    stage.pass_seconds(60 * 60);
    assert_eq!(stage.network.liar("liar").asked["send"], 1);
}

/// LEAVE-2: only of users of the asking server, and only of those who are there.
#[test]
fn leave_2_nobody_gets_a_template_to_leave_for_another() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    for user_id in [user("one"), "@stranger:liar".try_into().unwrap()] {
        let make = Endpoint::MakeLeave(stage.room_id.clone(), user_id);
        let answer = stage.network.ask("liar", "one", make);
        assert_eq!(answer.status().as_u16(), 403);
    }
}

/// EVENT-1: one event comes in the form of a transaction.
#[test]
fn event_1_an_event_is_given_alone() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let said = stage.say("one", "this one");
    let answer = body(
        &stage
            .network
            .ask("liar", "one", Endpoint::Event(said.clone())),
    );
    assert_eq!(answer["origin"], "one");
    assert!(answer["origin_server_ts"].is_u64());
    let given = ids(&answer["pdus"], RoomVersion::DEFAULT);
    assert_eq!(given, BTreeSet::from([said.to_string()]));
}

/// JOIN-10, ERR-8: the event must be the one of the path, by its sender and about its sender.
#[test]
fn join_10_a_membership_that_is_not_what_the_path_says_is_refused() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let member = |user_id: &str, membership: &str| {
        let content = json!({ "membership": membership });
        forger.event("m.room.member", Some(user_id), content)
    };
    let good = member("@eve:liar", "join");
    let elsewhere = SignedEvent {
        room_id: stage.room_id.clone(),
        event_id: "$another".try_into().unwrap(),
        body: good.json().to_owned(),
    };
    let cases = [
        member("@eve:liar", "leave"),
        member("@ann:one", "join"),
        forger.message("hi"),
    ];
    let cases = cases.map(|event| signed(&event, event.json().to_owned()));
    for case in cases.into_iter().chain([elsewhere]) {
        let answer = stage.network.ask("liar", "one", Endpoint::SendJoin(case));
        assert_eq!(answer.status().as_u16(), 400);
        assert_eq!(body(&answer)["errcode"], "M_INVALID_PARAM");
    }
}

/// KEY-1, KEY-2, KEY-3, XMTX-11: anybody may have our keys, which are good for a while yet, on each
/// path by which they were ever asked for.
#[test]
fn key_1_a_server_publishes_its_keys() {
    let (mut stage, _) = with_liar(room(RoomVersion::DEFAULT, Preset::Public));
    let mut get = |target: &str| {
        let request = Request::get(target).body(Bytes::new()).unwrap();
        body(&stage.network.ask_with("liar", "one", request))
    };
    let keys = get("/_matrix/key/v2/server");
    for target in [
        "/_matrix/key/v2/server/",
        "/_matrix/key/v2/server/ed25519:a",
    ] {
        assert_eq!(get(target)["verify_keys"], keys["verify_keys"]);
    }
    assert_eq!(keys["server_name"], "one");
    assert!(
        keys["verify_keys"]
            .as_object()
            .unwrap()
            .values()
            .all(|key| key["key"].is_string())
    );
    assert!(keys["signatures"]["one"].is_object());
    let an_hour = 60 * 60 * 1000;
    assert!(keys["valid_until_ts"].as_u64().unwrap() > stage.network.now().wall.0 + an_hour);
}

/// POLICY-5: we are no policy server.
#[test]
fn policy_5_nobody_gets_a_policy_signature_from_us() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let said = Value::Object(forger.message("sign this").object());
    let target = "/_matrix/policy/v1/sign";
    let (status, answer) = ask(&mut stage, Method::POST, target, Some(&said));
    assert_eq!(
        (status, &answer["errcode"]),
        (404, &json!("M_UNRECOGNIZED"))
    );
}

/// INVITE-3: the invited user's server cannot give us another event to send.
#[test]
fn invite_3_another_event_that_comes_back_is_no_invite() {
    let version = RoomVersion::DEFAULT;
    let (mut stage, own) = with_liar(room(version, Preset::Private));
    stage.network.liar("liar").says(move |_, sent| {
        let mut event = sent["event"].clone();
        event["content"]["displayname"] = json!("The Queen");
        let event = Pdu::parse(event.to_string(), version).unwrap();
        let event = event
            .signed_by(own.server_name(), own.signing_key())
            .unwrap();
        (200, json!({ "event": event.object() }))
    });
    stage.invite("one", "@eve:liar").unwrap_err();
    assert_eq!(stage.membership("one", "@eve:liar"), None);
}

/// JOIN-11: what the rules deny is not taken in, though nobody was asked for a template.
#[test]
fn join_11_a_join_that_is_not_allowed_is_refused() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    stage.set_member("one", "@eve:liar", "leave").unwrap();
    stage
        .set("one", "m.room.join_rules", json!({ "join_rule": "invite" }))
        .unwrap();
    let join = forger.event(
        "m.room.member",
        Some("@eve:liar"),
        json!({ "membership": "join" }),
    );
    let endpoint = Endpoint::SendJoin(signed(&join, join.json().to_owned()));
    let answer = stage.network.ask("liar", "one", endpoint);
    assert_eq!(answer.status().as_u16(), 403);
    assert_eq!(
        stage.membership("one", "@eve:liar").as_deref(),
        Some("leave")
    );
}

/// RJOIN-2, ERR-11: whether somebody is in a room that we are not in, we cannot say.
#[test]
fn rjoin_2_a_condition_that_cannot_be_checked_sends_the_user_on() {
    let allow = json!([{ "type": "m.room_membership", "room_id": "!elsewhere:two" }]);
    let rules = json!({ "join_rule": "restricted", "allow": allow });
    let restricted = CreateRoom {
        initial_state: vec![initial("m.room.join_rules", rules)],
        ..room(RoomVersion::DEFAULT, Preset::Private)
    };
    let (mut stage, _) = with_liar(restricted);
    let make = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    let answer = stage.network.ask("liar", "one", make);
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(body(&answer)["errcode"], "M_UNABLE_TO_AUTHORISE_JOIN");
}
