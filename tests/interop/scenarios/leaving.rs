//! Going and coming back.

use super::talking::is_heard;
use crate::failure::{Failure, demand, demand_refusal};
use crate::person::eventually;
use crate::stage::{Stage, agree_on_state};

/// Who left hears nothing, and on coming back can read what was said meanwhile.
pub fn and_rejoining(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    is_heard(&mut bob, &mut alice, &room, "hello")?;
    bob.client.leave(&room)?;
    alice.watch_membership(&room, bob.id(), "leave")?;
    bob.watch_section(&room, "leave")?;
    demand_refusal(
        bob.client.say(&room, "gone", "gone"),
        403,
        "talking after leaving",
    )?;

    let missed = alice
        .client
        .say(&room, "while you were out", "while you were out")?;
    bob.settle()?;
    demand(
        !bob.seen.room(&room).has(&missed),
        "a message reached someone who had left",
    )?;

    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")?;
    is_heard(&mut bob, &mut alice, &room, "back again")?;
    is_heard(&mut alice, &mut bob, &room, "welcome back")?;
    eventually("the message of meanwhile can be fetched", || {
        Ok(bob
            .history(&room, 20)?
            .iter()
            .any(|event| event["event_id"] == missed.as_str()))
    })?;
    agree_on_state(&alice.client, &bob.client, &room)
}
