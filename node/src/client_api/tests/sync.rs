//! What successive syncs tell a client.

use std::time::{Duration, Instant};

use super::{world::Draft, *};

fn timeline<'v>(answer: &'v Value, room_id: &str) -> &'v Value {
    &answer["rooms"]["join"][room_id]["timeline"]
}

fn state_types(room: &Value) -> Vec<&str> {
    room["state"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(event, "type"))
        .collect()
}

#[test]
fn each_event_comes_once_and_in_order_over_successive_syncs() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let mut answer = bob.sync("");
    let mut seen = Vec::new();
    for round in 0..10 {
        for message in 0..round {
            alice.say(&room_id, &format!("{round}-{message}"));
        }
        answer = bob.sync(&since(&answer));
        let events = &timeline(&answer, &room_id)["events"];
        seen.extend(
            events
                .as_array()
                .into_iter()
                .flatten()
                .map(|e| e["content"]["body"].clone()),
        );
    }
    let said = (0..10).flat_map(|round| (0..round).map(move |n| json!(format!("{round}-{n}"))));
    assert_eq!(seen, said.collect::<Vec<_>>());
    assert_eq!(bob.sync(&since(&answer))["rooms"]["join"], json!({}));
}

#[test]
fn a_first_sync_gives_state_and_timeline_without_overlap() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    for n in 0..5 {
        alice.say(&room_id, &n.to_string());
    }
    let filter = r#"filter={"room":{"timeline":{"limit":3}}}"#;
    let answer = alice.sync(
        &filter
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D"),
    );
    let room = &answer["rooms"]["join"][&room_id];
    assert_eq!(bodies(&room["timeline"]["events"]), ["2", "3", "4"]);
    assert_eq!(room["timeline"]["limited"], true);
    let types = state_types(room);
    for expected in ["m.room.create", "m.room.member", "m.room.name"] {
        assert!(types.contains(&expected), "{expected} is not in {types:?}");
    }
    assert_eq!(room["summary"]["m.joined_member_count"], 1);
    let whole = alice.sync("");
    let room = &whole["rooms"]["join"][&room_id];
    assert_eq!(room["timeline"]["limited"], false);
    assert_eq!(state_types(room), Vec::<&str>::new());
}

#[test]
fn a_limited_timeline_joins_up_with_messages_without_hole_or_repetition() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    let first = alice.sync("");
    for n in 0..9 {
        alice.say(&room_id, &n.to_string());
    }
    let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:4%7D%7D%7D";
    let answer = alice.sync(&format!("{}&filter={filter}", since(&first)));
    let cut = timeline(&answer, &room_id);
    assert_eq!(bodies(&cut["events"]), ["5", "6", "7", "8"]);
    assert_eq!(cut["limited"], true);
    let range = format!(
        "from={}&to={}",
        text(cut, "prev_batch"),
        text(&first, "next_batch")
    );
    let gap = alice.get(&format!("rooms/{room_id}/messages?dir=b&limit=100&{range}"));
    assert_eq!(bodies(&gap["chunk"]), ["4", "3", "2", "1", "0"]);
}

#[test]
fn a_limited_timeline_comes_with_the_state_that_it_leaves_out() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let first = alice.sync("");
    alice.put(
        &format!("rooms/{room_id}/state/m.room.topic"),
        &json!({ "topic": "Leaves" }),
    );
    alice.put(
        &format!("rooms/{room_id}/state/m.room.name/"),
        &json!({ "name": "Coffee" }),
    );
    for n in 0..4 {
        alice.say(&room_id, &n.to_string());
    }
    alice.put(
        &format!("rooms/{room_id}/state/m.room.name/"),
        &json!({ "name": "Water" }),
    );
    let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:2%7D%7D%7D";
    let answer = alice.sync(&format!("{}&filter={filter}", since(&first)));
    let room = &answer["rooms"]["join"][&room_id];
    let state = room["state"]["events"].as_array().unwrap();
    let contents: Vec<_> = state.iter().map(|event| event["content"].clone()).collect();
    assert_eq!(
        contents,
        [json!({ "name": "Coffee" }), json!({ "topic": "Leaves" })]
    );
    let after = alice.sync(&format!(
        "{}&filter={filter}&use_state_after=true",
        since(&first)
    ));
    let room = &after["rooms"]["join"][&room_id];
    let state = room["state_after"]["events"].as_array().unwrap();
    let contents: Vec<_> = state.iter().map(|event| event["content"].clone()).collect();
    assert_eq!(
        contents,
        [json!({ "name": "Water" }), json!({ "topic": "Leaves" })]
    );
    assert_eq!(room.get("state"), None);
}

#[test]
fn a_newly_joined_room_comes_with_its_full_state() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "name": "Tea" }));
    for n in 0..100 {
        alice.say(&room_id, &n.to_string());
    }
    let before = bob.sync("");
    bob.post(&format!("rooms/{room_id}/join"), &json!({}));
    alice.say(&room_id, "welcome");
    let answer = bob.sync(&since(&before));
    let room = &answer["rooms"]["join"][&room_id];
    assert!(state_types(room).contains(&"m.room.name"));
    assert_eq!(room["timeline"]["limited"], true);
    assert_eq!(bodies(&room["timeline"]["events"]).last(), Some(&"welcome"));
    assert_eq!(bob.sync(&since(&answer))["rooms"]["join"], json!({}));
}

#[test]
fn a_profile_change_is_no_new_join() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let first = alice.sync("");
    let path = format!("profile/{}/displayname", alice.user_id);
    alice.put(&path, &json!({ "displayname": "Alice A." }));
    let answer = alice.sync(&since(&first));
    let room = &answer["rooms"]["join"][&room_id];
    let events = room["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["content"]["displayname"], "Alice A.");
    assert_eq!(state_types(room), Vec::<&str>::new());
}

#[test]
fn leaving_shows_the_leave_and_nothing_after_it() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let first = bob.sync("");
    alice.say(&room_id, "before");
    bob.post(
        &format!("rooms/{room_id}/leave"),
        &json!({ "reason": "late" }),
    );
    alice.say(&room_id, "after");
    let answer = bob.sync(&since(&first));
    assert_eq!(answer["rooms"]["join"], json!({}));
    let events = answer["rooms"]["leave"][&room_id]["timeline"]["events"]
        .as_array()
        .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["content"]["body"], "before");
    assert_eq!(
        events[1]["content"],
        json!({ "membership": "leave", "reason": "late" })
    );
    let next = bob.sync(&since(&answer));
    assert_eq!(next["rooms"]["leave"], json!({}));
    assert_eq!(
        bob.sync("")["rooms"]["leave"],
        json!({}),
        "no part of a first sync"
    );
}

#[test]
fn coming_back_repeats_nothing_and_gives_the_full_state() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "name": "Tea" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    alice.say(&room_id, "one");
    let first = bob.sync("");
    alice.say(&room_id, "two");
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    bob.post(&format!("rooms/{room_id}/join"), &json!({}));
    alice.say(&room_id, "three");
    let answer = bob.sync(&since(&first));
    let room = &answer["rooms"]["join"][&room_id];
    assert_eq!(bodies(&room["timeline"]["events"]), ["two", "three"]);
    assert!(state_types(room).contains(&"m.room.name"));
}

#[test]
fn an_invite_shows_once_with_what_describes_the_room_and_disappears_when_refused() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "name": "Tea", "invite": [bob.user_id] }));
    let first = bob.sync("");
    let invite = &first["rooms"]["invite"][&room_id]["invite_state"]["events"];
    let types: Vec<_> = invite
        .as_array()
        .unwrap()
        .iter()
        .map(|e| text(e, "type"))
        .collect();
    assert!(types.contains(&"m.room.name"), "{types:?}");
    let last = invite.as_array().unwrap().last().unwrap();
    assert_eq!(last["content"]["membership"], "invite");
    assert_eq!(last["state_key"], bob.user_id);
    let second = bob.sync(&since(&first));
    assert_eq!(second["rooms"]["invite"], json!({}));
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    let third = bob.sync(&since(&second));
    let left = &third["rooms"]["leave"][&room_id]["timeline"]["events"];
    assert_eq!(left[0]["content"]["membership"], "leave");
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(bob.sync("")["rooms"]["invite"], json!({}));
}

#[test]
fn an_invite_from_another_server_shows_its_stripped_state_and_can_be_refused() {
    let stage = Stage::new();
    let bob = stage.client("bob");
    let first = bob.sync("");
    stage
        .world
        .invite_from_elsewhere(&bob.user_id, "!far:there.example", "Far");
    let second = bob.sync(&since(&first));
    let events = &second["rooms"]["invite"]["!far:there.example"]["invite_state"]["events"];
    assert_eq!(events[0]["content"]["name"], "Far");
    bob.post("rooms/!far:there.example/leave", &json!({}));
    let third = bob.sync(&since(&second));
    assert!(third["rooms"]["leave"].get("!far:there.example").is_some());
    assert_eq!(third["rooms"]["invite"], json!({}));
}

#[test]
fn a_waiting_sync_is_woken_by_news() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let first = bob.sync("");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bob.sync(&format!("{}&timeout=30000", since(&first))));
        std::thread::sleep(Duration::from_millis(50));
        alice.say(&room_id, "news");
        let answer = waiting.join().unwrap();
        assert_eq!(bodies(&timeline(&answer, &room_id)["events"]), ["news"]);
    });
}

#[test]
fn a_waiting_sync_ends_empty_when_its_time_is_over() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let first = alice.sync("");
    let start = Instant::now();
    let second = alice.sync(&format!("{}&timeout=80", since(&first)));
    assert!(start.elapsed() >= Duration::from_millis(80));
    assert_eq!(second["next_batch"], first["next_batch"]);
}

#[test]
fn a_message_from_a_branch_that_lacks_newer_state_does_not_take_that_state_back() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let fork = stage.world.current(&room_id);
    alice.put(
        &format!("rooms/{room_id}/state/m.room.name"),
        &json!({ "name": "Coffee" }),
    );
    let first = alice.sync("");
    let late = Draft {
        room_id: &room_id,
        sender: "@erin:there.example",
        event_type: "m.room.message",
        state_key: None,
        content: json!({ "body": "late" }),
    };
    stage.world.arrive_after(&late, fork);
    let second = alice.sync(&since(&first));
    let room = &second["rooms"]["join"][&room_id];
    assert_eq!(bodies(&room["timeline"]["events"]), ["late"]);
    assert_eq!(state_types(room), Vec::<&str>::new());
}

#[test]
fn the_sender_recognises_its_own_message_by_its_transaction() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    alice.say(&room_id, "mine");
    let newest = |client: &Client| {
        let answer = client.sync("");
        let events = timeline(&answer, &room_id)["events"]
            .as_array()
            .unwrap()
            .clone();
        events.last().unwrap()["unsigned"]["transaction_id"].clone()
    };
    assert_eq!(newest(&alice), "mine");
    assert_eq!(newest(&bob), Value::Null);
}
