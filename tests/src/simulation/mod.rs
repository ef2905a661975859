//! Whole servers in one thread: the real core over the real SQLite store, with a simulated clock
//! and network.
//!
//! **Contract.** Nothing here reads a clock or a random source: the same calls give the same run.
//! A server may be crashed between any two inputs, or right after any commit; what its store had
//! not committed is lost.
//!
//! **Invariants,** checked on every message: a server has one transaction in flight per
//! destination, and repeats it with the same events until it was answered (TXN-3).

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
mod invariants;
mod liar;
pub mod model;
mod network;
mod plan;
mod server;
mod sight;
mod world;

pub use chronicle::{Counts, Report};
pub use database::{Database, DatabaseKind};
pub use disk::Disk;
pub use invariants::Violation;
pub use liar::Liar;
pub use network::{Mishap, Network, Quality, Sent};
pub use plan::Plan;
pub use server::{Finished, Server};
pub use world::{run, run_and_tell};
