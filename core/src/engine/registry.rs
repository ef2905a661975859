//! Which job is at work on what, so that no two do the same thing at once.

use std::collections::BTreeMap;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId, ServerName};

use super::JobId;

/// Something that only one job works on at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// Judging an event. Others that need the event wait for the verdict.
    Event(OwnedEventId),
    /// Joining a room. Who asks for the room waits, but for events that arrive.
    Join(OwnedRoomId),
    /// Receiving a transaction. A repetition gets the same answer.
    Transaction(OwnedServerName, OwnedTransactionId),
    /// Joining the ends of a room's graph.
    Ends(OwnedRoomId),
    /// Telling a server what came after a position.
    After(OwnedServerName),
    /// Pulling another server's stream.
    Pull(OwnedServerName),
    /// Asking a server for its keys anew.
    Keys(OwnedServerName),
    /// Finding out where a server is.
    Discovery(OwnedServerName),
    /// Carrying out a command that must have its effect once. A repetition gets the same answer.
    Once(String),
}

/// The jobs at work, by what they work on.
#[derive(Debug, Default)]
pub struct Registry {
    at_work: BTreeMap<Identity, JobId>,
}

impl Registry {
    /// The job at work on this.
    pub(super) fn at_work(&self, identity: &Identity) -> Option<JobId> {
        self.at_work.get(identity).copied()
    }

    /// How many older jobs receive transactions of this server.
    pub(super) fn transactions_before(&self, origin: &ServerName, job: JobId) -> usize {
        let first = Identity::Transaction(origin.to_owned(), "".into());
        let theirs = self
            .at_work
            .range(first..)
            .take_while(|(identity, _)| match identity {
                Identity::Transaction(of, _) => of == origin,
                _ => false,
            });
        theirs.filter(|(_, worker)| **worker < job).count()
    }

    /// Whether a job other than `job` is at work on this.
    pub(super) fn is_elsewhere(&self, identity: &Identity, job: JobId) -> bool {
        self.at_work(identity).is_some_and(|worker| worker != job)
    }

    /// Notes that `job` is at work on this; the first to come keeps the place.
    pub(super) fn begin(&mut self, identity: Identity, job: JobId) {
        self.at_work.entry(identity).or_insert(job);
    }

    /// Notes that `job` is done with this; true if it held the place.
    pub(super) fn end(&mut self, identity: &Identity, job: JobId) -> bool {
        let held = self.at_work(identity) == Some(job);
        if held {
            self.at_work.remove(identity);
        }
        held
    }
}
