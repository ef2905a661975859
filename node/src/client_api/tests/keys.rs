//! Keys of devices and users, and messages to devices.

use super::*;

/// LIMIT-22.
#[test]
fn limit_22_a_key_that_stands_for_the_user_is_one_key() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let master = |keys: Value| {
        let key = json!({ "user_id": alice.user_id, "usage": ["master"], "keys": keys });
        json!({ "master_key": key })
    };
    for keys in [
        json!({}),
        json!({ "ed25519:A": "A", "ed25519:B": "B" }),
        json!([]),
    ] {
        let path = "keys/device_signing/upload";
        let refused = alice.refused(Method::POST, path, &master(keys));
        assert_eq!(refused, (400, "M_INVALID_PARAM".to_owned()));
    }
    let one = master(json!({ "ed25519:A": "A" }));
    alice.post("keys/device_signing/upload", &one);
}

/// LIMIT-16: whatever a client calls its transaction, and in however many pieces the messages go.
#[test]
fn limit_16_the_names_of_messages_to_devices_have_32_letters_at_most() {
    let stage = Stage::new();
    let alice = stage.client("alice");
    let long = "x".repeat(40 * 1024);
    let messages = json!({ "@erin:there.example": {
        "A": { "body": long }, "B": { "body": long }, "C": { "body": long },
    } });
    let transaction = "t".repeat(200);
    alice.put(
        &format!("sendToDevice/m.room_key/{transaction}"),
        &json!({ "messages": messages }),
    );
    let edus = stage.world.edus();
    let names: BTreeSet<&str> = edus
        .iter()
        .map(|content| content["message_id"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3);
    let short = |name: &&str| (1..=32).contains(&name.chars().count());
    assert!(names.iter().all(short), "{names:?}");
}
