//! Where a scenario plays: a server that makes the rooms, another that comes to them by
//! federation, and one room version.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::Failure;
use crate::homeserver::Homeserver;
use crate::person::{Person, eventually};

/// The room versions every scenario is played in.
pub const ROOM_VERSIONS: [&str; 3] = ["10", "11", "12"];

/// The room versions in which a short scenario has to do.
pub const ROOM_VERSIONS_OF_OLD: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Two servers with their parts given out.
pub struct Stage {
    /// Makes the rooms.
    pub home: Arc<dyn Homeserver>,
    /// Comes to them by federation.
    pub away: Arc<dyn Homeserver>,
    pub version: &'static str,
}

impl Stage {
    /// A new user of the server that makes the rooms.
    pub fn host(&self) -> Result<Person, Failure> {
        newcomer(&*self.home, "alice")
    }

    /// A new user of the other server.
    pub fn guest(&self) -> Result<Person, Failure> {
        newcomer(&*self.away, "bob")
    }

    /// The servers to join a room of this stage through.
    pub fn via(&self) -> [&str; 1] {
        [self.home.server_name()]
    }

    /// A room everyone may join.
    pub fn public_room(&self, creator: &Person) -> Result<String, Failure> {
        creator
            .client
            .create_room(self.version, &json!({"preset": "public_chat"}))
    }

    /// A room one must be invited to; `invited` are from the start.
    pub fn private_room(&self, creator: &Person, invited: &[&str]) -> Result<String, Failure> {
        let options = json!({"preset": "private_chat", "name": "Parlour", "invite": invited});
        creator.client.create_room(self.version, &options)
    }

    /// A host and a guest in a public room, both of whom know that the other is there.
    pub fn shared_room(&self) -> Result<(Person, Person, String), Failure> {
        let (mut host, mut guest) = (self.host()?, self.guest()?);
        let room = self.public_room(&host)?;
        self.enter(&mut guest, &room)?;
        host.watch_membership(&room, guest.id(), "join")?;
        Ok((host, guest, room))
    }

    /// Joins through the server that made the room, and waits until `sync` says so.
    pub fn enter(&self, guest: &mut Person, room: &str) -> Result<(), Failure> {
        guest.client.join(room, &self.via())?;
        guest.watch_section(room, "join")
    }
}

/// A user with a name no other scenario uses.
pub fn newcomer(server: &dyn Homeserver, name: &str) -> Result<Person, Failure> {
    Person::new(server.register(&name_of_newcomer(name))?)
}

/// A local part that nobody has yet.
pub fn name_of_newcomer(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until both users' servers show the same state events in the room.
pub fn agree_on_state(one: &Client, other: &Client, room: &str) -> Result<(), Failure> {
    eventually(
        format!("both servers have the same state in {room}"),
        || {
            let (here, there) = (state_ids(one, room)?, state_ids(other, room)?);
            if here == there {
                return Ok(true);
            }
            Err(Failure::Wrong(format!(
                "{} has {here:#?} but {} has {there:#?}",
                one.user_id(),
                other.user_id()
            )))
        },
    )
}

/// The content of the room's power levels with `user` raised to `level`.
pub fn power_levels_with(
    client: &Client,
    room: &str,
    user: &str,
    level: i64,
) -> Result<Value, Failure> {
    let mut content = client.state(room, "m.room.power_levels", "")?;
    content["users"][user] = json!(level);
    Ok(content)
}

fn state_ids(client: &Client, room: &str) -> Result<Vec<String>, Failure> {
    let describe = |event: Value| {
        let id = event["event_id"].as_str().unwrap_or_default().to_owned();
        format!("{} {} {id}", event["type"], event["state_key"])
    };
    let mut ids: Vec<String> = client
        .whole_state(room)?
        .into_iter()
        .map(describe)
        .collect();
    ids.sort();
    Ok(ids)
}
