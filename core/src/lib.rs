#![doc = "Under construction."]

pub mod transport;
