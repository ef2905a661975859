//! Messages.

use crate::failure::Failure;
use crate::person::{Person, Speech};
use crate::stage::{Stage, agree_on_state};

/// Both talk at the same time.
pub fn ten_messages_each_way(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    let words: Vec<String> = (1..=10).map(|number| format!("message {number}")).collect();
    for word in &words {
        alice.client.say(&room, word, word)?;
        bob.client.say(&room, word, word)?;
    }
    let (alice_id, bob_id) = (alice.id().to_owned(), bob.id().to_owned());
    let speeches = [
        Speech {
            room: &room,
            sender: &alice_id,
            words: &words,
        },
        Speech {
            room: &room,
            sender: &bob_id,
            words: &words,
        },
    ];
    for person in [&mut alice, &mut bob] {
        person.hear(&speeches)?;
    }
    agree_on_state(&alice.client, &bob.client, &room)
}

/// One more message from `speaker`, heard by `listener`.
pub fn is_heard(
    speaker: &mut Person,
    listener: &mut Person,
    room: &str,
    words: &str,
) -> Result<(), Failure> {
    let event = speaker.client.say(room, words, words)?;
    listener.watch_event(room, &event)
}
