//! What other servers say that is no event.

use std::time::{Duration, Instant};

use comity_core::messaging::{
    device_keys::{Device, DeviceList},
    notice::Notice,
};

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
        known = alice.sync(&format!("{}&timeout=30000", since(&known)));
        let room = &known["rooms"]["join"][&room_id];
        let content = &room["ephemeral"]["events"][0]["content"];
        assert_eq!(content[expected]["m.read"][ERIN]["ts"], 5, "{event_ids}");
    }
}

/// DEV-2: the devices of somebody whom the user shares a room with are asked for, and then known;
/// those of others are asked for each time.
#[test]
fn dev_2_devices_are_known_once_they_were_asked_for() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    let keys = json!({ "user_id": ERIN, "device_id": "E", "keys": {} });
    let device = Device {
        device_id: "E".to_owned(),
        keys: keys.clone(),
        device_display_name: None,
    };
    stage.world.has_devices(DeviceList {
        user_id: ERIN.try_into().unwrap(),
        stream_id: 5,
        devices: vec![device],
        master_key: None,
        self_signing_key: None,
    });
    let wanted = json!({ "device_keys": { ERIN: [] } });
    let is_asked = || {
        let before = stage.world.keys_asked();
        let answer = alice.post("keys/query", &wanted);
        assert_eq!(answer["device_keys"][ERIN]["E"], keys);
        stage.world.keys_asked() != before
    };
    for _ in 0..3 {
        assert!(is_asked(), "they share no room");
    }
    stage.joins(&room_id, ERIN);
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_asked() {
        assert!(Instant::now() < deadline, "it is never known");
    }
    assert!(!is_asked());
    stage.world.arrive(&Draft {
        room_id: &room_id,
        sender: ERIN,
        event_type: "m.room.member",
        state_key: Some(ERIN),
        content: json!({ "membership": "leave" }),
    });
    stage.joins(&room_id, ERIN);
    assert!(is_asked(), "we may not have heard of changes");
}

/// EDU-2: whoever asks for news is there, unless they say otherwise.
#[test]
fn edu_2_whoever_asks_for_news_is_there() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let room_id = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.post(&format!("join/{room_id}"), &json!({}));
    let mut known = alice.sync("set_presence=offline");
    let mut presence = |how: &str| {
        bob.sync(how);
        let query = format!("{}&set_presence=offline", since(&known));
        known = alice.sync(&query);
        known["presence"]["events"][0]["content"]["presence"].clone()
    };
    assert_eq!(presence("set_presence=offline"), Value::Null);
    assert_eq!(presence(""), "online");
    assert_eq!(
        presence("set_presence=online"),
        Value::Null,
        "that is known"
    );
    assert_eq!(presence("set_presence=unavailable"), "unavailable");
    let refused = alice.refused(Method::GET, "sync?set_presence=away", &json!({}));
    assert_eq!(refused, (400, "M_INVALID_PARAM".to_owned()));
}
