//! Redactions.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::person::{Person, eventually};
use crate::stage::Stage;

/// Each takes back a message of their own.
pub fn own_message(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    takes_back(&alice, &mut bob, &room)?;
    takes_back(&bob, &mut alice, &room)
}

/// The room's creator redacts what someone on the other server said.
pub fn message_of_another(stage: &Stage) -> Result<(), Failure> {
    let (alice, mut bob, room) = stage.shared_room()?;
    of_another(&alice, &mut bob, &room)
}

/// `moderator` redacts what `speaker` said.
pub fn of_another(moderator: &Person, speaker: &mut Person, room: &str) -> Result<(), Failure> {
    let regretted = speaker.client.say(room, "too much", "I did mean it")?;
    eventually(format!("{} sees what to redact", moderator.id()), || {
        let history = moderator.history(room, 50)?;
        Ok(history.iter().any(|event| event["event_id"] == *regretted))
    })?;
    let redaction = moderator.client.redact(room, &regretted, "tidy")?;
    speaker.watch_event(room, &redaction)?;
    is_bare(moderator, room, &regretted)?;
    is_bare(speaker, room, &regretted)
}

/// `speaker` redacts what they said, as `watcher` sees.
pub fn takes_back(speaker: &Person, watcher: &mut Person, room: &str) -> Result<(), Failure> {
    let regretted = said_and_seen(speaker, watcher, room)?;
    let redaction = speaker.client.redact(room, &regretted, "take back")?;
    watcher.watch_event(room, &redaction)?;
    is_bare(watcher, room, &regretted)?;
    is_bare(speaker, room, &regretted)
}

fn said_and_seen(speaker: &Person, watcher: &mut Person, room: &str) -> Result<String, Failure> {
    let event = speaker.client.say(room, "regretted", "I did not mean it")?;
    watcher.watch_event(room, &event)?;
    Ok(event)
}

/// The event is without content, alone and in the history.
fn is_bare(person: &Person, room: &str, event: &str) -> Result<(), Failure> {
    eventually(
        format!("{} no longer sees what {event} said", person.id()),
        || {
            let alone = person.client.event(room, event)?;
            let history = person.history(room, 50)?;
            let listed = history.iter().find(|other| other["event_id"] == event);
            let bare = |event: &Value| event["content"] == json!({});
            Ok(bare(&alone) && listed.is_some_and(bare))
        },
    )
}
