//! Reading a room's timeline in pages.

use super::*;

/// Reads a room backwards, page by page, to the end.
fn read_back(client: &Client, room_id: &str, limit: usize) -> Vec<String> {
    let mut read = Vec::new();
    let mut from = String::new();
    loop {
        let page = client.get(&format!(
            "rooms/{room_id}/messages?dir=b&limit={limit}{from}"
        ));
        read.extend(ids(&page["chunk"]).into_iter().map(ToOwned::to_owned));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={end}"),
            None => return read,
        }
    }
}

#[test]
fn pages_of_any_size_cover_the_room_without_hole_or_repetition() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({}));
    for n in 0..7 {
        alice.say(&room_id, &n.to_string());
    }
    let whole = read_back(&alice, &room_id, 100);
    assert_eq!(whole.len(), 4 + 7);
    for limit in 1..5 {
        assert_eq!(read_back(&alice, &room_id, limit), whole);
    }
    let forward = alice.get(&format!("rooms/{room_id}/messages?dir=f&limit=100"));
    let mut forward = ids(&forward["chunk"]);
    forward.reverse();
    assert_eq!(forward, whole);
}

#[test]
fn going_back_past_our_history_asks_other_servers_and_continues_without_a_seam() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = far_room(&stage, &alice);
    let history: Vec<String> = (0..250).map(|n| format!("h{n}")).collect();
    stage
        .world
        .hold_elsewhere(&history.iter().map(String::as_str).collect::<Vec<_>>());
    let mut from = String::new();
    let mut read: Vec<String> = Vec::new();
    loop {
        let page = alice.get(&format!("rooms/{room_id}/messages?dir=b&limit=40{from}"));
        read.extend(bodies(&page["chunk"]).into_iter().map(ToOwned::to_owned));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={end}"),
            None => break,
        }
    }
    assert_eq!(read, history);
}

/// A room in which Alice is and whose beginning we do not hold.
fn far_room(stage: &Stage, alice: &Client) -> String {
    let room_id = "!far:there.example";
    stage.world.arrive(&world::Draft {
        room_id,
        sender: &alice.user_id,
        event_type: "m.room.member",
        state_key: Some(&alice.user_id),
        content: json!({ "membership": "join" }),
    });
    room_id.to_owned()
}

#[test]
fn who_has_left_reads_up_to_the_leave_and_no_further() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "name": "Tea" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    alice.say(&room_id, "before");
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    let secret = alice.say(&room_id, "after");
    alice.put(
        &format!("rooms/{room_id}/state/m.room.name"),
        &json!({ "name": "Secret" }),
    );
    for query in ["dir=b", "dir=f", "dir=b&from=s9999", "dir=f&to=s9999"] {
        let page = bob.get(&format!("rooms/{room_id}/messages?limit=100&{query}"));
        assert_eq!(bodies(&page["chunk"]), ["before"], "{query}");
    }
    assert_eq!(
        bob.get(&format!("rooms/{room_id}/state/m.room.name"))["name"],
        "Tea"
    );
    let path = format!("rooms/{room_id}/event/{secret}");
    assert_eq!(
        bob.refused(Method::GET, &path, &json!({})),
        (404, "M_NOT_FOUND".into())
    );
}

#[test]
fn history_that_is_for_members_only_is_hidden_from_later_ones() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let rule = json!({
        "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
    });
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "initial_state": [rule] }));
    let secret = alice.say(&room_id, "before");
    bob.post(&format!("join/{room_id}"), &json!({}));
    alice.say(&room_id, "after");
    let page = bob.get(&format!("rooms/{room_id}/messages?dir=b&limit=100"));
    assert_eq!(bodies(&page["chunk"]), ["after"]);
    let answer = bob.sync("");
    let timeline = &answer["rooms"]["join"][&room_id]["timeline"];
    assert_eq!(bodies(&timeline["events"]), ["after"]);
    let path = format!("rooms/{room_id}/event/{secret}");
    assert_eq!(
        bob.refused(Method::GET, &path, &json!({})),
        (404, "M_NOT_FOUND".into())
    );
    let page = alice.get(&format!("rooms/{room_id}/messages?dir=b&limit=100"));
    assert_eq!(bodies(&page["chunk"]), ["after", "before"]);
}

/// TIMESTAMP-1: who left before an event is not told of it.
#[test]
fn timestamp_1_the_nearest_event_that_one_may_see_is_found() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let said = alice.say(&room_id, "together");
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    let alone = alice.say(&room_id, "alone");
    let path =
        |time: i64, dir: &str| format!("rooms/{room_id}/timestamp_to_event?ts={time}&dir={dir}");
    let found = alice.get(&path(1_000_000, "b"));
    assert_eq!(found["event_id"], alone);
    let time = found["origin_server_ts"].as_i64().unwrap();
    assert_eq!(alice.get(&path(time, "f"))["event_id"], alone);
    let found = alice.get(&path(time - 1, "b"));
    assert_ne!(found["event_id"], alone);
    let found = bob.get(&path(1_000_000, "b"));
    assert!(found["origin_server_ts"].as_i64().unwrap() < time);
    let first = alice.get(&path(0, "f"));
    assert_ne!(first["event_id"], said);
    for (client, time, dir) in [(&alice, time + 1, "f"), (&bob, time, "f")] {
        let refused = client.refused(Method::GET, &path(time, dir), &json!({}));
        assert_eq!(refused, (404, "M_NOT_FOUND".to_owned()));
    }
    let refused = alice.refused(Method::GET, &path(time, "sideways"), &json!({}));
    assert_eq!(refused.0, 400);
}
