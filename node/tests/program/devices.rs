//! Users of two servers make their devices known to each other, begin a conversation that only the
//! devices can read, and show each other that they are there.

use std::time::Instant;

use serde_json::{Value, json};

use crate::node::{Follower, Node, PATIENCE, Place, User};

/// Two servers on two runtimes, and a user of each; both are in one room.
fn two_servers() -> (Place, [Node; 2], [User; 2], String) {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    let (ann, bob) = (here.user("ann"), there.user("bob"));
    let room = ann.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room}?via={}", here.server_name), &json!({}));
    (place, [here, there], [ann, bob], room)
}

/// The id of the user's device.
fn device(user: &User) -> String {
    let whoami = user.get("account/whoami");
    whoami["device_id"].as_str().unwrap().to_owned()
}

/// Uploads the keys of a device and two one-time keys.
fn upload_keys(user: &User) {
    let device_id = device(user);
    let keys = json!({
        "user_id": user.id, "device_id": device_id, "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{device_id}"): "abc" }, "signatures": {},
    });
    let body = json!({
        "device_keys": keys,
        "one_time_keys": { "signed_curve25519:A": { "key": "1" }, "signed_curve25519:B": { "key": "2" } },
        "fallback_keys": { "signed_curve25519:F": { "key": "3", "fallback": true } },
    });
    let counts = user.post("keys/upload", &body);
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 2);
}

/// Asks again and again until what is answered is right.
fn until(mut ask: impl FnMut() -> Value, is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
    }
}

/// DEV-3, DEV-4, EDU-4, EDU-5, EDU-7
#[test]
fn devices_of_two_servers_find_each_other_and_begin_to_talk() {
    let (_place, _nodes, [ann, bob], room) = two_servers();
    let mut bobs = Follower::new(&bob, &room);
    upload_keys(&ann);
    let changed = bobs.until("/device_lists/changed/0");
    assert_eq!(changed, ann.id.as_str());
    let wanted = json!({ "device_keys": { &ann.id: [] } });
    let keys = bob.post("keys/query", &wanted);
    let device_id = device(&ann);
    assert_eq!(keys["failures"], json!({}));
    assert_eq!(
        keys["device_keys"][&ann.id][&device_id]["user_id"],
        ann.id.as_str()
    );

    let claim = json!({ "one_time_keys": { &ann.id: { &device_id: "signed_curve25519" } } });
    let names: Vec<String> = (0..3)
        .map(|_| {
            let claimed = bob.post("keys/claim", &claim);
            let keys = claimed["one_time_keys"][&ann.id][&device_id].clone();
            keys.as_object().unwrap().keys().next().unwrap().clone()
        })
        .collect();
    let expected = [
        "signed_curve25519:A",
        "signed_curve25519:B",
        "signed_curve25519:F",
    ];
    assert_eq!(names, expected);
    let left = ann.get("sync");
    assert_eq!(left["device_one_time_keys_count"]["signed_curve25519"], 0);
    assert_eq!(left["device_unused_fallback_key_types"], json!([]));

    let mut anns = Follower::new(&ann, &room);
    let message = json!({ "messages": { &ann.id: { &device_id: { "body": "psst" } } } });
    for _ in 0..2 {
        bob.request("PUT", "sendToDevice/m.secret/1", &message);
    }
    let heard = anns.until("/to_device/events/0");
    assert_eq!(heard["content"]["body"], "psst");
    assert_eq!(heard["sender"], bob.id.as_str());
    assert_eq!(anns.sync()["to_device"]["events"], json!([]));

    let master = json!({
        "user_id": ann.id, "usage": ["master"], "keys": { "ed25519:M": "M" },
    });
    ann.post(
        "keys/device_signing/upload",
        &json!({ "master_key": master }),
    );
    until(
        || bobs.sync(),
        |news| news["device_lists"]["changed"][0] == ann.id.as_str(),
    );
    let keys = bob.post("keys/query", &wanted);
    assert_eq!(keys["master_keys"][&ann.id]["usage"][0], "master");

    ann.post("logout", &json!({}));
    until(
        || bobs.sync(),
        |news| news["device_lists"]["changed"][0] == ann.id.as_str(),
    );
    let keys = bob.post("keys/query", &wanted);
    assert_eq!(keys["device_keys"][&ann.id], json!({}));
}

/// EDU-1, EDU-2, EDU-3
#[test]
fn who_types_who_has_read_and_who_is_there_shows_on_the_other_server() {
    let (_place, _nodes, [ann, bob], room) = two_servers();
    let event_id = ann.say(&room, "hello");
    let mut bobs = Follower::new(&bob, &room);
    let mut anns = Follower::new(&ann, &room);
    let pointer = format!("/rooms/join/{room}/ephemeral/events/0");
    let typing = format!("rooms/{room}/typing/{}", ann.id);
    ann.request(
        "PUT",
        &typing,
        &json!({ "typing": true, "timeout": 30_000 }),
    );
    let shown = bobs.until(&pointer);
    assert_eq!(shown["type"], "m.typing");
    assert_eq!(shown["content"]["user_ids"], json!([ann.id]));
    ann.request("PUT", &typing, &json!({ "typing": false }));
    // What is typed may be told again meanwhile; in the end nobody types.
    until(
        || bobs.sync(),
        |news| {
            let shown = news.pointer(&pointer);
            shown.is_some_and(|shown| shown["content"]["user_ids"] == json!([]))
        },
    );

    anns.sync();
    bobs.hear(1);
    bob.post(
        &format!("rooms/{room}/receipt/m.read.private/{event_id}"),
        &json!({}),
    );
    bob.post(
        &format!("rooms/{room}/receipt/m.read/{event_id}"),
        &json!({}),
    );
    let shown = until(
        || anns.sync(),
        |news| {
            news.pointer(&pointer)
                .is_some_and(|event| event["type"] == "m.receipt")
        },
    );
    let receipts = &shown.pointer(&pointer).unwrap()["content"][&event_id];
    assert!(receipts["m.read"][&bob.id]["ts"].is_number());
    assert_eq!(receipts["m.read.private"], Value::Null);

    let status = json!({ "presence": "unavailable", "status_msg": "at lunch" });
    bob.request("PUT", &format!("presence/{}/status", bob.id), &status);
    let of_bob = |news: &Value| {
        let events = news["presence"]["events"].as_array().unwrap().iter();
        let mut of_bob = events.filter(|event| event["sender"] == bob.id.as_str());
        of_bob.next().map(|event| event["content"].clone())
    };
    let is_away = |presence: &Value| presence["presence"] == "unavailable";
    let shown = until(
        || anns.sync(),
        |news| of_bob(news).is_some_and(|presence| is_away(&presence)),
    );
    assert_eq!(of_bob(&shown).unwrap()["status_msg"], "at lunch");
    let asked = ann.get(&format!("presence/{}/status", bob.id));
    assert_eq!(asked["status_msg"], "at lunch");
}
