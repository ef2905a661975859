//! Getting the whole of a room that we joined in part (FJOIN-4).
//!
//! The state before the join is asked of the server that took it, then of others in the room, one
//! after the other: each of them can tell it, as the join is an event like any other to them. One
//! that does not know it, perhaps since the first kept it to itself, is handed it in. When a round of
//! questions has brought nothing, the next one comes after a pause, and between rounds nobody waits
//! for the room. Rounds go on for [`COMPLETED_WITHIN`]; then the join has failed, and
//! the application is told.

use std::{sync::Arc, time::Duration};

use ruma_common::OwnedServerName;

use super::{
    RemoteJoin,
    candidates::{CANDIDATES_MAX, Candidates, Failure, RoomFault},
    enter::EnterRoom,
    send::{SendJoin, check_create, check_places},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::status::{JoinState, JoinStatus},
    pdu::{Pdu, answers},
    persistence::tables::TakenRecord,
    time::Monotonic,
    transport::{remote_request::Endpoint, remote_response::RemoteError},
};

/// For how long the members of a room are asked for: as long as its events are kept meanwhile.
pub const COMPLETED_WITHIN: Duration = crate::transaction::staging::KEPT_FOR;

/// The pause after the first round; it doubles after each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A join that was taken by a server that left out who is in the room.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The join event.
    event: Arc<Pdu>,
    /// Who took it.
    by: OwnedServerName,
    /// What is on record of it.
    record: TakenRecord,
    /// How many rounds of questions were in vain.
    rounds: u32,
}

impl Taken {
    /// Whom to ask in this round, which begins at a time: who took it, and others by turns.
    fn round(&self, at: Monotonic, facts: &Facts<'_>) -> Candidates {
        let others = &self.record.servers;
        let asked = (self.rounds as usize).saturating_mul(CANDIDATES_MAX - 1);
        let skipped = asked.checked_rem(others.len()).unwrap_or_default();
        let by_turns = others.iter().cycle().skip(skipped).take(others.len());
        let servers = [&self.by].into_iter().chain(by_turns).cloned();
        Candidates::new(servers, &facts.our_name().to_owned(), at)
    }
}

impl RemoteJoin {
    /// How a join in part stands; `None` if the join is none.
    #[must_use]
    pub fn status(&self, state: JoinState, staged: u64) -> Option<JoinStatus> {
        let taken = self.taken.as_ref()?;
        Some(JoinStatus {
            room_id: self.room_id.clone(),
            user_id: self.user_id.clone(),
            taken_by: taken.by.clone(),
            taken_at: taken.record.at,
            state,
            rounds: taken.rounds,
            others: taken.record.servers.len() as u64,
            staged,
        })
    }
}

/// A room that is to be had as a whole.
#[derive(Clone, Debug)]
pub struct CompleteJoin {
    /// The join, which was taken.
    pub join: RemoteJoin,
}

impl CompleteJoin {
    /// A join that was taken just now, or before the start.
    #[must_use]
    pub fn new(
        join: RemoteJoin,
        by: OwnedServerName,
        event: Arc<Pdu>,
        record: TakenRecord,
        facts: &Facts<'_>,
    ) -> Self {
        let taken = Taken {
            event,
            by,
            record,
            rounds: 0,
        };
        let join = RemoteJoin {
            candidates: taken.round(facts.begun().monotonic, facts),
            taken: Some(taken),
            ..join
        };
        Self { join }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Some(taken) = &self.join.taken else {
            return Ok(Outcome::done());
        };
        let Some((server, candidates)) = self.join.candidates.next(facts.begun().monotonic) else {
            return Ok(self.pause(taken, facts));
        };
        let join = RemoteJoin {
            candidates,
            ..self.join.clone()
        };
        let event_id = taken.event.event_id().to_owned();
        let endpoint = Endpoint::State(join.room_id.clone(), event_id);
        Ok(match facts.call(&server, endpoint)? {
            Ok(body) => match whole(body, &taken.event, &server, &join) {
                Ok(room) => Outcome::phase(room),
                Err(fault) => join.failed(&server, Failure::Room(fault)),
            },
            Err(error) if error.is_an_answer() => {
                tracing::debug!(%server, %error, "the join is handed in once more");
                let event = taken.event.clone();
                Outcome::phase(SendJoin::of_all(join, server, event))
            }
            Err(error) => join.failed(&server, Failure::State(error.clone())),
        })
    }

    /// The end of a round that was in vain.
    fn pause(&self, taken: &Taken, facts: &Facts<'_>) -> Outcome {
        let (join, now) = (&self.join, facts.now());
        let in_vain = join.candidates.in_vain(&join.room_id);
        if now.wall.since(taken.record.at) >= COMPLETED_WITHIN {
            return join.ended_in_vain(in_vain);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << taken.rounds.min(16));
        let pause = pause.min(LONGEST_PAUSE);
        tracing::info!(room = %join.room_id, ?pause, %in_vain, "the members are not to be had");
        let next = Taken {
            rounds: taken.rounds + 1,
            ..taken.clone()
        };
        let at = now.monotonic.plus(pause);
        let again = RemoteJoin {
            candidates: next.round(at, facts),
            taken: Some(next),
            ..join.clone()
        };
        let mut outcome = Outcome::done();
        outcome.later.push((at, Self { join: again }.into()));
        outcome
    }
}

/// The room before the join, as a server tells it in an answer to `state`.
fn whole(
    body: &bytes::Bytes,
    event: &Arc<Pdu>,
    server: &OwnedServerName,
    join: &RemoteJoin,
) -> Result<EnterRoom, RoomFault> {
    let whole = answers::state(body, &join.room_id, event.room_version());
    let whole = whole.map_err(|error: RemoteError| RoomFault::Unreadable(error))?;
    check_create(event.room_version(), &whole.state, &whole.auth_chain)?;
    check_places(&whole.state)?;
    Ok(EnterRoom {
        join: join.clone(),
        server: server.clone(),
        event: event.clone(),
        state: whole.state,
        auth_chain: whole.auth_chain,
    })
}
