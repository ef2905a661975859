//! What stands around an event.

use super::*;

/// A room where ten things were said, and their ids.
fn talk(alice: &Client) -> (String, Vec<String>) {
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    let said = (0..10).map(|n| alice.say(&room_id, &n.to_string()));
    let said = said.collect();
    (room_id, said)
}

#[test]
fn an_event_is_shown_between_what_came_before_and_after() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let (room_id, said) = talk(&alice);
    let around = alice.get(&format!("rooms/{room_id}/context/{}?limit=4", said[5]));
    assert_eq!(around["event"]["content"]["body"], "5");
    assert_eq!(bodies(&around["events_before"]), ["4", "3"]);
    assert_eq!(bodies(&around["events_after"]), ["6", "7"]);
    assert!(around["state"].as_array().unwrap().len() >= 4);

    let page = |from: &str, direction: &str| {
        let from = text(&around, from);
        alice.get(&format!(
            "rooms/{room_id}/messages?from={from}&dir={direction}&limit=2"
        ))
    };
    assert_eq!(bodies(&page("start", "b")["chunk"]), ["2", "1"]);
    assert_eq!(bodies(&page("end", "f")["chunk"]), ["8", "9"]);

    let alone = alice.get(&format!("rooms/{room_id}/context/{}?limit=0", said[0]));
    assert_eq!(alone["event"]["content"]["body"], "0");
    assert_eq!(
        (&alone["events_before"], &alone["events_after"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn nothing_is_shown_to_who_may_not_see_it_or_from_after_they_left() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let (room_id, said) = talk(&alice);
    let path = format!("rooms/{room_id}/context/{}?limit=50", said[9]);
    let refused = bob.refused(Method::GET, &path, &json!({}));
    assert_eq!(refused, (403, "M_FORBIDDEN".to_owned()));
    bob.post(&format!("join/{room_id}"), &json!({}));
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    let after = alice.say(&room_id, "unheard");
    let around = bob.get(&path);
    assert_eq!(bodies(&around["events_before"]).len(), 9);
    assert_eq!(bodies(&around["events_after"]), [""; 0]);
    let path = format!("rooms/{room_id}/context/{after}");
    let refused = bob.refused(Method::GET, &path, &json!({}));
    assert_eq!(refused, (404, "M_NOT_FOUND".to_owned()));
}
