//! A server that does not take a transaction is left alone: for a second, and for twice as long
//! after each further failure, up to a day; a quarter less at most (TXN-17). Only a sign of life
//! ends a pause (XMTX-12), or a crash, which may forget what was not on disk.

use std::{collections::BTreeMap, time::Duration};

use comity_core::{Monotonic, transaction::backoff};
use http::StatusCode;
use ruma_common::{OwnedServerName, ServerName};

use super::Invariant;
use crate::simulation::sight::{Asked, Sight};

/// See the module.
#[derive(Debug, Default)]
pub struct LeftAlone {
    /// By who sends transactions, and to whom.
    pairs: BTreeMap<(OwnedServerName, OwnedServerName), Standing>,
}

/// How one server stands with another.
#[derive(Debug, Default)]
struct Standing {
    /// How many transactions in a row were not taken.
    failures: u32,
    last: Monotonic,
    /// How many requests of the other it has not answered yet. When it has authenticated them
    /// cannot be seen.
    being_served: u32,
}

/// The shortest pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let full = backoff::FIRST * (1 << doublings);
    full.min(backoff::LONGEST) * 3 / 4
}

impl LeftAlone {
    fn pair(&mut self, from: &ServerName, to: &ServerName) -> &mut Standing {
        let pair = (from.to_owned(), to.to_owned());
        self.pairs.entry(pair).or_default()
    }

    fn begins(&mut self, at: Monotonic, asked: Asked<'_>) -> Result<(), String> {
        let (from, to) = (asked.from, asked.to);
        let standing = self.pair(from, to);
        let (waited, pause) = (at.since(standing.last), pause(standing.failures));
        match standing.failures > 0 && standing.being_served == 0 && waited < pause {
            true => Err(format!(
                "{from} tries {to} again {waited:?} after failure {}, not {pause:?}",
                standing.failures
            )),
            false => Ok(()),
        }
    }
}

impl Invariant for LeftAlone {
    fn name(&self) -> &'static str {
        "who does not answer is left alone"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Down(server) => self.pairs.retain(|(from, _), _| from != server),
            Sight::Arrived(asked) => self.pair(asked.to, asked.from).being_served += 1,
            Sight::Answered(asked, _) => {
                let standing = self.pair(asked.to, asked.from);
                standing.being_served = standing.being_served.saturating_sub(1);
                standing.failures = 0;
            }
            Sight::Requested(asked, _) if asked.is_transaction() => {
                return self.begins(at, *asked);
            }
            Sight::Concluded(asked, outcome) if asked.is_transaction() => {
                let taken = |it: &http::Response<_>| it.status() == StatusCode::OK;
                let is_taken = outcome.as_ref().is_ok_and(taken);
                let standing = self.pair(asked.from, asked.to);
                standing.failures = match is_taken {
                    true => 0,
                    false => standing.failures + 1,
                };
                standing.last = at;
            }
            _ => {}
        }
        Ok(())
    }
}
