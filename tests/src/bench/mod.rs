//! Comity and Synapse under the same load on the same machine.
//!
//! **How.** For every run of a scenario a server is started with an empty database (an
//! [`arena`](arena::Arena)): a Comity node as `comity serve`, or a Synapse on SQLite. It has one user.
//! All other servers are this program itself ([`remote`](remote::Remote)): they serve rooms over HTTPS
//! on loopback and send signed transactions, and every event and every signature of theirs is made before
//! the clock starts, so that the clock measures the server under test. Nothing in [`scenarios`] knows
//! which software it meets. What a scenario waits for is what a user of the server can see through
//! the client API, or what the remotes have received.
//!
//! **What.** Time on the clock; and of the server's process alone: processor time, memory at its peak,
//! bytes written to the disk ([`meter`]). This program runs on the same processors as the server.
//! Where a size says so, a Synapse gets a smaller task, so that it ends within minutes; rates and costs per
//! event can be compared all the same, and `--full` gives it the whole one.
//!
//! **What it does not measure.** Synapse runs as one process on SQLite, as small servers run it; with
//! workers on PostgreSQL it uses more processors. Its rate limits are raised out of the way.
//! The remotes answer at once, and always with everything: a join is never partial.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value without the key is null, not a panic"
)]

pub mod arena;
mod clock;
pub mod figures;
mod link;
pub mod meter;
pub mod remote;
mod room;
pub mod scenarios;
pub mod table;
mod transactions;

use std::env;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use self::arena::Arena;
use self::figures::Outcome;
use self::scenarios::Scenario;
use crate::homeservers::failure::Failure;

/// How many lines of the server's log a failure shows.
const LOG_LINES: usize = 20;

/// Which server is put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Software {
    /// This project's node.
    Comity,
    /// The Synapse that `tests/interop/install.sh` installs.
    Synapse,
}

/// How large the tasks are.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Synapse gets what Comity gets, however long that takes.
    pub whole_for_synapse: bool,
    /// No size of anything is larger than this.
    pub at_most: usize,
}

/// Plays a scenario once with a server of its own.
pub fn play(scenario: &Scenario, software: Software, extent: Extent) -> Result<Outcome, Failure> {
    let directory = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(place())
        .map_err(Failure::while_doing("making a directory for a server"))?;
    let arena = Arena::open(software, extent, directory.path())?;
    (scenario.play)(&arena).map_err(|failure| {
        let log = arena.server.process().log_tail(LOG_LINES);
        Failure::Wrong(format!("{failure}\n--- the end of its log ---\n{log}"))
    })
}

/// The directory of this program: on a disk, which the system's temporary directory may not be.
fn place() -> PathBuf {
    let program = env::current_exe().ok();
    let directory = program.and_then(|program| Some(program.parent()?.to_owned()));
    directory.unwrap_or_else(env::temp_dir)
}
