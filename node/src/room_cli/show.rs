//! Events and rooms as lines for people.

use serde_json::{Map, Value};

/// The text at a JSON pointer; empty if there is none.
pub(super) fn text_of(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The list at a JSON pointer; empty if there is none.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect()
}

/// An event of a timeline.
pub(super) fn event(event: &Value) -> String {
    let sender = text_of(event, "/sender");
    let what = match text_of(event, "/type").as_str() {
        "m.room.message" => text_of(event, "/content/body"),
        "m.room.member" => {
            format!(
                "* {} {}",
                text_of(event, "/state_key"),
                text_of(event, "/content/membership")
            )
        }
        "m.room.redaction" => format!("* redacted {}", text_of(event, "/redacts")),
        event_type => format!("* {event_type} {}", content_of(event)),
    };
    format!("{} {sender}  {}", clock_time(event), printable(&what))
}

/// A member event, as an entry of a list.
pub(super) fn member(event: &Value) -> String {
    let membership = text_of(event, "/content/membership");
    let name = text_of(event, "/content/displayname");
    format!(
        "{membership:<7} {}  {}",
        text_of(event, "/state_key"),
        printable(&name)
    )
    .trim_end()
    .to_owned()
}

/// A state event, as an entry of a list.
pub(super) fn state_event(event: &Value) -> String {
    let key = text_of(event, "/state_key");
    format!("{} {key:?} {}", text_of(event, "/type"), content_of(event))
}

/// The rooms of a `sync`, one line each.
pub(super) fn rooms(rooms: &Value) -> Vec<String> {
    let none = Map::new();
    let of = |kind: &str| {
        rooms
            .get(kind)
            .and_then(Value::as_object)
            .unwrap_or(&none)
            .iter()
    };
    let joined = of("join").map(|(room_id, room)| {
        let events = list(room, "/state/events");
        let count = room
            .pointer("/summary/m.joined_member_count")
            .and_then(Value::as_u64);
        format!(
            "join    {room_id}  {} ({} joined)",
            room_name(&events),
            count.unwrap_or_default()
        )
    });
    let invited = of("invite").map(|(room_id, room)| {
        format!(
            "invite  {room_id}  {}",
            room_name(&list(room, "/invite_state/events"))
        )
    });
    joined.chain(invited).collect()
}

fn room_name(state: &[&Value]) -> String {
    let named = state
        .iter()
        .find(|event| text_of(event, "/type") == "m.room.name");
    named.map_or_else(String::new, |event| {
        printable(&text_of(event, "/content/name"))
    })
}

fn content_of(event: &Value) -> String {
    event
        .get("content")
        .map(Value::to_string)
        .unwrap_or_default()
}

/// Hours, minutes and seconds of the day, UTC.
fn clock_time(event: &Value) -> String {
    let milliseconds = event
        .get("origin_server_ts")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let seconds = milliseconds / 1000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// What others wrote must not move the cursor or change colours.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_shown_with_time_and_sender_and_without_control_characters() {
        let message = json!({
            "type": "m.room.message",
            "sender": "@alice:a",
            "origin_server_ts": 3_723_004_u64,
            "content": { "body": "hi\u{1b}[31m\nthere" },
        });
        assert_eq!(event(&message), "01:02:03 @alice:a  hi [31m there");
    }

    #[test]
    fn rooms_are_listed_with_their_names() {
        let name = json!({ "type": "m.room.name", "content": { "name": "Tea" } });
        let rooms_of_sync = json!({
            "join": { "!r": { "state": { "events": [name] },
                              "summary": { "m.joined_member_count": 3 } } },
            "invite": { "!s": { "invite_state": { "events": [name] } } },
        });
        assert_eq!(
            rooms(&rooms_of_sync),
            ["join    !r  Tea (3 joined)", "invite  !s  Tea"]
        );
    }
}
