#![doc = "Under construction."]

pub mod transport;
pub mod pdu;
