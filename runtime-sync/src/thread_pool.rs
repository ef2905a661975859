//! Threads for what may block, made when there is work and let go when there is none.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread without work waits for more.
const IDLE: Duration = Duration::from_secs(10);

/// A bounded number of threads. Jobs beyond that number wait in line; dropping the pool drops
/// those in line and lets those that run finish.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    threads_max: usize,
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl ThreadPool {
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Self {
        let (line, changed) = (Mutex::default(), Condvar::new());
        Self {
            shared: Arc::new(Shared {
                name,
                threads_max,
                line,
                changed,
            }),
        }
    }

    /// Runs `job` as soon as a thread is free.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut line = self.shared.lock();
        line.jobs.push_back(Box::new(job));
        if line.jobs.len() > line.idle && line.threads < self.shared.threads_max {
            line.threads += usize::from(self.shared.clone().spawn());
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let mut line = self.shared.lock();
        line.closed = true;
        line.jobs.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Whether there is a new thread. Without one the job waits for another to be free.
    fn spawn(self: Arc<Self>) -> bool {
        let name = self.name;
        let spawned = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || self.work());
        if let Err(error) = &spawned {
            tracing::error!(%error, name, "no thread to be had");
        }
        spawned.is_ok()
    }

    fn work(&self) {
        while let Some(job) = self.next_job() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!(thread = self.name, "a job panicked");
            }
        }
    }

    /// The next job; `None` when the thread should end, which is then already accounted for.
    fn next_job(&self) -> Option<Job> {
        let mut line = self.lock();
        line.idle += 1;
        let waited = self
            .changed
            .wait_timeout_while(line, IDLE, |line| line.jobs.is_empty() && !line.closed);
        line = waited.unwrap_or_else(PoisonError::into_inner).0;
        line.idle -= 1;
        let job = line.jobs.pop_front();
        line.threads -= usize::from(job.is_none());
        job
    }

    /// No job runs under the lock, so a panic cannot leave the line half changed.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn every_job_runs_though_some_panic() {
        let pool = ThreadPool::new("test", 2);
        let (sender, done) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            pool.run(move || {
                assert_ne!(number % 10, 0, "as told");
                sender.send(number).unwrap();
            });
        }
        drop(sender);
        assert_eq!(done.iter().count(), 90);
    }

    #[test]
    fn no_more_jobs_run_at_once_than_threads_are_allowed() {
        let pool = ThreadPool::new("test", 2);
        let (started, has_started) = mpsc::channel();
        let (let_go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..3 {
            let (started, gate) = (started.clone(), gate.clone());
            pool.run(move || {
                started.send(()).unwrap();
                gate.lock().unwrap().recv().unwrap();
            });
        }
        has_started.recv_timeout(LONG).unwrap();
        has_started.recv_timeout(LONG).unwrap();
        assert!(
            has_started
                .recv_timeout(Duration::from_millis(100))
                .is_err()
        );
        (0..3).for_each(|_| let_go.send(()).unwrap());
        has_started.recv_timeout(LONG).unwrap();
    }
}
