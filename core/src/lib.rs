//! The federation half of a Matrix homeserver as a pure state machine.
//!
//! [`Federation`] consumes [`Input`]s and emits [`Action`]s; it does no IO, reads no clock and has
//! no threads. Where everything lives, from the application down to the wire:
//!
//! | module | layer |
//! |---|---|
//! | [`messaging`] | what a homeserver asks for and is told |
//! | [`pdu`] | events: their rules, their graph, their state |
//! | [`transaction`] | batches between two servers |
//! | [`transport`] | HTTP as messages |
//! | [`persistence`] | what is stored, and every query |
//!
//! [`keys`] stands beside them; [`engine`] runs them all.

#![warn(missing_docs)]

pub mod action;
pub mod engine;
mod federation;
pub mod input;
pub mod keys;
pub mod messaging;
pub mod pdu;
pub mod persistence;
pub mod time;
pub mod transaction;
pub mod transport;

pub use action::{Action, Call};
pub use federation::{Config, Federation, VERSION};
pub use input::Input;
pub use time::{Monotonic, Now, WallTime};
