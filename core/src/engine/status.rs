//! How the engine stands, in words.

use std::{collections::BTreeMap, fmt, time::Duration};

use ruma_common::RoomId;

use super::{Engine, JobId, Running, need::Need};
use crate::messaging::status::{
    HeldBytes, JobStatus, JoinState, JoinStatus, LISTED_MAX, Measurements, RoomStatus, Status,
};

impl Engine {
    /// See [`Status`].
    pub(crate) fn status(&self) -> Status {
        Status {
            destinations: self.outgoing.status(self.now),
            jobs: self.jobs().take(LISTED_MAX).collect(),
            rooms: self.rooms_apart(),
            joins: self.joins_in_part(),
        }
    }

    /// Every job with what it waits for and since when.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobStatus> {
        let jobs = self.jobs.iter();
        jobs.map(|(id, running)| self.job(*id, running))
    }

    /// See [`Measurements`].
    pub(crate) fn measurements(&self) -> Measurements {
        let mut jobs = BTreeMap::new();
        let mut oldest_job = Duration::ZERO;
        for running in self.jobs.values() {
            let kind = (running.job.name(), running.waits_for_what());
            *jobs.entry(kind).or_default() += 1;
            oldest_job = oldest_job.max(self.now.monotonic.since(running.since.monotonic));
        }
        let rooms = self.world.rooms();
        let apart = rooms.filter(|room| room.extremities.len() > 1);
        Measurements {
            statistics: self.statistics(),
            jobs,
            oldest_job,
            destinations: self.outgoing.queues(self.now),
            rooms: self.world.rooms().count() as u64,
            rooms_apart: apart.count() as u64,
            resolutions: self.resolutions,
            joins: self.joins_by_state(),
            verdicts: self.tally.verdicts().clone(),
            key_fetches: self.world.keys.fetches(),
            caches: self.world.lookups(),
            kept: self.world.kept(),
            memory: self.memory(),
        }
    }

    /// What other servers sent or are owed, as far as it is held in memory.
    fn memory(&self) -> BTreeMap<&'static str, HeldBytes> {
        [
            ("events", self.world.held()),
            ("queued", self.outgoing.held()),
            ("requests", self.load.held()),
            ("staged", self.staging.held()),
        ]
        .into()
    }

    /// See [`Measurements::resolutions`].
    pub(crate) fn resolutions(&self) -> u64 {
        self.resolutions
    }

    fn job(&self, id: JobId, running: &Running) -> JobStatus {
        let age = self.now.monotonic.since(running.since.monotonic);
        let needs = running.waits_for.iter().map(Need::to_string);
        let jobs = match running.children {
            0 => None,
            count => Some(format!("{count} other jobs")),
        };
        JobStatus {
            id: id.0,
            kind: running.job.name().to_owned(),
            for_ms: age.as_millis().try_into().unwrap_or(u64::MAX),
            waits_for: needs.chain(jobs).collect(),
        }
    }

    /// The joins that wait for the rest of their rooms: those that are at work, and those that pause.
    fn joins_in_part(&self) -> Vec<JoinStatus> {
        let staged = |room_id: &RoomId| self.staging.count_in(room_id) as u64;
        let at_work = self.jobs.values().filter_map(|running| {
            let join = running.job.join()?;
            join.status(running.join_state(), staged(&join.room_id))
        });
        let pausing = self.later.iter().filter_map(|((at, _), job)| {
            let join = job.join()?;
            let until = self.now.wall.plus(at.since(self.now.monotonic));
            join.status(JoinState::Pausing { until }, staged(&join.room_id))
        });
        let mut joins: Vec<JoinStatus> = at_work.chain(pausing).collect();
        joins.sort_by_key(|join| join.taken_at);
        joins.truncate(LISTED_MAX);
        joins
    }

    fn joins_by_state(&self) -> BTreeMap<&'static str, u64> {
        let mut joins: BTreeMap<_, u64> = JoinState::NAMES.map(|name| (name, 0)).into();
        for join in self.joins_in_part() {
            *joins.entry(join.state.name()).or_default() += 1;
        }
        joins
    }

    fn rooms_apart(&self) -> Vec<RoomStatus> {
        let rooms = self.world.rooms().filter(|room| room.extremities.len() > 1);
        let mut rooms: Vec<RoomStatus> = rooms
            .map(|room| RoomStatus {
                room_id: room.room_id.clone(),
                extremities: room.extremities.len() as u64,
            })
            .collect();
        rooms.sort_by_key(|room| std::cmp::Reverse(room.extremities));
        rooms.truncate(LISTED_MAX);
        rooms
    }
}

impl Running {
    /// How a join stands that this job is at work on.
    fn join_state(&self) -> JoinState {
        let asked = self.waits_for.iter().find_map(|need| match need {
            Need::Call(request) => Some(request.destination.clone()),
            _ => None,
        });
        match asked {
            Some(server) => JoinState::Asking { server },
            None => JoinState::Checking,
        }
    }

    /// What kind of thing it waits for first.
    fn waits_for_what(&self) -> &'static str {
        match self.waits_for.first() {
            Some(need) => need.kind(),
            None if self.children > 0 => "jobs",
            None => "nothing",
        }
    }
}

impl Need {
    /// What kind of need it is, in one word.
    fn kind(&self) -> &'static str {
        match self {
            Self::Room(_) | Self::RoomAtPresent(_) => "room",
            Self::Event(_) => "event",
            Self::AuthChain(_) | Self::AuthDescendants(_) | Self::Snapshot(_) | Self::Read(_) => {
                "store"
            }
            Self::Key { .. } => "key",
            Self::Signatures(_) => "signatures",
            Self::Call(_) => "call",
            Self::Lookup(_) => "lookup",
            Self::Page(_) => "page",
            Self::Told(_) => "application",
            Self::Turn(_) | Self::Service(_) => "turn",
        }
    }
}

/// What is lacking, short enough for a line. Neither bodies nor keys are told.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room_id) | Self::RoomAtPresent(room_id) => write!(f, "room {room_id}"),
            Self::Event(event_id) => write!(f, "event {event_id}"),
            Self::AuthChain(of) => write!(f, "the auth chains of {} events", of.len()),
            Self::AuthDescendants(wanted) => {
                write!(f, "what rests on {} events", wanted.of.len())
            }
            Self::Snapshot(snapshot) => write!(f, "state {}", snapshot.0),
            Self::Key { server, key_id, .. } => write!(f, "key {key_id} of {server}"),
            Self::Signatures(of) => write!(f, "the signatures of {} events", of.len()),
            Self::Call(request) => {
                let (method, target) = (request.endpoint.method(), request.endpoint.target());
                let path = target.split('?').next().unwrap_or_default();
                write!(f, "{} to answer {method} {path}", request.destination)
            }
            Self::Lookup(lookup) => write!(f, "the look-up of {lookup:?}"),
            Self::Page(page) => write!(f, "the page {}", page.1),
            Self::Read(_) => write!(f, "the database"),
            Self::Told(_) => write!(f, "the application"),
            Self::Turn(server) => write!(f, "an earlier transaction of {server}"),
            Self::Service(_) => write!(f, "earlier requests of its server"),
        }
    }
}
