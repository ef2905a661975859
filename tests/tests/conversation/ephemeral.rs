//! What another server says of the moment and of devices is believed as far as it may say it.

use comity_core::{
    messaging::{
        command::{Command, EduAudience},
        notice::Notice,
    },
    pdu::RoomVersion,
    transport::remote_request::Endpoint,
};
use comity_tests::simulation::Network;
use serde_json::{Value, json};

use crate::{
    forger::lied_to,
    stage::{Stage, object, room, user},
    to_devices::push,
};

/// What a server's application was told of EDUs since the world began: their types and contents.
fn told(network: &mut Network, server: &str) -> Vec<(String, Value)> {
    let notices = network.server(server).notices.iter();
    let edus = notices.filter_map(|notice| match notice {
        Notice::Edu {
            edu_type, content, ..
        } => Some((edu_type.clone(), Value::Object(content.clone()))),
        _ => None,
    });
    edus.collect()
}

fn edu(edu_type: &str, content: Value) -> Value {
    json!({ "edu_type": edu_type, "content": content })
}

fn receipts(room_id: &str, users: &[&str]) -> Value {
    let read = json!({ "event_ids": ["$e"], "data": { "ts": 1 } });
    let users: serde_json::Map<_, _> = users
        .iter()
        .map(|user| ((*user).to_owned(), read.clone()))
        .collect();
    edu("m.receipt", json!({ room_id: { "m.read": users } }))
}

/// EDU-1: of users of the sender that are in the room, and of no one else.
#[test]
fn edu_1_only_members_of_the_sender_type() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let typing = |room: &str, user: &str| {
        let content = json!({ "room_id": room, "user_id": user, "typing": true });
        edu("m.typing", content)
    };
    let here = forger.room_id.as_str();
    let edus = [
        typing(here, "@ann:one"),
        typing(here, "@mal:liar"),
        typing("!other:one", "@eve:liar"),
        typing("nonsense", "@eve:liar"),
        edu("m.typing", json!({ "typing": true })),
        typing(here, "@eve:liar"),
    ];
    assert_eq!(push(&mut stage, "1", &edus), 200);
    let told = told(&mut stage.network, "one");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1["user_id"], "@eve:liar");
}

/// TXN-10: what somebody types in a room does not wait for a join of it, which may take minutes.
#[test]
fn edu_1_what_is_typed_in_a_room_that_is_being_joined_is_answered_at_once() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    stage.network.add_server("two");
    stage.network.lose_response("one", "/send_join/");
    let join = stage.join_command(&user("two"), &["one"]);
    let joined = stage.network.start_command("two", join);
    stage.pass_seconds(5);
    let content =
        json!({ "room_id": stage.room_id.as_str(), "user_id": "@eve:liar", "typing": true });
    let body = json!({ "origin": "liar", "origin_server_ts": 1, "pdus": [],
        "edus": [edu("m.typing", content)] });
    let endpoint = Endpoint::SendTransaction {
        transaction_id: "typed".into(),
        body: body.to_string().into(),
    };
    assert_eq!(stage.network.ask("liar", "two", endpoint).status(), 200);
    let two = stage.network.server("two");
    assert!(two.finished(joined).is_none(), "the join has ended first");
    assert_eq!(told(&mut stage.network, "two"), []);
}

/// EDU-2: of users of the sender.
#[test]
fn edu_2_nobody_tells_of_anothers_presence() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let users = ["@ann:one", "@eve:liar", "@bob:two"]
        .map(|user| json!({ "user_id": user, "presence": "online", "last_active_ago": 1 }));
    push(
        &mut stage,
        "1",
        &[edu("m.presence", json!({ "push": users }))],
    );
    let told = told(&mut stage.network, "one");
    assert_eq!(told[0].1["push"], json!([users[1]]));
}

/// EDU-3: of users of the sender, in rooms that it is in.
#[test]
fn edu_3_nobody_reads_for_another_or_in_a_room_that_is_not_theirs() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let here = forger.room_id.as_str();
    let edus = [
        receipts(here, &["@ann:one", "@eve:liar"]),
        receipts("!other:one", &["@eve:liar"]),
    ];
    push(&mut stage, "1", &edus);
    let told = told(&mut stage.network, "one");
    assert_eq!(
        told,
        [(
            "m.receipt".to_owned(),
            receipts(here, &["@eve:liar"])["content"].clone()
        )]
    );
}

/// EDU-4, EDU-5, EDU-7: of the sender's users, to ours.
/// TXN-12.
#[test]
fn edu_4_edu_5_edu_7_nobody_speaks_of_devices_in_anothers_name() {
    let (mut stage, _) = lied_to(RoomVersion::DEFAULT);
    let message = |sender: &str| {
        let content = json!({
            "sender": sender,
            "type": "m.room_key",
            "message_id": sender,
            "messages": { "@ann:one": { "*": {} }, "@bob:two": { "*": {} } },
        });
        edu("m.direct_to_device", content)
    };
    let of = |edu_type: &str, user: &str| edu(edu_type, json!({ "user_id": user }));
    let edus = [
        message("@ann:one"),
        of("m.device_list_update", "@ann:one"),
        of("m.signing_key_update", "@bob:two"),
        message("@eve:liar"),
        of("m.device_list_update", "@eve:liar"),
        of("m.signing_key_update", "@eve:liar"),
        of("org.example.unknown", "@eve:liar"),
    ];
    assert_eq!(push(&mut stage, "1", &edus), 200);
    let told = told(&mut stage.network, "one");
    let types: Vec<_> = told.iter().map(|(edu_type, _)| edu_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "m.direct_to_device",
            "m.device_list_update",
            "m.signing_key_update"
        ]
    );
    assert_eq!(told[0].1["sender"], "@eve:liar");
    assert_eq!(told[0].1["messages"], json!({ "@ann:one": { "*": {} } }));
}

/// ACL-5: typing is dropped and receipts lose the room; what is of no room is untouched.
#[test]
fn acl_5_a_denied_server_is_not_heard_in_the_room() {
    let (mut stage, forger) = lied_to(RoomVersion::DEFAULT);
    let acl = json!({ "allow": ["*"], "deny": ["liar"] });
    stage.set("one", "m.room.server_acl", acl).unwrap();
    let here = forger.room_id.as_str();
    let typing = json!({ "room_id": here, "user_id": "@eve:liar", "typing": true });
    let presence = json!({ "push": [{ "user_id": "@eve:liar", "presence": "online" }] });
    let edus = [
        edu("m.typing", typing),
        receipts(here, &["@eve:liar"]),
        edu("m.presence", presence),
    ];
    assert_eq!(push(&mut stage, "1", &edus), 200);
    let told = told(&mut stage.network, "one");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "m.presence");
}

/// EDU-2, EDU-5: what a user's peers should know goes to the servers that share a room with the
/// user, each once, and to no others.
#[test]
fn edu_2_edu_5_what_concerns_a_user_goes_to_those_who_share_a_room_with_them() {
    let mut stage = Stage::of(&["one", "two", "three"], RoomVersion::DEFAULT);
    stage.network.add_server("four");
    let other = room(
        RoomVersion::DEFAULT,
        comity_core::messaging::command::Preset::Public,
    );
    let other = Command::CreateRoom(Box::new(other));
    stage.network.run("one", other).unwrap();
    stage.leave("three").unwrap();
    stage.network.settle();
    let content = json!({ "user_id": user("one"), "device_id": "PHONE", "stream_id": 1 });
    let command = Command::SendEdu {
        to: EduAudience::Peers(user("one")),
        edu_type: "m.device_list_update".to_owned(),
        content: object(content),
    };
    stage.network.run("one", command).unwrap();
    stage.network.settle();
    let heard =
        ["one", "two", "three", "four"].map(|server| told(&mut stage.network, server).len());
    assert_eq!(heard, [0, 1, 0, 0]);
}
