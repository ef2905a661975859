//! Joins by federation, and what is asked by federation before them.

use std::collections::BTreeSet;

use serde_json::json;

use crate::failure::{Failure, demand};
use crate::person::{Person, eventually};
use crate::stage::{Stage, agree_on_state};

/// By room id, through a server that is in the room.
pub fn by_room_id(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let room = stage.public_room(&alice)?;
    let joined = bob.client.join(&room, &stage.via())?;
    demand(joined == room, format!("joining {room} led to {joined}"))?;
    both_are_in(&mut alice, &mut bob, &room)
}

/// By alias alone, after the directory was asked for it.
pub fn by_alias(stage: &Stage) -> Result<(), Failure> {
    let (mut alice, mut bob) = (stage.host()?, stage.guest()?);
    let name = alice
        .id()
        .trim_start_matches('@')
        .split(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let options = json!({"preset": "public_chat", "room_alias_name": name});
    let room = alice.client.create_room(stage.version, &options)?;
    let alias = format!("#{name}:{}", stage.home.server_name());

    let found = bob.client.resolve_alias(&alias)?;
    demand(
        found["room_id"] == room.as_str(),
        format!("{alias} is said to be {found}"),
    )?;
    let joined = bob.client.join(&alias, &[])?;
    demand(
        joined == room,
        format!("joining {alias} led to {joined}, not {room}"),
    )?;
    both_are_in(&mut alice, &mut bob, &room)
}

/// A profile asked of the other server is the one that server shows itself.
pub fn profile(stage: &Stage) -> Result<(), Failure> {
    let (alice, bob) = (stage.host()?, stage.guest()?);
    let own = alice.client.profile(alice.id())?;
    let remote = bob.client.profile(alice.id())?;
    demand(
        own["displayname"] == remote["displayname"],
        format!("{own} is shown as {remote}"),
    )
}

fn both_are_in(alice: &mut Person, bob: &mut Person, room: &str) -> Result<(), Failure> {
    bob.watch_section(room, "join")?;
    alice.watch_membership(room, bob.id(), "join")?;
    let both = BTreeSet::from([alice.id().to_owned(), bob.id().to_owned()]);
    for person in [&*alice, &*bob] {
        eventually(format!("{} sees two members", person.id()), || {
            let joined = BTreeSet::from_iter(person.client.joined_members(room)?);
            Ok(joined == both && person.client.members(room)?.len() == both.len())
        })?;
    }
    agree_on_state(&alice.client, &bob.client, room)
}
