//! Why an event was accepted or refused, and how a room came by its state: the rules applied once
//! more to what is stored, with the facts that decided.
//!
//! Nothing here has rules of its own. A check that is explained is the function that the engine
//! judges by, and a resolution that is explained is the one that made the state; the reports add
//! what these looked at. They can be printed, and serialised for programs: their fields are the
//! format of `comity explain --json`.
//!
//! The look-ups go through an [`Archive`], which asks the store as it needs to and keeps what it
//! got; it may be given any store, also one of a server that runs.
//!
//! | file | explains |
//! |---|---|
//! | [`event`] | one event: each check on receipt with its verdict |
//! | [`state_facts`] | what the rules read of a state |
//! | [`archive`], [`brief`] | what is held, and an event in a few words |

pub mod archive;
pub mod brief;
mod checks;
pub mod event;
pub mod state_facts;

use ruma_common::OwnedEventId;
use thiserror::Error;

use crate::persistence::queries::StoreError;

pub use self::{
    archive::Archive,
    brief::{EventBrief, Standing},
    event::{EventReport, explain_event},
};

/// Why there is nothing to explain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExplainError {
    /// No such event is stored.
    #[error("event {0} is not stored here")]
    UnknownEvent(OwnedEventId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
