//! The sub-commands, one file each.

pub mod mutants;
pub mod simulate;
