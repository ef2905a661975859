//! Real homeservers as processes on loopback: a Comity node and a Synapse, with TLS under a
//! certificate authority that lives as long as one run, driven through their client APIs.
//!
//! The interop suite lets the two talk to each other; the benchmark puts the same questions to
//! either. [`homeserver`] says what is asked of both, [`comity`] and [`synapse`] are the only files
//! that know one of the programs, and [`client`] is a user of either.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value without the key is null, not a panic"
)]

pub mod authority;
pub mod client;
pub mod comity;
pub mod failure;
pub mod homeserver;
pub mod installation;
pub mod process;
pub mod synapse;
