//! What a server shows of its rooms to those who are not in them.

use serde_json::{Value, json};

use crate::node::{Follower, Place};

fn names(rooms: &Value) -> Vec<&str> {
    let rooms = rooms.as_array().unwrap().iter();
    rooms.filter_map(|room| room["name"].as_str()).collect()
}

/// PUBROOMS-1, SPACES-1, SPACES-2, SPACES-3
#[test]
fn another_servers_directory_and_spaces_are_shown() {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    let (ann, bob) = (here.user("ann"), there.user("bob"));
    let room = |name: &str, more: Value| {
        let mut body = json!({ "name": name, "visibility": "public", "preset": "public_chat" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ann.create_room(&body)
    };
    let space = room(
        "Places",
        json!({ "creation_content": { "type": "m.space" } }),
    );
    let inner = room(
        "Inside",
        json!({ "creation_content": { "type": "m.space" } }),
    );
    let garden = room("Garden", json!({ "topic": "flowers" }));
    let secret = ann.create_room(&json!({ "name": "Secret", "preset": "private_chat" }));
    let via = json!({ "via": [here.server_name] });
    for (parent, child) in [
        (&space, &inner),
        (&inner, &garden),
        (&inner, &secret),
        (&inner, &space),
    ] {
        let path = format!("rooms/{parent}/state/m.space.child/{child}");
        ann.request("PUT", &path, &via);
    }

    let listed = bob.get(&format!("publicRooms?server={}", here.server_name));
    let mut listed = names(&listed["chunk"]);
    listed.sort_unstable();
    assert_eq!(listed, ["Garden", "Inside", "Places"]);
    let search = json!({ "filter": { "generic_search_term": "FLOWERS" } });
    let found = bob.post(&format!("publicRooms?server={}", here.server_name), &search);
    assert_eq!(names(&found["chunk"]), ["Garden"]);
    let visibility = format!("directory/list/room/{garden}");
    ann.request("PUT", &visibility, &json!({ "visibility": "private" }));
    let found = bob.post(&format!("publicRooms?server={}", here.server_name), &search);
    assert_eq!(found["chunk"], json!([]));
    let (status, _) = bob.try_request("PUT", &visibility, &json!({}));
    assert_eq!(status, 403);

    bob.post(
        &format!("join/{space}?via={}", here.server_name),
        &json!({}),
    );
    let walked = bob.get(&format!("rooms/{space}/hierarchy"));
    assert_eq!(names(&walked["rooms"]), ["Places", "Inside", "Garden"]);
    let walked = ann.get(&format!("rooms/{space}/hierarchy"));
    assert_eq!(walked["rooms"].as_array().unwrap().len(), 4);
    let page = bob.get(&format!("rooms/{space}/hierarchy?limit=2"));
    assert_eq!(names(&page["rooms"]), ["Places", "Inside"]);
    let next = page["next_batch"].as_str().unwrap();
    let page = bob.get(&format!("rooms/{space}/hierarchy?limit=2&from={next}"));
    assert_eq!(names(&page["rooms"]), ["Garden"]);
    assert_eq!(page["next_batch"], Value::Null);
    let shallow = bob.get(&format!("rooms/{space}/hierarchy?max_depth=1"));
    assert_eq!(names(&shallow["rooms"]), ["Places", "Inside"]);
}

/// KNOCK-1, KNOCK-5
#[test]
fn who_knocks_at_another_servers_room_is_let_in() {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("sync");
    there.start("smol");
    let (ann, bob) = (here.user("ann"), there.user("bob"));
    let rules = json!({ "type": "m.room.join_rules", "content": { "join_rule": "knock" } });
    let room = ann.create_room(&json!({ "name": "Club", "initial_state": [rules] }));
    let mut bobs = Follower::new(&bob, &room);
    let path = format!("knock/{room}?via={}", here.server_name);
    let knocked = bob.post(&path, &json!({ "reason": "Me too" }));
    assert_eq!(knocked["room_id"], room.as_str());
    let state = bobs.until(&format!("/rooms/knock/{room}/knock_state/events"));
    assert!(names_in(&state).contains(&"Club"));
    ann.post(
        &format!("rooms/{room}/invite"),
        &json!({ "user_id": bob.id }),
    );
    bobs.until(&format!("/rooms/invite/{room}"));
    bob.post(&format!("join/{room}"), &json!({}));
    bobs.until(&format!("/rooms/join/{room}"));
}

fn names_in(state: &Value) -> Vec<&str> {
    let events = state.as_array().unwrap().iter();
    events
        .filter_map(|event| event["content"]["name"].as_str())
        .collect()
}
