//! Invites to a room one cannot enter otherwise.

use serde_json::Value;

use super::talking::is_heard;
use crate::failure::{Failure, demand, demand_refusal};
use crate::person::Person;
use crate::stage::{Stage, agree_on_state};

/// A private room lets in whom it invited, and no one else.
pub fn accepted(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let room = stage.private_room(&alice, &[])?;
    let early = bob.client.join(&room, &stage.via());
    demand_refusal(early, 403, "joining a private room without an invite")?;

    alice.client.invite(&room, bob.id())?;
    bob.watch_section(&room, "invite")?;
    shows_who_invites(&alice, &bob, &room)?;
    bob.client.join(&room, &stage.via())?;
    bob.watch_section(&room, "join")?;
    alice.watch_membership(&room, bob.id(), "join")?;
    is_heard(&mut bob, &mut alice, &room, "thank you")?;
    is_heard(&mut alice, &mut bob, &room, "welcome")?;
    agree_on_state(&alice.client, &bob.client, &room)
}

/// Who was invited says no, and the room is closed to them again.
pub fn refused(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let room = stage.private_room(&alice, &[bob.id()])?;
    bob.watch_section(&room, "invite")?;
    alice.watch_membership(&room, bob.id(), "invite")?;

    bob.client.leave(&room)?;
    bob.watch_section(&room, "leave")?;
    alice.watch_membership(&room, bob.id(), "leave")?;
    let late = bob.client.join(&room, &stage.via());
    demand_refusal(late, 403, "joining after the invite was refused")
}

/// The stripped state of the invite holds the invite itself and the room's name.
fn shows_who_invites(alice: &Person, bob: &Person, room: &str) -> Result<(), Failure> {
    let stripped = &bob.seen.room(room).invite_state;
    let is_the_invite = |event: &Value| {
        event["type"] == "m.room.member"
            && event["state_key"] == bob.id()
            && event["sender"] == alice.id()
            && event["content"]["membership"] == "invite"
    };
    let is_the_name = |event: &Value| event["content"]["name"] == "Parlour";
    let complete = stripped.iter().any(is_the_invite) && stripped.iter().any(is_the_name);
    demand(
        complete,
        format!("the invite shows too little: {stripped:?}"),
    )
}
