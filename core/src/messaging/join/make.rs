//! Getting a join to sign from the next candidate (JOIN-2 to JOIN-4).

use std::sync::Arc;

use ruma_common::OwnedServerName;

use super::{RemoteJoin, candidates::Failure, send::SendJoin, template::signed_membership};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    pdu::Pdu,
    persistence::{queries::Write, tables::JoinRecord},
    transport::remote_request::Endpoint,
};

/// A join that no server has taken yet.
#[derive(Clone, Debug)]
pub struct MakeJoin {
    /// The join.
    pub join: RemoteJoin,
}

impl MakeJoin {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let candidates = &self.join.candidates;
        let Some((server, candidates)) = candidates.next(facts.begun().monotonic) else {
            let error = candidates.in_vain(&self.join.room_id);
            return Ok(self.join.ended_in_vain(error));
        };
        let join = RemoteJoin {
            candidates,
            ..self.join.clone()
        };
        let (room_id, user_id) = (&join.room_id, &join.user_id);
        let endpoint = Endpoint::MakeJoin(room_id.clone(), user_id.clone());
        let signed = match facts.call(&server, endpoint)? {
            Ok(body) => signed_membership(body, room_id, user_id, "join", &join.content, facts),
            Err(error) => Err(error.clone()),
        };
        Ok(match signed {
            Ok(event) => hand_in(join, server, event, facts),
            Err(error) => join.failed(&server, Failure::MakeJoin(error)),
        })
    }
}

/// From the moment when the event leaves, our user may be in the room without our knowing: that is
/// on record before.
fn hand_in(
    mut join: RemoteJoin,
    server: OwnedServerName,
    event: Arc<Pdu>,
    facts: &Facts<'_>,
) -> Outcome {
    join.is_recorded = true;
    let record = JoinRecord {
        event: event.clone(),
        server: server.clone(),
        others: join.candidates.left.clone(),
        content: join.content.clone(),
        starts: join.starts,
        taken: None,
    };
    let mut outcome = Outcome::phase(SendJoin::new(join, server, event, facts));
    outcome.writes.push(Write::Join(record));
    outcome
}
