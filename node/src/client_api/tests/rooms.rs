//! Creating, joining, changing and describing rooms.

use super::*;

#[test]
fn a_transaction_is_carried_out_once() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    let first = alice.say(&room_id, "again");
    assert_eq!(alice.say(&room_id, "again"), first);
    let other_device = stage.client("alice");
    assert_ne!(other_device.say(&room_id, "again"), first);
}

#[test]
fn an_event_tells_what_it_replaced_and_a_redaction_its_target_twice() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let path = format!("rooms/{room_id}/state/m.room.name");
    let renamed = alice.put(&path, &json!({ "name": "Coffee" }));
    let event = alice.get(&format!(
        "rooms/{room_id}/event/{}",
        text(&renamed, "event_id")
    ));
    assert_eq!(event["unsigned"]["prev_content"], json!({ "name": "Tea" }));
    assert_eq!(event["state_key"], "");
    let said = alice.say(&room_id, "oops");
    let redaction = alice.put(&format!("rooms/{room_id}/redact/{said}/t1"), &json!({}));
    let event = alice.get(&format!(
        "rooms/{room_id}/event/{}",
        text(&redaction, "event_id")
    ));
    assert_eq!(event["redacts"], said);
    assert_eq!(event["content"]["redacts"], said);
}

#[test]
fn state_can_be_read_whole_by_key_and_as_an_event() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let state = alice.get(&format!("rooms/{room_id}/state"));
    assert_eq!(state.as_array().unwrap().len(), 5);
    for path in ["m.room.name", "m.room.name/"] {
        let content = alice.get(&format!("rooms/{room_id}/state/{path}"));
        assert_eq!(content, json!({ "name": "Tea" }));
    }
    let event = alice.get(&format!("rooms/{room_id}/state/m.room.name?format=event"));
    assert_eq!(event["sender"], alice.user_id);
    let members = alice.get(&format!("rooms/{room_id}/joined_members"));
    assert!(members["joined"].get(&alice.user_id).is_some());
    let left = alice.get(&format!("rooms/{room_id}/members?membership=leave"));
    assert_eq!(left["chunk"], json!([]));
    assert_eq!(alice.get("joined_rooms")["joined_rooms"], json!([room_id]));
}

#[test]
fn an_alias_is_made_with_its_room_resolved_and_taken_once() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let body = json!({ "room_alias_name": "tea", "preset": "public_chat" });
    let room_id = alice.create_room(&body);
    let taken = alice.refused(Method::POST, "createRoom", &body);
    assert_eq!(taken, (400, "M_ROOM_IN_USE".into()));
    let alias = format!("directory/room/%23tea:{SERVER}");
    let found = alice.get(&alias);
    assert_eq!(found, json!({ "room_id": room_id, "servers": [SERVER] }));
    let joined = bob.post(&format!("join/%23tea:{SERVER}"), &json!({}));
    assert_eq!(joined["room_id"], room_id);
    let other = format!("directory/room/%23coffee:{SERVER}");
    bob.put(&other, &json!({ "room_id": room_id }));
    let again = bob.refused(Method::PUT, &other, &json!({ "room_id": room_id }));
    assert_eq!(again.0, 409);
    assert_eq!(alice.refused(Method::DELETE, &other, &json!({})).0, 403);
    bob.ok(Method::DELETE, &other, &json!({}));
    assert_eq!(
        bob.refused(Method::GET, &other, &json!({})),
        (404, "M_NOT_FOUND".into())
    );
}

#[test]
fn a_name_is_shown_in_rooms_that_are_created_and_joined_under_it() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    bob.put(
        &format!("profile/{}/displayname", bob.user_id),
        &json!({ "displayname": "Bob B." }),
    );
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let path = format!("rooms/{room_id}/state/m.room.member/{}", bob.user_id);
    assert_eq!(
        alice.get(&path),
        json!({ "membership": "join", "displayname": "Bob B." })
    );
    let profile = alice.get(&format!("profile/{}", bob.user_id));
    assert_eq!(profile, json!({ "displayname": "Bob B." }));
}

#[test]
fn joining_twice_is_joining_once() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    let before = alice.sync("");
    alice.post(&format!("join/{room_id}"), &json!({}));
    let after = alice.sync(&since(&before));
    assert_eq!(after["rooms"]["join"], json!({}));
}

#[test]
fn only_who_is_there_can_be_kicked_and_only_who_is_banned_unbanned() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    let target = json!({ "user_id": bob.user_id });
    let act = |what: &str| {
        alice
            .request(Method::POST, &format!("rooms/{room_id}/{what}"), &target)
            .0
    };
    assert_eq!(act("kick"), 403);
    bob.post(&format!("join/{room_id}"), &json!({}));
    assert_eq!(act("unban"), 403);
    assert_eq!(act("kick"), 200);
    assert_eq!(act("ban"), 200);
    assert_eq!(act("unban"), 200);
}

#[test]
fn filters_are_kept() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    alice.say(&room_id, "one");
    alice.say(&room_id, "two");
    let filter = json!({ "room": { "timeline": { "limit": 1 } } });
    let path = format!("user/{}/filter", alice.user_id);
    let id = alice.post(&path, &filter)["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(alice.get(&format!("{path}/{id}")), filter);
    let answer = alice.sync(&format!("filter={id}"));
    let timeline = &answer["rooms"]["join"][&room_id]["timeline"];
    assert_eq!(bodies(&timeline["events"]), ["two"]);
}
