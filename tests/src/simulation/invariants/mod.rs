//! What must be true of every honest server, whatever happens: one file for each.
//!
//! An invariant watches everything that can be seen from outside ([`Invariant::sees`]), may look
//! at the servers between two steps of a plan ([`Invariant::looks`]), and has the last word when
//! all is quiet ([`Invariant::at_the_end`]). A new one is a file here and a line in [`all`].
//!
//! Hostile servers promise nothing: what they do is only [overheard](Invariant::overhears).

mod agreement;
mod allowed_now;
mod answered;
mod back_off;
mod bounds;
mod durable;
mod ends;
mod few_ends;
mod forgery;
mod heard;
mod joined;
mod lawful;
mod ledger;
mod noted_first;
mod notices;
mod once;
mod one_in_flight;
mod pushed;
mod rest;
mod same_answer;
mod same_id;
mod shut_out;
mod staged;
mod stays;
mod told_once;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use comity_core::{
    Monotonic,
    input::CommandId,
    messaging::command::{Command, RoomSummary},
    persistence::tables::StoredEvent,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};
use serde_json::Value;

pub use self::{one_in_flight::OneInFlight, same_answer::SameAnswer};
use super::{exempt::Exempt, network::Network, server::Finished, sight::Sight, tale};

/// Something that must always be true.
pub trait Invariant {
    /// What, in a few words.
    fn name(&self) -> &'static str;

    /// Something happens.
    ///
    /// # Errors
    /// What is wrong, if this must not happen.
    fn sees(&mut self, _at: Monotonic, _sight: &Sight<'_>) -> Result<(), String> {
        Ok(())
    }

    /// A hostile server does something, for which nobody else is to blame.
    fn overhears(&mut self, _sight: &Sight<'_>) {}

    /// A step of the plan is over, and the time that follows it.
    ///
    /// # Errors
    /// What is wrong.
    fn looks(
        &mut self,
        _network: &mut Network,
        _honest: &BTreeSet<OwnedServerName>,
    ) -> Result<(), String> {
        Ok(())
    }

    /// All is quiet, and will stay so.
    ///
    /// # Errors
    /// What is wrong.
    fn at_the_end(&mut self, _end: &mut Ending<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// Every invariant.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<OneInFlight>::default(),
        Box::<SameAnswer>::default(),
        Box::<same_id::SameId>::default(),
        Box::<noted_first::NotedFirst>::default(),
        Box::<notices::InOrder>::default(),
        Box::<forgery::NothingForged>::default(),
        Box::<told_once::ToldOnce>::default(),
        Box::<bounds::WithinBounds>::default(),
        Box::<answered::AnsweredInTime>::default(),
        Box::<back_off::LeftAlone>::default(),
        Box::<allowed_now::AllowedNow>::default(),
        Box::<ends::EndsAreEnds>::default(),
        Box::<shut_out::ShutOut>::default(),
        Box::<durable::NothingLost>::default(),
        Box::new(rest::AtRest),
        Box::new(once::SaidOnce),
        Box::<staged::StagedIsDecided>::default(),
        Box::new(few_ends::FewEnds),
        Box::new(lawful::Lawful),
        Box::new(agreement::SameState),
        Box::new(agreement::SameVerdicts),
        Box::new(agreement::SameRedactions),
        Box::new(agreement::SameServers),
        Box::<heard::Heard>::default(),
        Box::<joined::JoinedAndKnown>::default(),
        Box::<pushed::Pushed>::default(),
    ]
}

/// What was not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// When it was found.
    pub at: Monotonic,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            at,
            what,
        } = self;
        let what = tale::short(what);
        write!(f, "{invariant}, at {:.3} s: {what}", at.0.as_secs_f64())
    }
}

/// Something that was asked of a server.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which server.
    pub server: OwnedServerName,
    /// In which of its lives.
    pub life: u8,
    /// Under which id.
    pub id: CommandId,
    /// What.
    pub command: Command,
    /// What it came to, if the server lived to say so.
    pub outcome: Option<Finished>,
}

impl Order {
    /// The key under which it is to have its effect once, if it has one.
    pub fn key(&self) -> Option<&str> {
        match &self.command {
            Command::Send(event) => event.once.as_deref(),
            _ => None,
        }
    }
}

/// Everything that a server stored, by event id.
pub type StoredEvents = BTreeMap<OwnedEventId, Arc<StoredEvent>>;

/// The world when all is quiet.
pub struct Ending<'w> {
    /// The servers, all of them up.
    pub network: &'w mut Network,
    /// Who keeps to the protocol.
    pub honest: &'w BTreeSet<OwnedServerName>,
    /// The rooms that were made.
    pub rooms: &'w [OwnedRoomId],
    /// What users wanted.
    pub orders: &'w [Order],
    /// Who need not agree with others where.
    pub exempt: &'w Exempt,
    /// What each honest server stored.
    pub stored: &'w BTreeMap<OwnedServerName, StoredEvents>,
    /// How rooms stand on the honest servers that are in them.
    pub summaries: &'w BTreeMap<OwnedRoomId, BTreeMap<OwnedServerName, RoomSummary>>,
}

impl<'w> Ending<'w> {
    /// Pairs of honest servers that each see the other in a room, that no ACL ever shut out, and that
    /// nobody told what they could not check.
    /// Resolution may undo a join, and nobody tells the one who joined.
    pub fn pairs_inside(
        &self,
        room_id: &OwnedRoomId,
    ) -> Vec<[(&'w OwnedServerName, &'w RoomSummary); 2]> {
        let inside: Vec<_> = self.summaries.get(room_id).into_iter().flatten().collect();
        let shut_out = self.shut_out(room_id);
        let mut pairs = Vec::new();
        for (one, of_one) in &inside {
            for (other, of_other) in &inside {
                let mutual = of_one.servers.contains(other) && of_other.servers.contains(one);
                let welcome = !shut_out.contains(*one) && !shut_out.contains(*other);
                let clear = !self.exempt.covers(room_id, &[one, other]);
                if one != other && mutual && welcome && clear {
                    pairs.push([(*one, *of_one), (*other, *of_other)]);
                }
            }
        }
        pairs
    }

    /// The servers that an ACL of a room ever denied: what they said then was heard by those who
    /// did not know of it yet.
    fn shut_out(&self, room_id: &RoomId) -> BTreeSet<OwnedServerName> {
        let events = self.stored.values().flat_map(BTreeMap::values);
        let lists = events.filter(|event| {
            event.pdu.room_id() == room_id && event.pdu.event_type() == "m.room.server_acl"
        });
        let denied = lists.flat_map(|event| {
            let content = Value::Object(event.pdu.content());
            let denied = content["deny"].as_array().cloned().unwrap_or_default();
            denied
                .into_iter()
                .filter_map(|name| name.as_str()?.try_into().ok())
        });
        denied.collect()
    }
}
