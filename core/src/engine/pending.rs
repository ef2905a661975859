//! What is asked and not answered yet.

use std::collections::BTreeMap;

use ruma_common::{OwnedEventId, OwnedServerName};

use super::{JobId, job::Job, need::Need};
use crate::input::{CallId, ComputationId, LookupId, QueryId, QuestionId};

/// Who waits for what, and which question outside belongs to which need.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) waiting: BTreeMap<Need, Waiting>,
    pub(super) queries: BTreeMap<QueryId, QueryFor>,
    pub(super) calls: BTreeMap<CallId, CallFor>,
    pub(super) lookups: BTreeMap<LookupId, Need>,
    pub(super) computations: BTreeMap<ComputationId, Need>,
    pub(super) questions: BTreeMap<QuestionId, Need>,
    /// The jobs that fetch keys.
    pub(super) fetching: BTreeMap<Need, JobId>,
}

/// The jobs that have a need.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) jobs: Vec<JobId>,
    /// Whether an answer is under way; otherwise the end of the job that is at work on it counts.
    pub(super) asked: bool,
}

/// What a query is for.
#[derive(Debug)]
pub(super) enum QueryFor {
    Need(Need),
    Events(Vec<OwnedEventId>),
    Commit,
    Queue(OwnedServerName),
}

/// What a call is for.
#[derive(Debug)]
pub(super) enum CallFor {
    Need(Need),
    Page(Need),
    Transaction(OwnedServerName),
}

impl Pending {
    pub(super) fn commit(&mut self, query: QueryId) {
        self.queries.insert(query, QueryFor::Commit);
    }

    pub(super) fn queue(&mut self, query: QueryId, destination: OwnedServerName) {
        self.queries.insert(query, QueryFor::Queue(destination));
    }

    pub(super) fn transaction(&mut self, call: CallId, destination: OwnedServerName) {
        self.calls.insert(call, CallFor::Transaction(destination));
    }

    pub(super) fn page(&mut self, call: CallId, need: Need) {
        self.calls.insert(call, CallFor::Page(need));
    }

    pub(super) fn looked_up(&mut self, lookup: LookupId) -> Option<Need> {
        self.lookups.remove(&lookup)
    }

    /// The need that the end of this job meets.
    pub(super) fn met_by_end_of(&mut self, job: &Job) -> Option<Need> {
        let Job::FetchKey(job) = job else { return None };
        let need = job.need();
        self.fetching.remove(&need);
        Some(need)
    }
}
