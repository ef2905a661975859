//! What every runtime promises, proved on each.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod connections;
mod federation;
mod testing;
