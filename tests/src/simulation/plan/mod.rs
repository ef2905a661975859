//! Everything that will be tried in one run, as data.
//!
//! A seed draws a plan (`draw`), [`run`](super::world::run) carries it out. Steps name servers by
//! their index, users by server and name, rooms by a slot, and say nothing that only makes sense
//! after another step: whatever is left out of a plan, the rest still means something. That is
//! what makes a failing plan small ([`Part`]).

mod addresses;
mod draw;
pub mod lies;
mod look_back;
mod part;
pub mod show;
mod weave;

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};

use self::lies::Lie;
pub use self::part::{Kept, NoPart, Part};
use super::{
    database::DatabaseKind,
    network::{Mishap, Quality},
};

/// The names that servers have, by index.
pub const NAMES: [&str; 8] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight",
];

/// The names that the users of every server have.
pub const USERS: [&str; 2] = ["ann", "bob"];

/// What will be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Decides what the steps leave open: delays, losses, what a hostile server picks.
    pub seed: u64,
    /// Who takes part.
    pub servers: Vec<ServerPlan>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerPlan {
    /// Which: its place in `NAMES`.
    pub index: u8,
    /// How many seconds its clock is off.
    pub skew: i64,
    /// What it stores in.
    pub database: DatabaseKind,
    /// How many ends it lets the graph of a room have.
    pub extremities_max: u8,
    /// Whether it joins rooms without their members, which come later.
    pub joins_in_part: bool,
    /// Whether it lies.
    pub hostile: bool,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What.
    pub what: What,
    /// How much time passes then.
    pub pause: Duration,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A user wants something.
    Deed(User, Deed),
    /// Something breaks, or is mended.
    Fault(Fault),
    /// A hostile server lies.
    Lie(u8, Lie),
}

/// A user: the server's index and the place in `USERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The index of the server.
    pub server: u8,
    /// Which of its users.
    pub name: u8,
}

/// A place for a room, filled by the step that creates one there.
pub type Slot = u8;

/// What a user does. A new one is a variant here, a line in `draw` and `show`, and its carrying
/// out in `world/users`.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Creates a room in a slot that is still empty.
    Create {
        /// Where.
        room: Slot,
        /// Its version.
        version: RoomVersion,
        /// Who may come in.
        preset: Preset,
        /// What power `ann` of each server has.
        levels: Vec<(u8, i64)>,
    },
    /// Joins a room, first by way of this server.
    Join(Slot, u8),
    /// Asks to be let into a room, first by way of this server.
    Knock(Slot, u8),
    /// Leaves a room, declines an invite or takes back a knock.
    Leave(Slot),
    /// Invites somebody.
    Invite(Slot, User),
    /// Sets the membership of another to `leave` or `ban`: kicks, bans, unbans.
    Moderate(Slot, User, &'static str),
    /// Gives somebody power.
    Empower(Slot, User, i64),
    /// Says so many things at once.
    Say(Slot, u16),
    /// Says one thing twice at once, under one key.
    Repeat(Slot),
    /// Redacts the message with this number, counted round.
    Redact(Slot, u16),
    /// Asks for older events.
    Backfill(Slot),
    /// Sets the join rule.
    JoinRule(Slot, &'static str),
    /// Sets the topic to this number.
    Topic(Slot, u16),
    /// Shuts a server out of the room, or none.
    Acl(Slot, Option<u8>),
    /// Sets who may see the past.
    Visibility(Slot, &'static str),
    /// Types.
    Type(Slot),
    /// Invites the address of somebody who is to be found out.
    InviteAddress(Slot),
    /// Is found out to be whose address was invited last.
    IsFoundOut(Slot),
}

/// What breaks, and what is mended. A new one is a variant here, a line in `draw` and `show`, and
/// its carrying out in `world/faults`.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A server is gone at once.
    Crash(u8),
    /// A server is gone as soon as so many more batches are on its disk, before it knows of the
    /// last.
    CrashAfterCommits(u8, u8),
    /// The disk of a server fails at this batch, counted from the next.
    DiskFails(u8, u8),
    /// The disk of a server takes up to so many milliseconds for each query.
    DiskSlow(u8, u32),
    /// A server that is down is started.
    Start(u8),
    /// A server is started anew with another key, the one before it retired.
    NewKey(u8),
    /// Nothing gets from the first to the second.
    Cut(u8, u8),
    /// The wire from the first to the second is as it should be.
    Mend(u8, u8),
    /// A server reaches nobody and is reached by nobody.
    CutOff(u8),
    /// It is reached again.
    Reconnect(u8),
    /// The wire from the first to the second works like this.
    Degrade(u8, u8, Quality),
    /// Something happens to the next request to a server that has this in its target.
    Mishap(u8, &'static str, Mishap),
}

impl ServerPlan {
    /// The server at this place with a clock that is right, on the fastest database,
    /// and honest.
    pub fn usual(index: u8) -> Self {
        Self {
            index,
            skew: 0,
            database: DatabaseKind::Model,
            extremities_max: 10,
            joins_in_part: false,
            hostile: false,
        }
    }
}

impl What {
    /// The servers that must take part, or it means nothing.
    pub fn servers(&self) -> Vec<u8> {
        match self {
            Self::Deed(user, _) => vec![user.server],
            Self::Fault(fault) => fault.servers(),
            Self::Lie(liar, _) => vec![*liar],
        }
    }
}

impl Fault {
    /// The servers that it hits.
    pub fn servers(&self) -> Vec<u8> {
        match self {
            Self::Crash(index)
            | Self::CrashAfterCommits(index, _)
            | Self::DiskFails(index, _)
            | Self::DiskSlow(index, _)
            | Self::Start(index)
            | Self::NewKey(index)
            | Self::CutOff(index)
            | Self::Reconnect(index)
            | Self::Mishap(index, ..) => vec![*index],
            Self::Cut(from, to) | Self::Mend(from, to) | Self::Degrade(from, to, _) => {
                vec![*from, *to]
            }
        }
    }
}

impl Deed {
    /// Where it is done.
    pub fn room(&self) -> Slot {
        match self {
            Self::Create { room, .. }
            | Self::Join(room, _)
            | Self::Knock(room, _)
            | Self::Leave(room)
            | Self::Invite(room, _)
            | Self::Moderate(room, ..)
            | Self::Empower(room, ..)
            | Self::Say(room, _)
            | Self::Repeat(room)
            | Self::Redact(room, _)
            | Self::Backfill(room)
            | Self::JoinRule(room, _)
            | Self::Topic(room, _)
            | Self::Acl(room, _)
            | Self::Visibility(room, _)
            | Self::Type(room)
            | Self::InviteAddress(room)
            | Self::IsFoundOut(room) => *room,
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut plan = draw::draw(seed);
        weave::weave(&mut plan);
        addresses::add(&mut plan);
        look_back::add(&mut plan);
        plan
    }

    /// How many server-days it takes, about: nothing of the quiet end is in it.
    pub fn length(&self) -> Duration {
        self.steps.iter().map(|step| step.pause).sum()
    }
}
