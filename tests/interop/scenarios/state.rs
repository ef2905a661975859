//! State events.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::person::{Person, eventually};
use crate::stage::{Stage, agree_on_state, power_levels_with};

/// Topics both ways, the power to set them, and an event type of our own.
pub fn shows_on_both_sides(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    set_and_show(
        &alice,
        &mut bob,
        &room,
        ["m.room.topic", ""],
        &json!({"topic": "From home"}),
    )?;

    let levels = power_levels_with(&alice.client, &room, bob.id(), 50)?;
    set_and_show(
        &alice,
        &mut bob,
        &room,
        ["m.room.power_levels", ""],
        &levels,
    )?;

    let topic = json!({"topic": "From away"});
    set_and_show(&bob, &mut alice, &room, ["m.room.topic", ""], &topic)?;
    let pinned = json!({"colour": "gr\u{fc}n", "nested": {"list": [1, "two", null, true]}});
    set_and_show(
        &bob,
        &mut alice,
        &room,
        ["org.example.comity", "a key/of its own"],
        &pinned,
    )?;
    agree_on_state(&alice.client, &bob.client, &room)
}

/// `setter` sets it, `watcher` sees the event and then reads the content as the current state.
pub fn set_and_show(
    setter: &Person,
    watcher: &mut Person,
    room: &str,
    [kind, key]: [&str; 2],
    content: &Value,
) -> Result<(), Failure> {
    let event = setter.client.set_state(room, kind, key, content)?;
    watcher.watch_event(room, &event)?;
    eventually(format!("{} reads the new {kind}", watcher.id()), || {
        Ok(watcher.client.state(room, kind, key)? == *content)
    })
}
