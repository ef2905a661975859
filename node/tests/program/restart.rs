//! What survives a stop and a crash.

use serde_json::json;

use crate::node::{Follower, Place};

#[test]
fn a_server_that_is_asked_to_stop_does_so_cleanly() {
    let place = Place::new();
    for runtime in ["smol", "sync"] {
        let mut node = place.node(runtime);
        node.start(runtime);
        let alice = node.user("alice");
        let room_id = alice.create_room(&json!({ "name": "Tea" }));
        std::thread::scope(|scope| {
            let since = alice.get("sync")["next_batch"].as_str().unwrap().to_owned();
            let waiting = scope.spawn({
                let alice = &alice;
                move || alice.get(&format!("sync?timeout=30000&since={since}"))
            });
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert_eq!(node.stop(), Some(0), "{runtime}");
            waiting.join().unwrap();
        });
        node.start(runtime);
        assert_eq!(alice.get("joined_rooms")["joined_rooms"], json!([room_id]));
    }
}

#[test]
fn nothing_is_lost_repeated_or_sent_twice_across_crashes() {
    let place = Place::new();
    for runtime in ["smol", "sync"] {
        let mut node = place.node(runtime);
        node.start(runtime);
        let (alice, bob) = (node.user("alice"), node.user("bob"));
        let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
        bob.post(&format!("join/{room_id}"), &json!({}));
        let mut follower = Follower::new(&bob, &room_id);
        let mut said = Vec::new();
        for round in 0..4 {
            for number in 0..5 {
                let text = format!("{round}-{number}");
                let event_id = alice.say(&room_id, &text);
                if number == 2 {
                    node.kill();
                    node.start(runtime);
                    assert_eq!(alice.say(&room_id, &text), event_id, "{runtime}");
                }
                said.push(text);
            }
            follower.sync();
        }
        assert_eq!(follower.hear(said.len()), said, "{runtime}");
        follower.sync();
        assert_eq!(follower.heard, said, "{runtime}");
    }
}
