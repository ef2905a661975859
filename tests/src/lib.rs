//! The simulator and everything that tests across crates.
//!
//! [`simulation`] runs any number of complete servers, the real core over the real store, in one
//! thread and under one clock.

pub mod simulation;
