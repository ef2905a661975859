//! A simulated server's disk: a database that takes its time, fails, and loses power.
//!
//! **Contract.** Queries are executed one at a time, in the order in which they were submitted, and
//! each at the moment at which it is answered. A crash may come before a query was answered: then
//! of the queries under way some prefix was executed, perhaps all of them, perhaps none, and the
//! server that asked never learns which. A batch that fails leaves nothing, and neither does any
//! batch after it until the server is started again: they were made believing in the first.

use std::{collections::VecDeque, mem, time::Duration};

use comity_core::{
    Monotonic,
    input::QueryId,
    persistence::queries::{Answer, Batch, Query, Read, StoreError},
    transaction::backoff::Spread,
};

use super::{
    database::{Database, DatabaseKind},
    stages::Stages,
};

/// What a disk does next.
#[derive(Debug)]
pub(super) enum DiskEvent {
    /// It answers a query.
    Answer(QueryId, Result<Answer, StoreError>),
    /// Its server crashes, between a commit and the word of it.
    PowerLoss,
}

#[derive(Debug)]
struct Waiting {
    due: Monotonic,
    id: QueryId,
    query: Query,
}

/// A disk; see the module.
#[derive(Debug)]
pub struct Disk {
    database: Database,
    waiting: VecDeque<Waiting>,
    /// The batches that were written since somebody looked.
    written: Vec<Batch>,
    slowness: Duration,
    random: Spread,
    /// How many more batches are committed before the server crashes.
    fuse: Option<u32>,
    /// Which batch fails, counted from the next.
    fault: Option<u32>,
    failed: bool,
    pub(super) stages: Stages,
}

impl Disk {
    pub(super) fn new(kind: DatabaseKind, seed: [u8; 32]) -> Self {
        Self {
            database: Database::new(kind),
            waiting: VecDeque::new(),
            written: Vec::new(),
            slowness: Duration::ZERO,
            random: Spread::new(&seed),
            fuse: None,
            fault: None,
            failed: false,
            stages: Stages::default(),
        }
    }

    /// How long a query takes at most, from now on; it takes some time between nothing and this.
    pub fn set_slowness(&mut self, slowness: Duration) {
        self.slowness = slowness;
    }

    /// Makes the power fail right after so many more batches are written, before the server knows
    /// of the last one.
    pub fn lose_power_after(&mut self, commits: u32) {
        self.fuse = Some(commits);
    }

    /// Makes a batch fail: the next one if this is 1, and so on.
    pub fn fail_commit(&mut self, nth: u32) {
        self.fault = Some(nth);
    }

    /// Takes back what [`Disk::lose_power_after`] and [`Disk::fail_commit`] announced.
    pub fn heal(&mut self) {
        self.fuse = None;
        self.fault = None;
    }

    /// Whether a batch has failed since the server was started.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs a read at once, whatever is under way.
    pub(super) fn look_up(&mut self, read: Read) -> Answer {
        self.database
            .run(&Query::Read(read))
            .expect("the database answers")
    }

    pub(super) fn submit(&mut self, now: Monotonic, id: QueryId, query: Query) {
        let begins = self.waiting.back().map_or(now, |last| last.due.max(now));
        let longest = u64::try_from(self.slowness.as_millis()).unwrap_or(u64::MAX);
        let takes = Duration::from_millis(self.random.next_number() % longest.saturating_add(1));
        let due = begins.plus(takes);
        self.waiting.push_back(Waiting { due, id, query });
    }

    /// When the next query is answered.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.waiting.front().map(|first| first.due)
    }

    /// What has happened by now, one thing at a time.
    pub(super) fn next_event(&mut self, now: Monotonic) -> Option<DiskEvent> {
        let Waiting { id, query, .. } = self.waiting.pop_front_if(|first| first.due <= now)?;
        let is_commit = matches!(query, Query::Commit(_));
        let answer = self.execute(query);
        if is_commit && burns_down(&mut self.fuse) {
            return Some(DiskEvent::PowerLoss);
        }
        self.stages.known();
        Some(DiskEvent::Answer(id, answer))
    }

    /// The server is gone: of what is under way, a prefix of random length is executed.
    pub(super) fn crash(&mut self) {
        let waiting = self.waiting.iter().map(|waiting| &waiting.query);
        self.stages.crash(waiting);
        let survivors = self.random.next_number() % (self.waiting.len() as u64 + 1);
        for _ in 0..survivors {
            if let Some(Waiting { query, .. }) = self.waiting.pop_front() {
                drop(self.execute(query));
            }
        }
        self.waiting.clear();
        self.fuse = None;
        self.failed = false;
    }

    /// The batches that were written since this was asked last, in order.
    pub(super) fn take_written(&mut self) -> Vec<Batch> {
        mem::take(&mut self.written)
    }

    fn execute(&mut self, query: Query) -> Result<Answer, StoreError> {
        let is_commit = matches!(query, Query::Commit(_));
        self.failed |= is_commit && burns_down(&mut self.fault);
        if self.failed {
            return Err(StoreError::Failed("the disk is full".to_owned()));
        }
        let answer = self.database.run(&query);
        if let (Query::Commit(batch), Ok(_)) = (query, &answer) {
            self.stages.written(&batch);
            self.written.push(batch);
        }
        answer
    }
}

/// Counts a fuse down; whether it has burnt down just now.
fn burns_down(fuse: &mut Option<u32>) -> bool {
    let Some(left) = fuse else { return false };
    *left = left.saturating_sub(1);
    let burnt = *left == 0;
    if burnt {
        *fuse = None;
    }
    burnt
}
