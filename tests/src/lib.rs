//! The simulator and everything that tests across crates.
//!
//! [`simulation`] runs any number of complete servers, the real core over the real store, in one
//! thread and under one clock. [`fuzzing`] holds the bodies of the fuzz targets.

pub mod fuzzing;
pub mod simulation;
