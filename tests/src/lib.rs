//! The simulator and everything that tests across crates.
//!
//! [`simulation`] runs any number of complete servers, the real core over the real store, in one
//! thread and under one clock. [`fuzzing`] holds the bodies of the fuzz targets. [`rooms`] makes up
//! rooms with forks and hostile events. [`mutants`] builds bugs in, to see whether they are found.
//! [`coverage`] says which tests prove what, and [`rust_files`] finds the project's sources.
//! [`homeservers`] starts real servers on loopback, and [`mod@bench`] measures them. [`requests`]
//! asks as another server does.

pub mod bench;
pub mod coverage;
pub mod fuzzing;
pub mod homeservers;
pub mod mutants;
pub mod requests;
pub mod rooms;
pub mod rust_files;
pub mod simulation;
