//! What was said before one came.

use serde_json::Value;

use crate::failure::{Failure, demand};
use crate::person::eventually;
use crate::stage::Stage;

/// A newcomer pages back to the creation of the room.
pub fn before_the_join(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let room = stage.public_room(&alice)?;
    let words: Vec<String> = (1..=30)
        .map(|number| format!("long ago {number}"))
        .collect();
    for word in &words {
        alice.client.say(&room, word, word)?;
    }
    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")?;

    eventually(
        "the whole history can be fetched, in order and once",
        || {
            let history = bob.history(&room, 7)?;
            let told: Vec<&str> = history
                .iter()
                .filter_map(|event| event["content"]["body"].as_str())
                .collect();
            demand(told == words, format!("it was {told:?}"))?;
            begins_with_creation(&history)?;
            Ok(true)
        },
    )
}

fn begins_with_creation(history: &[Value]) -> Result<(), Failure> {
    let first = history.first().map(|event| &event["type"]);
    demand(
        first.is_some_and(|kind| kind == "m.room.create"),
        format!("it begins with {first:?}"),
    )
}
