//! What the application reads.

use ruma_common::OwnedRoomId;

use super::command::{CommandError, Reply, RoomSummary};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    persistence::queries::Read,
};

/// Reads the store.
#[derive(Clone, Debug)]
pub struct ReadStore {
    /// What.
    pub read: Read,
}

impl ReadStore {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let answer = facts.read(self.read.clone())?;
        Ok(Outcome::complete(Ok(Reply::Read(answer.clone()))))
    }
}

/// Says how a room stands.
#[derive(Clone, Debug)]
pub struct SummariseRoom {
    /// Which.
    pub room_id: OwnedRoomId,
}

impl SummariseRoom {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Some(room) = facts.room(&self.room_id)? else {
            let error = CommandError::NotFound(format!("{} is not here", self.room_id));
            return Ok(Outcome::complete(Err(error)));
        };
        Ok(Outcome::complete(Ok(Reply::RoomSummary(RoomSummary {
            version: room.version,
            extremities: room.extremities.iter().cloned().collect(),
            current: room.current,
            state_digest: room.state.digest_text(),
            joined: room.joined.len(),
            servers: room.servers.keys().cloned().collect(),
        }))))
    }
}
