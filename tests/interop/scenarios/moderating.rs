//! Kicks and bans, from the room's own server and from a moderator on the other one.

use super::talking::is_heard;
use crate::failure::{Failure, demand, demand_refusal};
use crate::person::Person;
use crate::stage::{Stage, agree_on_state, power_levels_with};

/// Who was kicked is out but may come back.
pub fn kick(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    alice.client.kick(&room, bob.id())?;
    is_out(&alice, &mut bob, &room, "leave")?;

    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")?;
    is_heard(&mut bob, &mut alice, &room, "I shall behave")
}

/// Who was banned stays out until the ban is lifted.
pub fn ban(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob, room) = stage.shared_room()?;
    alice.client.ban(&room, bob.id())?;
    is_out(&alice, &mut bob, &room, "ban")?;
    let attempt = bob.client.join(&room, &stage.via());
    demand_refusal(attempt, 403, "joining despite a ban")?;

    alice.client.unban(&room, bob.id())?;
    alice.watch_membership(&room, bob.id(), "leave")?;
    stage.enter(&mut bob, &room)?;
    alice.watch_membership(&room, bob.id(), "join")?;
    is_heard(&mut bob, &mut alice, &room, "forgiven")?;
    agree_on_state(&alice.client, &bob.client, &room)
}

/// A user of the other server, once given the power, kicks and bans a user of the room's own.
pub fn remote_moderator(stage: &Stage) -> Result<(), Failure> {
    let (alice, mut bob, room) = stage.shared_room()?;
    let mut carol = stage.host()?;
    stage.enter(&mut carol, &room)?;
    bob.watch_membership(&room, carol.id(), "join")?;
    demand_refusal(
        bob.client.kick(&room, carol.id()),
        403,
        "a kick without the power to",
    )?;

    let levels = power_levels_with(&alice.client, &room, bob.id(), 50)?;
    let raised = alice
        .client
        .set_state(&room, "m.room.power_levels", "", &levels)?;
    bob.watch_event(&room, &raised)?;
    bob.client.kick(&room, carol.id())?;
    is_out(&alice, &mut carol, &room, "leave")?;
    stage.enter(&mut carol, &room)?;
    bob.watch_membership(&room, carol.id(), "join")?;

    bob.client.ban(&room, carol.id())?;
    is_out(&alice, &mut carol, &room, "ban")?;
    let attempt = carol.client.join(&room, &stage.via());
    demand_refusal(attempt, 403, "joining despite a ban")?;
    agree_on_state(&alice.client, &bob.client, &room)
}

/// The one who was put out is told, cannot talk, and does not hear what is said afterwards.
fn is_out(
    remaining: &Person,
    out: &mut Person,
    room: &str,
    membership: &str,
) -> Result<(), Failure> {
    out.watch_membership(room, out.id().to_owned().as_str(), membership)?;
    out.watch_section(room, "leave")?;
    demand_refusal(
        out.client.say(room, "still here", "still here"),
        403,
        "talking when put out",
    )?;
    let transaction = format!("about {} {membership}", out.id());
    let secret = remaining
        .client
        .say(room, &transaction, "among ourselves")?;
    out.settle()?;
    demand(
        !out.seen.room(room).has(&secret),
        "a message reached someone who was put out",
    )
}
