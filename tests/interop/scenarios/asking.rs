//! What one server asks the other for, on behalf of its users, each way.

use crate::client::segment;
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
