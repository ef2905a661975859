//! Whole servers in one thread: the real core over a database that answers its queries, with a
//! simulated clock, simulated wires and simulated disks.
//!
//! **Contract.** Nothing here reads a clock or a random source: the same calls give the same run.
//! A server may be crashed between any two inputs, or right after any commit; what its disk had
//! not committed is lost.
//!
//! There are two ways in. A *scene* builds a [`Network`] and says what happens in it. A *plan*
//! ([`Plan`]) is drawn from a seed and carried out by [`run`], and no invariant may break:
//!
//! | to add | goes into |
//! |---|---|
//! | something users do | `Deed` in `plan`, a line in `plan/draw`, words in `plan/show`, the command in `world/users` |
//! | something that breaks | `Fault` in `plan`, a line in `plan/draw`, words in `plan/show`, the effect in `world/faults` |
//! | something a hostile server does | `Ruse` or `Corruption` in `plan/lies`, a line in `plan/weave`, the effect in `hostile` |
//! | something that must be true | a file in `invariants`, a line in `invariants::all` |
//!
//! What can be seen from outside is a `Sight`; the network shows each to all invariants, and to
//! the `chronicle`, which counts and, if wanted, tells. [`campaign`] runs many seeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as it must be fails the test"
)]

pub mod campaign;
mod chronicle;
mod database;
mod disk;
mod exempt;
mod hostile;
mod invariants;
mod liar;
pub mod model;
mod names;
mod network;
mod plan;
mod server;
mod sight;
mod stages;
mod tale;
mod world;

pub use chronicle::{Counts, Report};
pub use database::{Database, DatabaseKind};
pub use disk::Disk;
pub use invariants::Violation;
pub use liar::Liar;
pub use network::{Mishap, Network, Quality, Sent};
pub use plan::{
    Deed, Fault, Kept, NoPart, Part, Plan, ServerPlan, Step, User, What,
    lies::{Corruption, Lie, Ruse},
};
pub use server::{Finished, Server};
pub use world::{run, run_and_tell};
