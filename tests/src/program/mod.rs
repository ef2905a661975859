//! The sub-commands, one file each.

pub mod bench;
pub mod coverage;
pub mod mutants;
pub mod simulate;
