//! The engine: runs jobs until they block, meets their needs, applies their outcomes.
//!
//! **Contract.** A [`Job`] is plain data. Its decision is a pure function of the job and the
//! [`Facts`](facts::Facts); when it lacks a fact it says so and is asked again, from the top, once
//! every [`Need`] of that run is met. When it lacks none it returns an
//! [`Outcome`](outcome::Outcome), which is applied at once and as a whole (`run.rs`).
//!
//! **Invariants.**
//! - A blocked run has no effect. An applied outcome is seen by every later decision.
//! - What an outcome sends, answers or tells leaves after its writes, and all earlier ones, are
//!   acknowledged (`commits.rs`).
//! - All that one input causes to be written is one batch; the events that it causes to be looked
//!   for are one query (`gathering.rs`).
//! - Equal needs are met once. A need is always met in the end: queries, computations and calls
//!   are always answered, and a decision runs at most [`RUNS_MAX`] times a phase.
//! - The same inputs give the same actions: every collection that is walked is ordered.

pub(crate) mod cache;
mod commits;
pub mod compute;
mod departures;
pub mod facts;
mod gathering;
pub mod job;
pub mod load;
mod meet;
pub mod need;
pub mod outcome;
mod pending;
pub mod registry;
mod run;
pub mod searches;
mod sending;
mod span;
mod staged;
mod status;
pub mod stop;
mod tally;
pub mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use http::Response;
use ruma_common::OwnedServerName;

use crate::{
    action::Action,
    engine::{
        commits::Commits,
        departures::{Departure, Undirected},
        gathering::Gathering,
        job::Job,
        load::{Load, Sender},
        need::{Met, Need},
        outcome::Fate,
        pending::Pending,
        registry::Registry,
        searches::Searches,
        tally::Tally,
        world::World,
    },
    input::{CommandId, RequestId},
    keys::{OwnKeys, ring::KeyRing},
    messaging::{command::Statistics, settings::Settings},
    time::{Monotonic, Now},
    transaction::{
        after::schedule::Pulls,
        incoming::Forgetting,
        outgoing::Outgoing,
        staging::{self, Staging},
    },
    transport::matrix_error::MatrixError,
};

/// Names a job; ascending in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// How often a phase may be asked before it is given up: more round trips than any flow has.
pub const RUNS_MAX: u32 = 200;

/// How many jobs may be under way before new requests are refused.
pub const JOBS_MAX: usize = 20_000;

/// Who wants to know how a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Another server.
    Request(RequestId),
    /// The application.
    Command(CommandId),
}

/// A job and where it stands.
#[derive(Debug)]
struct Running {
    job: Job,
    askers: Vec<Asker>,
    /// The job that waits for this one, and which of its fates this one reports.
    parent: Option<(JobId, usize)>,
    met: BTreeMap<Need, Met>,
    waits_for: BTreeSet<Need>,
    fates: Vec<Fate>,
    children: usize,
    /// Whether it waits for another server, itself or through other jobs.
    is_held_up: bool,
    /// Whether a server that it, or a job before one of its phases, asked did not answer.
    went_unanswered: bool,
    /// The staged event that it is an attempt at.
    staged: Option<staging::Key>,
    runs: u32,
    since: Now,
}

/// Runs jobs; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Engine {
    world: World,
    searches: Searches,
    registry: Registry,
    jobs: BTreeMap<JobId, Running>,
    ready: VecDeque<JobId>,
    pending: Pending,
    commits: Commits,
    gathering: Gathering,
    outgoing: Outgoing,
    pulls: Pulls,
    forgetting: Forgetting,
    staging: Staging,
    /// Jobs that begin later, by when and in which order they were wanted.
    later: BTreeMap<(Monotonic, u64), Job>,
    departures: VecDeque<Departure>,
    undirected: Undirected,
    load: Load,
    last_id: u64,
    now: Now,
    statistics: Statistics,
    tally: Tally,
    /// How often states were resolved.
    resolutions: u64,
    halted: bool,
}

impl Engine {
    pub(crate) fn new(
        own: OwnKeys,
        notaries: Vec<OwnedServerName>,
        settings: Settings,
        seed: [u8; 32],
    ) -> Self {
        let outgoing = Outgoing::new(own.server_name().to_owned(), settings.queues, seed);
        let mut world = World::new(own, settings, seed);
        world.keys = KeyRing::new(notaries);
        Self {
            world,
            searches: Searches::default(),
            registry: Registry::default(),
            jobs: BTreeMap::new(),
            ready: VecDeque::new(),
            pending: Pending::default(),
            commits: Commits::default(),
            gathering: Gathering::default(),
            outgoing,
            pulls: Pulls::new(settings.pull_streams, &seed),
            forgetting: Forgetting::default(),
            staging: Staging::default(),
            later: BTreeMap::new(),
            departures: VecDeque::new(),
            undirected: Undirected::default(),
            load: Load::new(settings.requests),
            last_id: 0,
            now: Now::default(),
            statistics: Statistics::default(),
            tally: Tally::default(),
            resolutions: 0,
            halted: false,
        }
    }

    pub(crate) fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        let deadlines = [
            self.outgoing.next_deadline(),
            self.staging.next_deadline(),
            self.pulls.next_deadline(),
            self.later.first_key_value().map(|((at, _), _)| *at),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// An action that no job asked for.
    pub(crate) fn push(&mut self, action: Action) {
        self.departures.push_back(action.into());
    }

    /// What was chosen of how we take part in rooms.
    pub(crate) fn settings(&self) -> Settings {
        self.world.settings
    }

    /// Our keys, for everybody.
    pub(crate) fn published_keys(&self) -> Response<Bytes> {
        self.world.own.published(self.now.wall)
    }

    /// Whether the database failed: nothing that happens counts any more.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted
    }

    pub(crate) fn is_full(&self) -> bool {
        self.jobs.len() >= JOBS_MAX
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let (queued, destinations_down) = self.outgoing.counts();
        Statistics {
            jobs: self.jobs.len() as u64,
            queued,
            destinations_down,
            staged: self.staging.count() as u64,
            oldest_job: self.jobs.values().map(|job| job.since.monotonic).min(),
            ..self.statistics
        }
    }

    /// Takes on a request with a body of so many bytes, until its answer leaves.
    ///
    /// # Errors
    /// 429 if there is no room for it.
    pub(crate) fn admit(
        &mut self,
        id: RequestId,
        sender: Sender,
        bytes: usize,
    ) -> Result<(), MatrixError> {
        match self.is_full() {
            true => Err(load::refusal(&sender)),
            false => self.load.admit(id, sender, bytes),
        }
    }

    /// Starts a job and runs everything that can run.
    pub(crate) fn start(&mut self, job: Job, asker: Option<Asker>) {
        self.create(job, asker.into_iter().collect(), None);
        self.run_ready();
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
