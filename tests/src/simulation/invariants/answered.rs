//! Who keeps to the protocol is answered in time, whoever else asks for how much: a server that is
//! flooded makes the one who floods it wait, and no other.
//!
//! A request counts from when it is handed to a server until that answers it; a crash ends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use comity_core::Monotonic;
use ruma_common::OwnedServerName;

use super::Invariant;
use crate::simulation::{network::Network, sight::Sight};

/// How long the answer to a transaction takes at most, beside the disk: nothing in it waits long for
/// another server.
const TRANSACTION_MAX: Duration = Duration::from_secs(5 * 60);

/// The same of others: what is asked about a room may have to wait until a join of it has ended, and
/// that for several servers that do not answer.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// How often it waits for the disk at most, those before it included: a page of each of four streams,
/// of a hundred events, may be at work at the same time.
const LOOKS_MAX: u32 = 500;

/// What a server says that has no room for a request.
const TOO_BUSY: &str = "too many requests are under way";

/// See the module.
#[derive(Debug, Default)]
pub struct AnsweredInTime {
    /// The requests of honest servers that are under way to others.
    fair: BTreeSet<u64>,
    /// Those that were handed in and are not answered yet.
    open: BTreeMap<u64, Open>,
    /// How long a server's disk takes at most.
    paces: BTreeMap<OwnedServerName, Duration>,
}

#[derive(Debug)]
struct Open {
    to: OwnedServerName,
    line: String,
    max: Duration,
    since: Monotonic,
    /// The slowest that the disk was meanwhile.
    pace: Duration,
}

impl Invariant for AnsweredInTime {
    fn name(&self) -> &'static str {
        "whoever is fair is answered in time"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Slowed(server, pace) => {
                self.paces.insert((*server).to_owned(), *pace);
                for open in self.open.values_mut().filter(|open| open.to == **server) {
                    open.pace = open.pace.max(*pace);
                }
            }
            Sight::Requested(asked, _) => drop(self.fair.insert(asked.number)),
            Sight::Arrived(asked) if self.fair.contains(&asked.number) => {
                let open = Open {
                    to: asked.to.to_owned(),
                    line: asked.line.to_owned(),
                    max: match asked.is_transaction() {
                        true => TRANSACTION_MAX,
                        false => TIME_MAX,
                    },
                    since: at,
                    pace: self.paces.get(asked.to).copied().unwrap_or_default(),
                };
                self.open.entry(asked.number).or_insert(open);
            }
            Sight::Answered(asked, response) => {
                if let Some(open) = self.open.remove(&asked.number) {
                    let body = String::from_utf8_lossy(response.body());
                    let is_refused = body.contains(TOO_BUSY);
                    open.check(at, is_refused)?;
                }
            }
            Sight::Down(server) => self.open.retain(|_, open| open.to != *server),
            _ => {}
        }
        Ok(())
    }

    fn looks(
        &mut self,
        network: &mut Network,
        _: &BTreeSet<OwnedServerName>,
    ) -> Result<(), String> {
        let now = network.now().monotonic;
        let mut open = self.open.values();
        open.try_for_each(|open| open.check(now, false))
    }
}

impl Open {
    fn check(&self, now: Monotonic, is_refused: bool) -> Result<(), String> {
        let Self { to, line, .. } = self;
        if is_refused {
            return Err(format!("{to} is too busy for {line}"));
        }
        let (time, max) = (now.since(self.since), self.max + self.pace * LOOKS_MAX);
        match time > max {
            true => Err(format!("{to} has not answered {line} for {time:?}")),
            false => Ok(()),
        }
    }
}
