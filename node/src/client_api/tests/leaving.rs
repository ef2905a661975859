//! Rooms that were left.

use super::*;

#[test]
fn a_forgotten_room_is_gone_until_something_happens_between_it_and_the_user() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    let forget = format!("rooms/{room_id}/forget");
    bob.post(&format!("join/{room_id}"), &json!({}));
    let refused = bob.refused(Method::POST, &forget, &json!({}));
    assert_eq!(refused, (400, "M_UNKNOWN".to_owned()));

    let left = format!("filter={}", r#"{"room":{"include_leave":true}}"#);
    let left_rooms = || bob.sync(&left.replace('"', "%22"))["rooms"]["leave"].clone();
    bob.post(&format!("rooms/{room_id}/leave"), &json!({}));
    assert!(left_rooms()[&room_id].is_object());
    bob.get(&format!("rooms/{room_id}/messages?dir=b"));
    bob.post(&forget, &json!({}));
    bob.post(&forget, &json!({}));
    assert_eq!(left_rooms(), json!({}));
    let messages = format!("rooms/{room_id}/messages?dir=b");
    let refused = bob.refused(Method::GET, &messages, &json!({}));
    assert_eq!(refused, (403, "M_FORBIDDEN".to_owned()));

    let invite = json!({ "user_id": bob.user_id });
    alice.post(&format!("rooms/{room_id}/invite"), &invite);
    assert!(bob.sync("")["rooms"]["invite"][&room_id].is_object());
    bob.post(&format!("join/{room_id}"), &json!({}));
    bob.get(&messages);
}
