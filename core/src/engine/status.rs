//! How the engine stands, in words.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Engine, JobId, Running, need::Need};
use crate::messaging::status::{
    HeldBytes, JobStatus, LISTED_MAX, Measurements, RoomStatus, Status,
};

impl Engine {
    /// See [`Status`].
    pub(crate) fn status(&self) -> Status {
        Status {
            destinations: self.outgoing.status(self.now),
            jobs: self.jobs().take(LISTED_MAX).collect(),
            rooms: self.rooms_apart(),
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
            caches: self.world.lookups(),
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
