//! The store, through its public surface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once; clippy exempts test functions, but not what they share"
)]

mod builder;
mod by_time;
mod damage;
mod durability;
mod events;
mod federation;
mod glance;
mod graph;
mod inbox;
mod joins;
mod opening;
mod outgoing;
mod redactions;
mod rooms;
mod staged;
mod state;
mod streams;
mod thread;
mod visibility;
