//! How servers are found and reached, as seen through inputs and actions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod discovery;
mod internet;
mod keys;
mod overload;
mod peer;
mod requests;
mod services;
