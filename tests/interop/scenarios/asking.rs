//! What one server asks the other for, on behalf of its users, each way.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::failure::{Failure, demand};
use crate::person::eventually;
use crate::stage::Stage;

/// A newcomer looks for what was said before they came, by the time when it was said.
pub fn what_was_said_when(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let room = stage.public_room(&alice)?;
    let first = alice.client.say(&room, "1", "the first words")?;
    let time = alice.client.event(&room, &first)?["origin_server_ts"].clone();
    alice.client.say(&room, "2", "some more")?;
    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")?;
    let segment = segment(&room);
    let path = format!("v1/rooms/{segment}/timestamp_to_event?dir=f&ts={time}");
    eventually("the other server's event is found by its time", || {
        let found = bob.client.ask("GET", &path, None)?;
        demand(found["event_id"] == *first, format!("it was {found}"))?;
        let event = bob.client.event(&room, &first)?;
        let body = &event["content"]["body"];
        demand(body == "the first words", format!("it was {event}"))?;
        Ok(true)
    })
}

/// What was uploaded to one server is seen on the other.
pub fn files(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob) = (stage.host()?, stage.guest()?);
    let file = json!({"a file": ["of", "some", "words"]});
    let uri = alice.client.upload(&file)?;
    let path = uri.trim_start_matches("mxc://");
    let path = format!("v1/media/download/{path}");
    let seen = bob.client.ask("GET", &path, None)?;
    demand(seen == file, format!("it was {seen}"))
}

/// A published room is listed to users of the other server, and found by what it is called.
pub fn published_rooms(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob) = (stage.host()?, stage.guest()?);
    let name = format!("The room of {}", alice.id());
    let options = json!({"preset": "public_chat", "visibility": "public", "name": name});
    let room = alice.client.create_room(stage.version, &options)?;
    let server = segment(stage.home.server_name());
    let path = format!("v3/publicRooms?server={server}");
    let search = json!({"filter": {"generic_search_term": alice.id()}});
    eventually("the room is listed and found", || {
        let listed = bob.client.ask("GET", &path, None)?;
        let found = bob.client.ask("POST", &path, Some(&search))?;
        Ok([listed, found]
            .iter()
            .all(|rooms| lists(rooms, "chunk", &room)))
    })
}

fn lists(answer: &Value, part: &str, room: &str) -> bool {
    let mut rooms = answer[part].as_array().into_iter().flatten();
    rooms.any(|found| found["room_id"] == room)
}

/// Who is in a space of the other server sees the rooms in it.
pub fn a_space(stage: &Stage) -> Result<(), Failure> {
    let (alice, mut bob) = (stage.host()?, stage.guest()?);
    let options = json!({
        "preset": "public_chat", "name": "Space", "creation_content": {"type": "m.space"},
    });
    let space = alice.client.create_room(stage.version, &options)?;
    let child = stage.public_room(&alice)?;
    let content = json!({"via": stage.via()});
    alice
        .client
        .set_state(&space, "m.space.child", &child, &content)?;
    stage.enter(&mut bob, &space)?;
    let path = format!("v1/rooms/{}/hierarchy", segment(&space));
    eventually("the room in the space is shown", || {
        let shown = bob.client.ask("GET", &path, None)?;
        Ok(lists(&shown, "rooms", &space) && lists(&shown, "rooms", &child))
    })
}

/// Who knocks is let in.
pub fn knocking(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let rules = json!({"type": "m.room.join_rules", "content": {"join_rule": "knock"}});
    let options = json!({"preset": "private_chat", "initial_state": [rules]});
    let room = alice.client.create_room(stage.version, &options)?;
    let via = segment(stage.home.server_name());
    let path = format!("v3/knock/{}?via={via}&server_name={via}", segment(&room));
    bob.client.ask("POST", &path, Some(&json!({})))?;
    alice.watch_membership(&room, bob.id(), "knock")?;
    alice.client.invite(&room, bob.id())?;
    bob.watch_section(&room, "invite")?;
    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")
}

/// A user finds the devices of one of the other server, claims a key and says something to them.
pub fn devices(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob) = (stage.host()?, stage.guest()?);
    let device = device_of(&alice.client)?;
    upload_keys(&alice.client, &device)?;
    let query = json!({"device_keys": {alice.id(): []}});
    let claim = json!({"one_time_keys": {alice.id(): {&device: "signed_curve25519"}}});
    eventually("the keys of the device are found", || {
        let found = bob.client.ask("POST", "v3/keys/query", Some(&query))?;
        let key = &found["device_keys"][alice.id()][&device]["keys"];
        Ok(key[format!("curve25519:{device}")] == "a key")
    })?;
    let claimed = bob.client.ask("POST", "v3/keys/claim", Some(&claim))?;
    let key = &claimed["one_time_keys"][alice.id()][&device]["signed_curve25519:1"]["key"];
    demand(key == "used once", format!("it was {claimed}"))?;

    // A sync that is asked again is answered by Synapse with the same again, for two minutes.
    let mut since = alice.client.sync(None, Duration::ZERO)?["next_batch"].clone();
    let messages = json!({"messages": {alice.id(): {&device: {"said": "in private"}}}});
    let path = format!("v3/sendToDevice/org.example.test/{}", segment(&device));
    bob.client.ask("PUT", &path, Some(&messages))?;
    eventually("the message to the device arrives", || {
        let seen = alice.client.sync(since.as_str(), Duration::ZERO)?;
        since = seen["next_batch"].clone();
        let mut events = seen["to_device"]["events"].as_array().into_iter().flatten();
        Ok(events.any(|event| event["content"]["said"] == "in private"))
    })
}

fn device_of(client: &Client) -> Result<String, Failure> {
    let answer = client.ask("GET", "v3/account/whoami", None)?;
    let device = answer["device_id"].as_str().map(str::to_owned);
    device.ok_or_else(|| Failure::Wrong(format!("no device: {answer}")))
}

/// Nobody here can tell that these are no keys.
fn upload_keys(client: &Client, device: &str) -> Result<(), Failure> {
    let (user, name) = (client.user_id(), format!("curve25519:{device}"));
    let signatures = json!({user: {format!("ed25519:{device}"): "a signature"}});
    let keys = json!({
        "device_keys": {
            "user_id": user, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {name: "a key"}, "signatures": signatures,
        },
        "one_time_keys": {
            "signed_curve25519:1": {"key": "used once", "signatures": signatures},
        },
    });
    client.ask("POST", "v3/keys/upload", Some(&keys)).map(drop)
}
