//! How servers are found and reached, as seen through inputs and actions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod discovery;
mod internet;
mod keys;
