#![doc = "Under construction."]

pub mod pdu;
pub mod transport;
