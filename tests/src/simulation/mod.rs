//! Whole servers in one thread: the real core over the real SQLite store, with a simulated clock
//! and network.
//!
//! **Contract.** Nothing here reads a clock or a random source: the same calls give the same run.
//! A server may be crashed between any two queries; what its store had not committed is lost.

mod network;
mod server;

pub use network::Network;
pub use server::{Finished, Server};
