//! What the specification says in passing.

use comity_core::{
    messaging::{
        command::{Command, CreateRoom, Preset, Reply},
        notice::{InviteRefusal, Question, Told},
    },
    pdu::{RoomVersion, format::MAX_EVENT_BYTES},
    transaction::outgoing::{EDUS_MAX, PDUS_MAX},
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Liar;
use http::Method;
use serde_json::json;

use crate::{
    endpoints::ask,
    forger::{body, eve, infiltrate, lied_to},
    stage::{Stage, forbidden, initial, room, user},
};

/// The stage's room becomes one that only members of the present one may join.
fn restricted(stage: &mut Stage, power_levels: serde_json::Value) {
    let allow = json!([{ "type": "m.room_membership", "room_id": stage.room_id }]);
    let rules = json!({ "join_rule": "restricted", "allow": allow });
    let inner = CreateRoom {
        initial_state: vec![initial("m.room.join_rules", rules)],
        power_levels: power_levels.as_object().unwrap().clone(),
        ..room(RoomVersion::V10, Preset::Private)
    };
    match stage
        .network
        .run("one", Command::CreateRoom(Box::new(inner)))
    {
        Ok(Reply::Room(room_id)) => stage.room_id = room_id,
        other => panic!("{other:?}"),
    }
}

/// RJOIN-4: who has lost what let them in stays.
#[test]
fn rjoin_4_the_conditions_of_a_join_count_when_it_happens() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::V10);
    let outer = stage.room_id.clone();
    restricted(&mut stage, json!({}));
    stage.join("two").unwrap();
    let inner = std::mem::replace(&mut stage.room_id, outer);
    stage.leave("two").unwrap();
    stage.network.settle();
    stage.room_id = inner;
    stage.say("two", "still here");
    stage.must_agree(&["one", "two"]);
    assert_eq!(stage.said("one"), ["still here"]);
    stage.leave("two").unwrap();
    stage.network.settle();
    forbidden(stage.join("two"));
}

/// ERR-12: the condition is met, but nobody here may invite.
#[test]
fn err_12_where_nobody_may_invite_nobody_is_let_in() {
    let (mut stage, version) = (Stage::of(&["one"], RoomVersion::V10), RoomVersion::V10);
    infiltrate(&mut stage, version);
    restricted(&mut stage, json!({ "invite": 101 }));
    let make = Endpoint::MakeJoin(stage.room_id.clone(), eve());
    let answer = stage.network.ask("liar", "one", make);
    assert_eq!(answer.status(), 400);
    assert_eq!(body(&answer)["errcode"], "M_UNABLE_TO_GRANT_JOIN");
}

/// LIMIT-14: ten events, of whatever depth, if the question does not say otherwise.
#[test]
fn limit_14_who_names_no_limit_gets_ten_missing_events() {
    let mut stage = Stage::of(&["one"], RoomVersion::DEFAULT);
    let forger = infiltrate(&mut stage, RoomVersion::DEFAULT);
    for number in 0..15 {
        stage.say("one", &format!("{number}"));
    }
    let latest = stage.summary("one").extremities;
    let question = json!({ "earliest_events": [forger.last.event_id()], "latest_events": latest });
    let room_id = comity_core::transport::path::path_segment(stage.room_id.as_str());
    let target = format!("/_matrix/federation/v1/get_missing_events/{room_id}");
    let (status, answer) = ask(&mut stage, Method::POST, &target, Some(&question));
    assert_eq!(status, 200, "{answer}");
    let events = answer["events"].as_array().unwrap();
    let texts: Vec<_> = events.iter().map(|e| &e["content"]["body"]).collect();
    let expected: Vec<_> = (4..14).map(|number| json!(format!("{number}"))).collect();
    assert_eq!(texts, expected.iter().collect::<Vec<_>>());
}

/// INVITE-7, ERR-13: invites that are not wanted are not signed, and nobody sees them.
#[test]
fn invite_7_a_user_or_a_server_may_refuse_invites() {
    for (by, code) in [
        (InviteRefusal::ByUser, "M_INVITE_BLOCKED"),
        (InviteRefusal::ByServer, "M_FORBIDDEN"),
    ] {
        let servers = ["one", "two"];
        let mut stage = Stage::with(&servers, room(RoomVersion::DEFAULT, Preset::Private));
        let question = Question::Invite {
            sender: user("one"),
            target: user("two"),
            room_id: stage.room_id.clone(),
        };
        let server = stage.network.server("two");
        server.knows(question, Told::InviteRefused(by));
        let refused = stage.invite("one", "@bob:two").unwrap_err().to_string();
        assert!(refused.contains(code), "{refused}");
        assert_eq!(stage.own_membership("two"), None);
        assert_eq!(stage.membership("one", "@bob:two"), None);
        stage.invite("one", "@ben:two").unwrap();
        stage.must_agree(&["one"]);
    }
}

/// ID-2: two names that differ in case are two servers.
#[test]
fn id_2_names_of_servers_differ_by_case() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::V10, Preset::Public));
    stage.network.add_liar(Liar::new("liar"));
    let other = "@eve:Liar".try_into().unwrap();
    let make = Endpoint::MakeJoin(stage.room_id.clone(), other);
    let answer = stage.network.ask("liar", "one", make);
    assert_eq!(answer.status(), 403, "the user is of another server");
}

/// ID-6: an alias is an alias, and of at most 255 bytes.
#[test]
fn id_6_what_is_no_alias_is_refused() {
    let mut stage = Stage::with(&["one"], room(RoomVersion::V10, Preset::Public));
    stage.network.add_liar(Liar::new("liar"));
    let long = format!("%23{}:one", "a".repeat(251));
    for (alias, expected) in [
        ("%23tea:one", 404),
        (&*long, 400),
        (&long[1..], 400),
        ("%23te%00a:one", 400),
        ("tea", 400),
    ] {
        let target = format!("/_matrix/federation/v1/query/directory?room_alias={alias}");
        let (status, answer) = ask(&mut stage, Method::GET, &target, None);
        assert_eq!(status, expected, "{alias}: {answer}");
    }
}

/// ID-8, LIMIT-10: what we make up is as such identifiers are.
#[test]
fn id_8_the_ids_that_we_make_up_are_opaque_identifiers() {
    let is_opaque = |id: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (1..=255).contains(&id.len()) && id.bytes().all(is_letter)
    };
    let mut stage = Stage::of(&["one", "two"], RoomVersion::V11);
    let (room, _) = stage.room_id.strip_sigil().split_once(':').unwrap();
    assert!(is_opaque(room), "{room}");
    stage.say("one", "hello");
    stage.network.settle();
    let lines = stage.network.traffic.iter().map(|sent| &sent.line);
    let ids: Vec<&str> = lines
        .filter_map(|line| line.split("/send/").nth(1)?.split(' ').next())
        .collect();
    assert!(!ids.is_empty());
    assert!(ids.iter().all(|id| is_opaque(id)), "{ids:?}");
}

/// ROOMVER-4, LIMIT-24: a room of version 12 can be ended by its creators alone, who are not among
/// the users with a level.
#[test]
fn roomver_4_only_creators_may_end_a_room_of_version_12() {
    let mut stage = Stage::of(&["one", "two"], RoomVersion::V12);
    let levels = stage.state("one", "m.room.power_levels", "").unwrap();
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
    assert_eq!(
        (&levels["state_default"], &levels["users"]),
        (&json!(50), &json!({}))
    );
    let mut raised = levels;
    raised["users"] = json!({ "@bob:two": 100 });
    stage.set("one", "m.room.power_levels", raised).unwrap();
    stage.network.settle();
    let end = json!({ "body": "moved", "replacement_room": "!next:one" });
    forbidden(stage.set("two", "m.room.tombstone", end.clone()));
    stage.set("one", "m.room.tombstone", end).unwrap();
    stage.must_agree(&["one", "two"]);
}

/// TXN-20: a transaction of as many events and messages as there may be, each as large as it may be.
#[test]
fn txn_20_a_transaction_may_be_as_large_as_its_parts_may_be() {
    let (mut stage, mut forger) = lied_to(RoomVersion::DEFAULT);
    let overhead = forger.message("").json().len() + 100;
    let text = "x".repeat(MAX_EVENT_BYTES - overhead);
    let mut events = Vec::new();
    for _ in 0..PDUS_MAX {
        forger.last = forger.message(&text);
        events.push(forger.last.json().to_owned());
    }
    let edu = |_| {
        let content = json!({ "filler": text });
        json!({ "edu_type": "org.example.large", "content": content }).to_string()
    };
    let edus: Vec<String> = (0..EDUS_MAX).map(edu).collect();
    let body = format!(
        r#"{{"origin":"liar","origin_server_ts":1,"pdus":[{}],"edus":[{}]}}"#,
        events.join(","),
        edus.join(",")
    );
    let endpoint = Endpoint::SendTransaction {
        transaction_id: "large".into(),
        body: body.into(),
    };
    let answer = stage.network.ask("liar", "one", endpoint);
    assert_eq!(answer.status(), 200);
    stage.network.settle();
    assert_eq!(stage.said("one").len(), PDUS_MAX);
}
