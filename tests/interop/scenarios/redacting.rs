//! Redactions.

use crate::failure::Failure;
use crate::person::{Person, eventually};
use crate::stage::Stage;

pub fn own_message(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    is_redacted(&alice, &alice, &mut bob, &room)?;
    is_redacted(&bob, &bob, &mut alice, &room)
}

pub fn message_of_another(stage: &Stage) -> Result<(), Failure> {
    let (alice, mut bob, room) = stage.shared_room()?;
    let speaker = Person::new(bob.client.clone())?;
    let mut watcher = Person::new(alice.client.clone())?;
    let regretted = said_and_seen(&speaker, &mut watcher, &room)?;
    let redaction = alice.client.redact(&room, &regretted, "tidy")?;
    bob.watch_event(&room, &redaction)?;
    for person in [&alice, &bob] {
        is_bare(person, &room, &regretted)?;
    }
    Ok(())
}

/// `speaker` says something, `redactor` takes it back, and `watcher`'s server shows it bare.
fn is_redacted(
    speaker: &Person,
    redactor: &Person,
    watcher: &mut Person,
    room: &str,
) -> Result<(), Failure> {
    let regretted = said_and_seen(speaker, watcher, room)?;
    let redaction = redactor.client.redact(room, &regretted, "take back")?;
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
            let bare = |event: &serde_json::Value| event["content"] == serde_json::json!({});
            Ok(bare(&alone) && listed.is_some_and(bare))
        },
    )
}
