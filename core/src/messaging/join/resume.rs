//! Taking up a join that had been handed in when the server stopped.

use ruma_common::OwnedServerName;

use super::{RemoteJoin, candidates::Candidates, complete::CompleteJoin, send::SendJoin};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
        registry::Identity,
    },
    messaging::command::CommandError,
    persistence::{queries::Write, tables::JoinRecord},
};

/// So many starts does a join survive. One that outlives more may well be what stops the server.
const STARTS_MAX: u32 = 5;

/// A join that is on record.
#[derive(Clone, Debug)]
pub struct ResumeJoin {
    record: JoinRecord,
}

impl From<JoinRecord> for ResumeJoin {
    fn from(record: JoinRecord) -> Self {
        Self { record }
    }
}

impl ResumeJoin {
    /// See [`RemoteJoin::identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Join(self.record.event.room_id().to_owned())
    }

    /// The join, as far as it is known.
    fn join(&self, candidates: Candidates) -> RemoteJoin {
        let event = &self.record.event;
        RemoteJoin {
            user_id: event.sender().to_owned(),
            room_id: event.room_id().to_owned(),
            content: self.record.content.clone(),
            candidates,
            starts: self.record.starts + 1,
            is_recorded: true,
            taken: None,
        }
    }

    /// See [`crate::engine`]. Hands the same event in to the same server, which may have taken it:
    /// then it answers as it did, or would have done, the first time. If it is known to have taken
    /// it, what is lacking is the room.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let ours: OwnedServerName = facts.our_name().to_owned();
        let others = self.record.others.iter().cloned();
        let join = self.join(Candidates::new(others, &ours, facts.begun().monotonic));
        if join.starts > STARTS_MAX {
            let reason = "the server stopped too often while it joined".to_owned();
            return Ok(join.ended_in_vain(CommandError::Stopped(reason)));
        }
        let record = JoinRecord {
            starts: join.starts,
            ..self.record.clone()
        };
        let (event, server) = (self.record.event.clone(), self.record.server.clone());
        let mut outcome = match self.record.taken.clone() {
            None => Outcome::phase(SendJoin::new(join, server, event, facts)),
            Some(taken) => Outcome::phase(CompleteJoin::new(join, server, event, taken, facts)),
        };
        outcome.writes.push(Write::Join(record));
        Ok(outcome)
    }
}
