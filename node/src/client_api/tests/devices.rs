//! Devices: listed, named, logged out.

use super::*;

/// A further client of a user who has one.
fn another(stage: &Stage, of: &Client) -> Client {
    let name = of.user_id[1..].split(':').next().unwrap();
    stage.client(name)
}

fn device_of(client: &Client) -> String {
    text(&client.get("account/whoami"), "device_id").to_owned()
}

fn device_ids(client: &Client) -> BTreeSet<String> {
    let list = client.get("devices");
    let devices = list["devices"].as_array().unwrap().iter();
    devices
        .map(|device| text(device, "device_id").to_owned())
        .collect()
}

fn is_out(client: &Client) -> bool {
    let answer = client.refused(Method::GET, "account/whoami", &json!({}));
    answer == (401, "M_UNKNOWN_TOKEN".to_owned())
}

#[test]
fn a_user_sees_and_names_their_devices_and_nobody_elses() {
    let stage = Stage::new();
    let (alice, bob) = (stage.client("alice"), stage.client("bob"));
    let phone = another(&stage, &alice);
    let (id, other) = (device_of(&phone), device_of(&bob));
    assert_eq!(device_ids(&alice), [device_of(&alice), id.clone()].into());

    let path = format!("devices/{id}");
    assert_eq!(alice.get(&path)["display_name"], Value::Null);
    alice.put(&path, &json!({ "display_name": "phone" }));
    alice.put(&path, &json!({}));
    assert_eq!(phone.get(&path)["display_name"], "phone");
    for path in [format!("devices/{other}"), "devices/NONE".to_owned()] {
        let name = json!({ "display_name": "mine" });
        for method in [Method::GET, Method::PUT] {
            let refused = alice.refused(method, &path, &name);
            assert_eq!(refused, (404, "M_NOT_FOUND".to_owned()), "{path}");
        }
    }
}

#[test]
fn a_device_is_removed_by_whoever_knows_the_password() {
    let stage = Stage::new();
    let (alice, phone, clock) = (
        stage.client("alice"),
        stage.client("alice"),
        stage.client("alice"),
    );
    stage.accounts.set_password("alice", "sesame").unwrap();
    let path = format!("devices/{}", device_of(&phone));
    let (status, asked) = alice.request(Method::DELETE, &path, &json!({}));
    assert_eq!(status, 401);
    assert_eq!(asked["flows"], json!([{ "stages": ["m.login.password"] }]));
    let auth = |password: &str| {
        let session = &asked["session"];
        json!({ "type": "m.login.password", "password": password, "session": session })
    };
    let wrong = json!({ "auth": auth("open") });
    assert_eq!(alice.request(Method::DELETE, &path, &wrong).0, 401);
    assert!(!is_out(&phone));
    alice.ok(Method::DELETE, &path, &json!({ "auth": auth("sesame") }));
    assert!(is_out(&phone));

    let several = json!({ "devices": [device_of(&clock), "NONE"], "auth": auth("sesame") });
    alice.post("delete_devices", &several);
    assert!(is_out(&clock));
    assert_eq!(device_ids(&alice), [device_of(&alice)].into());
}

#[test]
fn all_devices_of_a_user_log_out_at_once() {
    let stage = Stage::new();
    let (alice, phone, bob) = (
        stage.client("alice"),
        stage.client("alice"),
        stage.client("bob"),
    );
    alice.post("logout/all", &json!({}));
    assert!(is_out(&alice) && is_out(&phone));
    assert!(!is_out(&bob));
}

/// EDU-5: whoever shares a room with the user is told that a device is gone, if it had keys.
#[test]
fn edu_5_others_are_told_of_the_devices_that_log_out() {
    let stage = Stage::new();
    let (alice, phone) = (stage.client("alice"), stage.client("alice"));
    let id = device_of(&phone);
    let keys = json!({ "device_keys": { "user_id": phone.user_id, "device_id": id } });
    phone.post("keys/upload", &keys);
    alice.post("logout/all", &json!({}));
    let deleted: Vec<_> = stage.world.edus();
    let deleted: Vec<_> = deleted
        .iter()
        .filter(|edu| edu.get("deleted") == Some(&true.into()))
        .map(|edu| edu["device_id"].clone())
        .collect();
    assert_eq!(deleted, [id]);
}
