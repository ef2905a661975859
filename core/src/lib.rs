#![doc = "Under construction."]

pub mod pdu;
pub mod time;
pub mod transport;
