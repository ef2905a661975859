//! What a decision comes to.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use http::Response;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName};

use super::{
    facts::Facts,
    job::Job,
    world::{Counters, Room},
};
use crate::{
    keys::published::PublishedKeys,
    messaging::{
        command::{CommandError, Reply},
        notice::Notice,
    },
    pdu::{StateMap, gap::Stage},
    persistence::{
        queries::Write,
        tables::{LocalMembership, ServerKeyRecord, SnapshotId},
    },
    time::Monotonic,
    transaction::{after::schedule::Turn, outgoing::Moment},
    transport::{discovery::Discovered, matrix_error::MatrixError},
};

/// Everything that a decision wants to happen. Nothing of it has happened while it is built;
/// applying it cannot fail.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to write, in one batch.
    pub writes: Vec<Write>,
    /// Rooms as they are after this decision.
    pub rooms: Vec<Room>,
    /// The states behind the snapshots written.
    pub states: Vec<(SnapshotId, StateMap)>,
    /// The counters after the numbers this decision took; `None` if it took none.
    pub counters: Option<Counters>,
    /// Events to queue for other servers.
    pub sends: Vec<SendTo>,
    /// Ephemeral messages to queue for other servers.
    pub edus: Vec<SendEdu>,
    /// What to tell the application.
    pub notices: Vec<Notice>,
    /// The answer to whoever caused the job.
    pub answer: Option<JobAnswer>,
    /// Keys of other servers that were learnt.
    pub keys: Option<LearntKeys>,
    /// What became known of a server's whereabouts.
    pub discovered: Option<Discovered>,
    /// A server that has just proved to be alive.
    pub alive: Option<OwnedServerName>,
    /// What came of asking other servers for what an event lacks.
    pub searched: Option<Searched>,
    /// Jobs that begin now and for which nobody waits.
    pub also: Vec<Job>,
    /// Jobs that begin at a later time and for which nobody waits. They are not on disk.
    pub later: Vec<(Monotonic, Job)>,
    /// A server that knows of events that we lack.
    pub ahead: Option<OwnedServerName>,
    /// How far the pulling of a server's stream has come.
    pub pulled: Option<(OwnedServerName, Turn)>,
    /// How the event fared that the job was about.
    pub fate: Fate,
    /// What comes next.
    pub next: Next,
}

/// An event for other servers.
#[derive(Clone, Debug)]
pub struct SendTo {
    /// The event.
    pub event: std::sync::Arc<crate::persistence::tables::StoredEvent>,
    /// The servers; ours among them is skipped.
    pub destinations: BTreeSet<OwnedServerName>,
}

/// An ephemeral message for other servers.
#[derive(Clone, Debug)]
pub struct SendEdu {
    /// The message.
    pub edu: Edu,
    /// The servers; ours among them is skipped.
    pub destinations: BTreeSet<OwnedServerName>,
}

/// How an ephemeral message is queued.
#[derive(Clone, Debug)]
pub enum Edu {
    /// What it says of the moment, in memory: a newer word about the same takes its place.
    Moments(Vec<Arc<Moment>>),
    /// It must not be lost: as canonical JSON, on disk.
    Reliable(Arc<str>),
}

/// The answer to whoever caused a job.
#[derive(Clone, Debug)]
pub enum JobAnswer {
    /// To a request.
    Response(Response<Bytes>),
    /// To a request that is not looked at. It speaks of nothing that is stored, and leaves whatever
    /// is being written: who is refused must not hold a place meanwhile.
    Refusal(Response<Bytes>),
    /// To a command.
    Command(Result<Reply, CommandError>),
}

/// What was learnt about a server's keys.
#[derive(Clone, Debug)]
pub struct LearntKeys {
    /// Whose keys.
    pub server: OwnedServerName,
    /// The keys; none if the server could not be asked.
    pub keys: Vec<ServerKeyRecord>,
    /// The object that tells of them, if one was fetched.
    pub published: Option<PublishedKeys>,
    /// Whether the server answered; `None` if only the store was asked.
    pub asked: Option<bool>,
}

/// That another server is asked for what an event of a room lacks, or what came of it.
#[derive(Clone, Debug)]
pub struct Searched {
    /// The server.
    pub server: OwnedServerName,
    /// The room.
    pub room_id: OwnedRoomId,
    /// How it was asked …
    pub stage: Stage,
    /// … and what for, if it answered.
    pub asked: Vec<OwnedEventId>,
    /// How many events it gave.
    pub events: u32,
    /// For how many events it is about to be asked because of another server's event, and whose.
    pub errand: Option<(OwnedServerName, u32)>,
}

/// How an event fared; what the job that waits for it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is in hand: accepted, rejected, soft-failed, or known before. Also the fate of a job
    /// that is about no event.
    #[default]
    Handled,
    /// It is refused, with the reason.
    Failed(OwnedEventId, String),
    /// Something that its judgement needs could not be had; another attempt may fare better.
    Lacking(OwnedEventId, String),
}

impl Fate {
    /// Which event was not taken in, and why.
    #[must_use]
    pub fn reason(&self) -> Option<(&OwnedEventId, &str)> {
        match self {
            Self::Handled => None,
            Self::Failed(event_id, reason) | Self::Lacking(event_id, reason) => {
                Some((event_id, reason))
            }
        }
    }
}

/// What comes after a decision.
#[derive(Debug, Default)]
pub enum Next {
    /// Nothing: the job is done.
    #[default]
    Done,
    /// The next phase of the same job, after all of `first` are done. It finds their fates, in
    /// order, in the facts.
    Phase {
        /// Jobs of their own that come before.
        first: Vec<Job>,
        /// The next phase.
        then: Box<Job>,
    },
}

impl Outcome {
    /// The counters to take numbers from.
    pub fn counters(&mut self, facts: &Facts<'_>) -> &mut Counters {
        self.counters.get_or_insert_with(|| facts.counters())
    }

    /// Notes what became of one of our users in a room, for the store and the application.
    pub fn note_membership(&mut self, membership: LocalMembership) {
        self.writes.push(Write::Membership(membership.clone()));
        self.notices.push(Notice::Membership(Box::new(membership)));
    }

    /// The end of a job that changes nothing.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// The end of an attempt to judge an event, since what it needs was not to be had: for good,
    /// if every server that was asked has answered.
    #[must_use]
    pub fn in_vain(
        event_id: &ruma_common::EventId,
        reason: impl Into<String>,
        facts: &Facts<'_>,
    ) -> Self {
        match facts.went_unanswered() {
            true => Self::lacking(event_id, reason),
            false => Self::failed(event_id, reason),
        }
    }

    /// The next phase of the same job.
    #[must_use]
    pub fn phase(then: impl Into<Job>) -> Self {
        Self::default().then(Vec::new(), then)
    }

    /// The end of a job about an event that is refused.
    #[must_use]
    pub fn failed(event_id: &ruma_common::EventId, reason: impl Into<String>) -> Self {
        Self {
            fate: Fate::Failed(event_id.to_owned(), reason.into()),
            ..Self::default()
        }
    }

    /// The end of an attempt to judge an event that lacks something which could not be had.
    #[must_use]
    pub fn lacking(event_id: &ruma_common::EventId, reason: impl Into<String>) -> Self {
        Self {
            fate: Fate::Lacking(event_id.to_owned(), reason.into()),
            ..Self::default()
        }
    }

    /// The end of a job for a request.
    #[must_use]
    pub fn respond(response: Response<Bytes>) -> Self {
        Self {
            answer: Some(JobAnswer::Response(response)),
            ..Self::default()
        }
    }

    /// The end of a job for a request that is not looked at.
    #[must_use]
    pub fn refuse(error: MatrixError) -> Self {
        Self {
            answer: Some(JobAnswer::Refusal(error.into_response())),
            ..Self::default()
        }
    }

    /// The end of a job for a command.
    #[must_use]
    pub fn complete(result: Result<Reply, CommandError>) -> Self {
        Self {
            answer: Some(JobAnswer::Command(result)),
            ..Self::default()
        }
    }

    /// This outcome, and then `then` after all of `first`.
    #[must_use]
    pub fn then(mut self, first: Vec<Job>, then: impl Into<Job>) -> Self {
        self.next = Next::Phase {
            first,
            then: Box::new(then.into()),
        };
        self
    }

    /// This outcome, answering a command.
    #[must_use]
    pub fn with_reply(mut self, reply: Reply) -> Self {
        self.answer = Some(JobAnswer::Command(Ok(reply)));
        self
    }
}
