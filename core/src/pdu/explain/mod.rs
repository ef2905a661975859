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
//! | [`room`], [`resolution`] | a room's state, and how its forks were merged |
//! | [`graph`] | which of a room's events follow which |
//! | [`state_facts`] | what the rules read of a state |
//! | [`archive`], [`brief`] | what is held, and an event in a few words |

pub mod archive;
pub mod brief;
mod checks;
pub mod event;
pub mod graph;
pub mod resolution;
pub mod room;
pub mod state_facts;

use ruma_common::{OwnedEventId, OwnedRoomId};
use thiserror::Error;

use super::resolution::MissingEvents;
use crate::persistence::queries::StoreError;

pub use self::{
    archive::Archive,
    brief::{EventBrief, Standing},
    event::{EventReport, explain_event},
    graph::{RoomGraph, recent_graph},
    room::{RoomReport, explain_room, explain_state_before},
};

/// Why there is nothing to explain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExplainError {
    /// No such event is stored.
    #[error("event {0} is not stored here")]
    UnknownEvent(OwnedEventId),
    /// No such room, or one that we took no part in.
    #[error("this server has taken no part in room {0}")]
    UnknownRoom(OwnedRoomId),
    /// A fork cannot be resolved, since events are missing.
    #[error(transparent)]
    Missing(#[from] MissingEvents),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
