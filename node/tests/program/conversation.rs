//! Two servers, each driven through its client API and its command line.

use serde_json::json;

use crate::node::{Follower, Node, Place, comity, text};

/// Two running nodes on different runtimes.
fn pair(place: &Place) -> (Node, Node) {
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    (here, there)
}

#[test]
fn messages_arrive_in_order_and_once_though_one_server_crashes() {
    let place = Place::new();
    let (here, mut there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "room_alias_name": "tea" }));
    bob.post(&format!("join/%23tea:{}", here.server_name), &json!({}));
    let (mut with_alice, mut with_bob) = (
        Follower::new(&alice, &room_id),
        Follower::new(&bob, &room_id),
    );
    let mut said = Vec::new();
    for number in 0..12 {
        let (speaker, name) = if number % 3 == 0 {
            (&bob, "b")
        } else {
            (&alice, "a")
        };
        said.push(format!("{name}{number}"));
        speaker.say(&room_id, said.last().unwrap());
        if number == 6 {
            there.kill();
            there.start("sync");
        }
        assert_eq!(with_alice.hear(said.len()), said);
        assert_eq!(with_bob.hear(said.len()), said);
    }
}

#[test]
fn many_who_talk_at_once_are_all_heard_once() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(
        &format!("join/{room_id}?via={}", here.server_name),
        &json!({}),
    );
    let mut follower = Follower::new(&bob, &room_id);
    std::thread::scope(|scope| {
        for speaker in 0..8 {
            let (alice, room_id) = (&alice, &room_id);
            scope.spawn(move || {
                for number in 0..5 {
                    alice.say(room_id, &format!("{speaker}-{number}"));
                }
            });
        }
    });
    let mut heard = follower.hear(40).to_vec();
    heard.sort();
    let said = (0..8).flat_map(|speaker| (0..5).map(move |number| format!("{speaker}-{number}")));
    assert_eq!(heard, said.collect::<Vec<_>>());
}

#[test]
fn history_from_before_the_join_can_be_read() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    for version in ["10", "11", "12"] {
        let body = json!({ "preset": "public_chat", "room_version": version });
        let room_id = alice.create_room(&body);
        let mut said: Vec<_> = (0..30).map(|number| format!("before{number}")).collect();
        said.iter().for_each(|text| drop(alice.say(&room_id, text)));
        bob.post(
            &format!("join/{room_id}?via={}", here.server_name),
            &json!({}),
        );
        let (mut heard, mut from) = (Vec::new(), String::new());
        loop {
            let page = bob.get(&format!("rooms/{room_id}/messages?dir=b&limit=7{from}"));
            let events = page["chunk"].as_array().unwrap();
            let bodies = events
                .iter()
                .filter_map(|event| event["content"]["body"].as_str());
            heard.extend(bodies.map(ToOwned::to_owned));
            match page["end"].as_str() {
                Some(end) => from = format!("&from={end}"),
                None => break,
            }
        }
        said.reverse();
        assert_eq!(heard, said, "room version {version}");
    }
}

#[test]
fn state_that_came_with_a_join_can_be_read_event_by_event() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat", "name": "Tea" }));
    bob.post(
        &format!("join/{room_id}?via={}", here.server_name),
        &json!({}),
    );
    for event in bob
        .get(&format!("rooms/{room_id}/state"))
        .as_array()
        .unwrap()
    {
        let event_id = event["event_id"].as_str().unwrap();
        let alone = bob.get(&format!("rooms/{room_id}/event/{event_id}"));
        assert_eq!(alone["content"], event["content"]);
    }
}

#[test]
fn an_invite_can_be_refused_and_accepted_and_a_ban_holds() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let room_id = alice.create_room(&json!({ "name": "Tea" }));
    let mut bobs = Follower::new(&bob, &room_id);
    let target = json!({ "user_id": bob.id });
    let invite = format!("rooms/{room_id}/invite");
    alice.post(&invite, &target);
    bobs.until(&format!("/rooms/invite/{room_id}"));
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    bobs.until(&format!("/rooms/leave/{room_id}"));
    let member = format!("rooms/{room_id}/state/m.room.member/{}", bob.id);
    assert_eq!(alice.get(&member)["membership"], "leave");
    alice.post(&invite, &target);
    bobs.until(&format!("/rooms/invite/{room_id}"));
    bob.post(&format!("join/{room_id}"), &json!({}));
    bobs.until(&format!("/rooms/join/{room_id}"));
    alice.post(&format!("rooms/{room_id}/ban"), &target);
    bobs.until(&format!("/rooms/leave/{room_id}"));
    let (status, refusal) = bob.try_request("POST", &format!("join/{room_id}"), &json!({}));
    assert_eq!((status, &refusal["errcode"]), (403, &json!("M_FORBIDDEN")));
    let read = format!("rooms/{room_id}/messages?dir=b");
    let page = bob.get(&read);
    assert_eq!(page["chunk"][0]["content"]["membership"], "ban");
}

#[test]
fn profiles_of_other_servers_can_be_read() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (alice, bob) = (here.user("alice"), there.user("bob"));
    let path = format!("profile/{}/displayname", bob.id);
    bob.request("PUT", &path, &json!({ "displayname": "Bob B." }));
    assert_eq!(alice.get(&path), json!({ "displayname": "Bob B." }));
    let (status, _) = alice.try_request(
        "GET",
        &format!("profile/@none:{}", there.server_name),
        &json!({}),
    );
    assert_eq!(status, 404);
}

#[test]
fn rooms_can_be_used_from_the_command_line() {
    let place = Place::new();
    let (here, there) = pair(&place);
    let (_alice, _bob) = (here.user("alice"), there.user("bob"));
    let run = |node: &Node, arguments: &[&str]| {
        let mut all = vec!["room", "--config", text(&node.config)];
        all.extend(arguments);
        let output = comity(&all);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    };
    let room = run(
        &here,
        &["create", "--name", "Tea", "--alias", "tea", "--public"],
    );
    let alias = format!("#tea:{}", here.server_name);
    assert_eq!(run(&there, &["join", &alias]), room);
    run(&there, &["send", &room, "hello", "from", "there"]);
    let members = run(&there, &["members", &alias]);
    assert_eq!(
        members
            .lines()
            .filter(|line| line.starts_with("join"))
            .count(),
        2,
        "{members}"
    );
    assert!(run(&there, &["history", &room]).ends_with("hello from there"));
    assert!(run(&there, &["list"]).contains("Tea (2 joined)"));
    assert!(run(&there, &["state", &room, "m.room.name"]).contains("\"Tea\""));
    let json = run(&there, &["--json", "history", &room, "--limit", "1"]);
    let page: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(page["chunk"][0]["content"]["body"], "hello from there");
}
