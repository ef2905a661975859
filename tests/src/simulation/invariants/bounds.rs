//! What a server keeps in memory and asks of others stays within bounds, and no job waits longer
//! than the longest chain of time-outs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use comity_core::Monotonic;
use ruma_common::OwnedServerName;

use super::Invariant;
use crate::simulation::{network::Network, sight::Sight};

/// How many jobs a server of a small world has at most: those of some transactions of every peer.
const JOBS_MAX: u64 = 2_000;

/// How many requests one server has open to another at most.
const OPEN_MAX: usize = 100;

/// How long a phase of a job lasts at most: some requests of five minutes one after another, and
/// the pace of a slow disk.
const AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// See the module.
#[derive(Debug, Default)]
pub struct WithinBounds {
    open: BTreeMap<(OwnedServerName, OwnedServerName), usize>,
}

impl Invariant for WithinBounds {
    fn name(&self) -> &'static str {
        "memory, requests and waiting have bounds"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let (asked, begins) = match sight {
            Sight::Requested(asked, _) => (asked, true),
            Sight::Concluded(asked, _) | Sight::Abandoned(asked) => (asked, false),
            _ => return Ok(()),
        };
        let (from, to) = (asked.from, asked.to);
        let open = self
            .open
            .entry((from.to_owned(), to.to_owned()))
            .or_default();
        *open = match begins {
            true => *open + 1,
            false => open.saturating_sub(1),
        };
        match *open > OPEN_MAX {
            true => Err(format!("{from} has {open} requests open to {to}")),
            false => Ok(()),
        }
    }

    fn looks(
        &mut self,
        network: &mut Network,
        honest: &BTreeSet<OwnedServerName>,
    ) -> Result<(), String> {
        let now = network.now().monotonic;
        for server in honest {
            let host = network.server(server.as_str());
            let Some(statistics) = host.statistics() else {
                continue;
            };
            if statistics.jobs > JOBS_MAX {
                return Err(format!("{server} has {} jobs", statistics.jobs));
            }
            let oldest = statistics
                .oldest_job
                .map_or(Duration::ZERO, |since| now.since(since));
            if oldest > AGE_MAX {
                let jobs = host.jobs();
                return Err(format!(
                    "on {server} a job waits since {oldest:?}: {jobs:#?}"
                ));
            }
        }
        Ok(())
    }
}
