//! Whom a join is tried with, and how it went with each (JOIN-8).

use std::{collections::BTreeSet, fmt, time::Duration};

use ruma_common::{OwnedRoomId, OwnedServerName};

use crate::{
    messaging::command::CommandError, time::Monotonic, transport::remote_response::RemoteError,
};

/// How many servers are tried.
pub const CANDIDATES_MAX: usize = 10;

/// No further server is tried when this time has passed. One server can take six minutes: that is
/// how long a large room may take to come.
pub const TRIED_FOR: Duration = Duration::from_secs(15 * 60);

/// The servers that may let our user into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Those not tried yet, best first.
    pub left: Vec<OwnedServerName>,
    /// Those tried in vain, and why each was.
    failures: Vec<(OwnedServerName, Failure)>,
    /// Until when others are tried.
    until: Monotonic,
}

/// Why a server did not let our user in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It made no template that we could sign.
    #[error("no template: {0}")]
    MakeJoin(RemoteError),
    /// It did not take the join.
    #[error("the join was not taken: {0}")]
    SendJoin(RemoteError),
    /// It did not tell the state of the room that was joined.
    #[error("the state was not to be had: {0}")]
    State(RemoteError),
    /// It took the join, but the room that it gave for it is no good.
    #[error("the room that it gave is no good: {0}")]
    Room(RoomFault),
}

/// What is wrong with a room that a server gave for a join (JOIN-6).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomFault {
    /// The answer cannot be read, or is too large.
    #[error("{0}")]
    Unreadable(RemoteError),
    /// The join that came back is not the one that we sent.
    #[error("another event came back")]
    AnotherJoin,
    /// Its state has no create event of the version that was announced.
    #[error("it has no create event of version {0}")]
    NoCreateEvent(&'static str),
    /// There is a second create event.
    #[error("it has two create events")]
    TwoCreateEvents,
    /// Two events of its state claim the same place.
    #[error("its state has two events of type {event_type} with the key {state_key:?}")]
    Contradiction {
        /// The type of both.
        event_type: String,
        /// The state key of both.
        state_key: String,
    },
    /// The join is not properly signed, or the events that it names do not authorise it.
    #[error("the join is forged, or its auth events do not allow it")]
    NotAuthorised,
    /// It leaves out who is in it, though that was not wished.
    #[error("its members are left out, though nobody wished that")]
    OmittedUnasked,
    /// It leaves out who is in it, and does not say which servers are.
    #[error("its members are left out, and its servers too")]
    NoServers,
    /// The state that came along does not allow the join.
    #[error("its state does not allow the join: {0}")]
    NotAllowed(String),
}

/// That nobody let our user into a room, with everybody's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLetIn {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who was tried, in order.
    pub failures: Vec<(OwnedServerName, Failure)>,
    /// Who was not, as it took too long.
    pub not_tried: Vec<OwnedServerName>,
}

impl Candidates {
    /// These servers, each once, without `ours`.
    #[must_use]
    pub fn new(
        servers: impl IntoIterator<Item = OwnedServerName>,
        ours: &OwnedServerName,
        now: Monotonic,
    ) -> Self {
        let mut seen = BTreeSet::from([ours.clone()]);
        let others = servers
            .into_iter()
            .filter(|server| seen.insert(server.clone()));
        Self {
            left: others.take(CANDIDATES_MAX).collect(),
            failures: Vec::new(),
            until: now.plus(TRIED_FOR),
        }
    }

    /// Whether there is still time to ask anybody.
    #[must_use]
    pub fn has_time(&self, now: Monotonic) -> bool {
        now < self.until
    }

    /// The next server to try, and the others after it.
    #[must_use]
    pub fn next(&self, now: Monotonic) -> Option<(OwnedServerName, Self)> {
        let (first, rest) = self.left.split_first().filter(|_| self.has_time(now))?;
        let others = Self {
            left: rest.to_vec(),
            ..self.clone()
        };
        Some((first.clone(), others))
    }

    /// Notes why a server was tried in vain.
    #[must_use]
    pub fn without(mut self, server: OwnedServerName, failure: Failure) -> Self {
        tracing::info!(%server, %failure, "a join failed");
        self.failures.push((server, failure));
        self
    }

    /// Why the join failed with all of them.
    #[must_use]
    pub fn in_vain(&self, room_id: &OwnedRoomId) -> CommandError {
        if self.failures.is_empty() && self.left.is_empty() {
            return CommandError::NotFound(format!("no server is known to be in {room_id}"));
        }
        let not_let_in = NotLetIn {
            room_id: room_id.clone(),
            failures: self.failures.clone(),
            not_tried: self.left.clone(),
        };
        not_let_in.into()
    }
}

impl Failure {
    /// The answer to our user, if this failure speaks of the join itself, so that no other server
    /// would say anything else.
    #[must_use]
    pub fn is_final(&self, server: &OwnedServerName) -> Option<CommandError> {
        let error = match self {
            Self::MakeJoin(error) => error,
            Self::SendJoin(error) if !blames_our_event(error) => error,
            Self::SendJoin(_) | Self::State(_) | Self::Room(_) => return None,
        };
        (!error.try_another_server()).then(|| CommandError::of_server(server, error))
    }
}

/// Whether a server finds fault with an event that it made the template of: that is none of our
/// user's business (JOIN-8).
fn blames_our_event(error: &RemoteError) -> bool {
    let RemoteError::Refused { errcode, .. } = error else {
        return false;
    };
    matches!(errcode.as_str(), "M_INVALID_PARAM" | "M_MISSING_PARAM")
}

impl NotLetIn {
    /// What the last server said that said anything, to be passed on.
    #[must_use]
    pub fn last_word(&self) -> Option<&RemoteError> {
        let mut errors = self
            .failures
            .iter()
            .rev()
            .filter_map(|(_, failure)| match failure {
                Failure::MakeJoin(error) | Failure::SendJoin(error) => Some(error),
                Failure::State(_) | Failure::Room(_) => None,
            });
        errors.find(|error| matches!(error, RemoteError::Refused { .. }))
    }
}

impl fmt::Display for NotLetIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nobody let us into {}", self.room_id)?;
        for (server, failure) in &self.failures {
            write!(f, "; {server}: {failure}")?;
        }
        for server in &self.not_tried {
            write!(f, "; {server}: not tried, as it took too long")?;
        }
        Ok(())
    }
}

impl std::error::Error for NotLetIn {}
