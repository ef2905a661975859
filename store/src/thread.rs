//! The store's thread: takes what waits, executes it in order, answers.

use std::{
    iter,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use comity_core::{
    input::QueryId,
    persistence::queries::{Answer, Query, StoreError},
};

use crate::{Statistics, Store};

/// How many queries may share one transaction. It bounds how long the first of them waits for the
/// last.
const GROUP_LIMIT: usize = 256;

type Job = (QueryId, Query);

/// A store on a thread of its own. Once a batch has failed, so does everything after it, which was
/// asked believing in that batch: start again from what is on the disk.
///
/// Dropping it executes what was submitted, closes the database and ends the thread.
#[derive(Debug)]
pub struct StoreThread {
    jobs: Option<Sender<Job>>,
    statistics: Arc<Mutex<Statistics>>,
    abandoned: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Starts the thread. It calls `on_answer` once for each query, in the order of submission;
    /// while that runs, no query does.
    pub fn spawn(
        store: Store,
        on_answer: impl Fn(QueryId, Result<Answer, StoreError>) + Send + 'static,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel();
        let statistics = Arc::new(Mutex::new(store.statistics()));
        let abandoned = Arc::new(AtomicBool::new(false));
        let (published, is_abandoned) = (Arc::clone(&statistics), Arc::clone(&abandoned));
        let thread =
            thread::spawn(move || serve(store, &waiting, &published, &is_abandoned, &on_answer));
        Self {
            jobs: Some(jobs),
            statistics,
            abandoned,
            thread: Some(thread),
        }
    }

    /// Queues a query. Never blocks.
    pub fn submit(&self, id: QueryId, query: Query) {
        let sent = self.jobs.as_ref().map(|jobs| jobs.send((id, query)));
        if !matches!(sent, Some(Ok(()))) {
            tracing::error!(?id, "the store's thread has ended: a query gets no answer");
        }
    }

    /// What the store had done when it last gave answers.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        *self
            .statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes what was submitted, closes the database and ends the thread, as dropping does.
    pub fn close(self) {}

    /// Ends the thread as a crash would, between two queries: what it has not begun is not done.
    pub fn abandon(self) {
        self.abandoned.store(true, Ordering::Release);
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.jobs = None;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the store's thread has panicked");
        }
    }
}

fn serve(
    mut store: Store,
    waiting: &Receiver<Job>,
    published: &Mutex<Statistics>,
    abandoned: &AtomicBool,
    on_answer: &impl Fn(QueryId, Result<Answer, StoreError>),
) {
    let mut failure = None;
    while let Ok(first) = waiting.recv() {
        let jobs = iter::once(first)
            .chain(waiting.try_iter())
            .take(GROUP_LIMIT)
            .collect();
        for part in split(jobs) {
            if abandoned.load(Ordering::Acquire) {
                return;
            }
            let (ids, queries): (Vec<_>, Vec<_>) = part.into_iter().unzip();
            let answers = match (queries.as_slice(), &failure) {
                (queries, Some(error)) => vec![Err(StoreError::clone(error)); queries.len()],
                ([read @ Query::Read(_)], None) => vec![store.run(read)],
                (group, None) => store.run_group(group),
            };
            failure = failure.or_else(|| failed_commit(&queries, &answers));
            *published.lock().unwrap_or_else(PoisonError::into_inner) = store.statistics();
            iter::zip(ids, answers).for_each(|(id, answer)| on_answer(id, answer));
        }
    }
    if let Err(error) = store.close() {
        tracing::error!(%error, "cannot close the database");
    }
}

/// The error of the first batch that failed.
fn failed_commit(queries: &[Query], answers: &[Result<Answer, StoreError>]) -> Option<StoreError> {
    let mut pairs = iter::zip(queries, answers);
    pairs.find_map(|(query, answer)| match (query, answer) {
        (Query::Commit(_), Err(error)) => Some(error.clone()),
        (Query::Commit(_) | Query::Read(_), _) => None,
    })
}

/// The parts to execute one after the other: each read before the first batch and after the last
/// one alone, since it need not wait for the disk, and everything between as one group.
fn split(mut jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let is_commit = |(_, query): &Job| matches!(query, Query::Commit(_));
    let first = jobs.iter().position(is_commit).unwrap_or(jobs.len());
    let end = jobs
        .iter()
        .rposition(is_commit)
        .map_or(first, |last| last + 1);
    let after = jobs.split_off(end);
    let group = jobs.split_off(first);
    let alone = |job| vec![job];
    let mut parts: Vec<_> = jobs.into_iter().map(alone).collect();
    parts.extend((!group.is_empty()).then_some(group));
    parts.extend(after.into_iter().map(alone));
    parts
}
