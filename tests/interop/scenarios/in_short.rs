//! Everything in one room, for the room versions of old: what differs between versions is the
//! events, not what users do.

use serde_json::json;

use super::{inviting, redacting, state::set_and_show, talking::is_heard};
use crate::failure::{Failure, demand_refusal};
use crate::person::Person;
use crate::stage::{Stage, agree_on_state, power_levels_with};

/// Joining, talking, power, redactions, leaving, kick and ban; and an invite to another room.
pub fn life_of_a_room(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    is_heard(&mut alice, &mut bob, &room, "welcome")?;
    is_heard(&mut bob, &mut alice, &room, "thank you")?;
    shares_power(&mut alice, &mut bob, &room)?;
    redacting::takes_back(&alice, &mut bob, &room)?;
    redacting::takes_back(&bob, &mut alice, &room)?;
    redacting::of_another(&bob, &mut alice, &room)?;
    comes_and_goes(stage, &mut alice, &mut bob, &room)?;
    is_heard(&mut alice, &mut bob, &room, "there you are")?;
    is_heard(&mut bob, &mut alice, &room, "here I am")?;
    agree_on_state(&alice.client, &bob.client, &room)?;
    inviting::accepted(stage)
}

/// Alice raises Bob, who then sets what needs the level.
fn shares_power(alice: &mut Person, bob: &mut Person, room: &str) -> Result<(), Failure> {
    let levels = power_levels_with(&alice.client, room, bob.id(), 50)?;
    set_and_show(alice, bob, room, ["m.room.power_levels", ""], &levels)?;
    let topic = json!({"topic": "From away"});
    set_and_show(bob, alice, room, ["m.room.topic", ""], &topic)
}

/// By himself, then by a kick and a ban that is lifted.
fn comes_and_goes(
    stage: &Stage,
    alice: &mut Person,
    bob: &mut Person,
    room: &str,
) -> Result<(), Failure> {
    bob.client.leave(room)?;
    alice.watch_membership(room, bob.id(), "leave")?;
    returns(stage, alice, bob, room)?;

    alice.client.kick(room, bob.id())?;
    bob.watch_section(room, "leave")?;
    alice.client.ban(room, bob.id())?;
    let attempt = bob.client.join(room, &stage.via());
    demand_refusal(attempt, 403, "joining despite a ban")?;
    alice.client.unban(room, bob.id())?;
    alice.watch_membership(room, bob.id(), "leave")?;
    returns(stage, alice, bob, room)
}

fn returns(stage: &Stage, alice: &mut Person, bob: &mut Person, room: &str) -> Result<(), Failure> {
    stage.enter(bob, room)?;
    alice.watch_membership(room, bob.id(), "join")
}
