//! Rooms made up by a seed, for every room version: members of all kinds, bans, changes of power,
//! all join rules, knocks, restricted joins, third-party invites, tombstones, redactions, and
//! forks whose branches disagree. Some events are what no honest server would send.
//!
//! A [`History`] proposes one event after the other ([`Proposal`]), as the JSON text that a server
//! would receive. Whoever asked says whether the event was allowed and what state the branches it
//! joins resolve to; the history builds on that. Nothing here judges an event, and nothing uses
//! this project's own way of making one: what cannot be made there is what is wanted here.
//!
//! | file | holds |
//! |---|---|
//! | `dice` | the random choices |
//! | `servers` | the servers, and their keys |
//! | `draft` | an event in the making: hashing, signing, writing |
//! | `past` | the events so far, and what a state of them says |
//! | `deeds` | what users do |
//! | `edits`, `odd`, `tampering` | what is wrong with hostile events: before they are hashed and signed, and after |
//! | `history` | the room as it grows |

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "this makes tests, and a mistake in it should end them"
)]

mod deeds;
mod dice;
mod draft;
mod edits;
mod history;
mod odd;
mod past;
mod power;
mod servers;
mod tampering;

pub use self::{
    dice::Dice,
    history::{History, Proposal},
    past::{KnownEvent, Standing, State},
    servers::{PublicKey, public_keys},
};
