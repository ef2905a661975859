//! What is played: one file for each kind of work.
//!
//! | kind | the work |
//! |---|---|
//! | `ingest` | another server sends 10,000 events: in a flood or paced, from one origin or eight, into a room of one member or a thousand, in a line or in branches that are merged |
//! | `join` | a user joins a room of 100 to 20,000 members |
//! | `fan-out` | a user says 200 things to 20, 100 and 1,000 servers |
//! | `catch-up` | a server comes back that missed 5,000 events |
//! | `backfill` | a user pages through 5,000 events that only another server has |
//! | `restart` | a server starts with 1,000 rooms |

mod backfill;
mod catch_up;
mod fan_out;
mod ingest;
mod join;
mod restart;

use super::arena::Arena;
use super::figures::Outcome;
use crate::homeservers::failure::Failure;

/// One thing to measure.
pub struct Scenario {
    /// What it is called on the command line and in the table.
    pub name: &'static str,
    /// Plays it once.
    pub play: fn(&Arena) -> Result<Outcome, Failure>,
}

/// Everything, in the order of the table.
pub const SCENARIOS: &[Scenario] = &[
    scenario("ingest:flood", ingest::flood),
    scenario("ingest:paced", ingest::paced),
    scenario("ingest:origins", ingest::eight_origins),
    scenario("ingest:members", ingest::many_members),
    scenario("ingest:forks", ingest::forks),
    scenario("join:100", join::of_100),
    scenario("join:1000", join::of_1000),
    scenario("join:5000", join::of_5000),
    scenario("join:20000", join::of_20000),
    scenario("fan-out:20", fan_out::to_20),
    scenario("fan-out:100", fan_out::to_100),
    scenario("fan-out:1000", fan_out::to_1000),
    scenario("catch-up", catch_up::catch_up),
    scenario("backfill", backfill::backfill),
    scenario("restart", restart::restart),
];

const fn scenario(name: &'static str, play: fn(&Arena) -> Result<Outcome, Failure>) -> Scenario {
    Scenario { name, play }
}
