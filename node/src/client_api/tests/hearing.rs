//! What other servers say that is no event.

use comity_core::messaging::notice::Notice;

use super::{world::Draft, *};

/// A user of another server in a room.
const ERIN: &str = "@erin:there.example";

impl Stage {
    fn joins(&self, room_id: &str, user_id: &str) {
        self.world.arrive(&Draft {
            room_id,
            sender: user_id,
            event_type: "m.room.member",
            state_key: Some(user_id),
            content: json!({ "membership": "join" }),
        });
    }

    fn hears(&self, edu_type: &str, content: Value) {
        self.world.tell(&Notice::Edu {
            origin: "there.example".try_into().unwrap(),
            edu_type: edu_type.to_owned(),
            content: content.as_object().unwrap().clone(),
            acknowledge: None,
        });
    }
}

/// LIMIT-17: there should be one event in a receipt; of several the last that came here counts.
#[test]
fn limit_17_of_several_events_in_a_receipt_the_last_that_came_counts() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    stage.joins(&room_id, ERIN);
    let [one, two] = ["one", "two"].map(|said| alice.say(&room_id, said));
    let mut known = alice.sync("");
    for (event_ids, expected) in [
        (json!([one]), &*one),
        (json!([two, one]), &two),
        (json!(["$unknown", "$other"]), "$unknown"),
    ] {
        let read = json!({ ERIN: { "event_ids": event_ids, "data": { "ts": 5 } } });
        stage.hears("m.receipt", json!({ &room_id: { "m.read": read } }));
        known = alice.sync(&format!(
            "since={}&timeout=30000",
            text(&known, "next_batch")
        ));
        let room = &known["rooms"]["join"][&room_id];
        let content = &room["ephemeral"]["events"][0]["content"];
        assert_eq!(content[expected]["m.read"][ERIN]["ts"], 5, "{event_ids}");
    }
}
