//! Looking names up, which may take longer than anybody wants to wait.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use comity_core::{
    time::Monotonic,
    transport::names::{Found, Lookup, LookupError},
};
use comity_runtime::{Clock, Resolver};

use crate::thread_pool::ThreadPool;

/// Names that may be looked up at once, and that may be waited for.
const LOOKUPS_MAX: usize = 32;
const WAITS_MAX: usize = 64;

/// Threads that look names up, and threads that wait for those: the operating system's resolver
/// knows no deadline.
pub(crate) struct NameThreads {
    lookups: Arc<ThreadPool>,
    waits: ThreadPool,
    resolver: Resolver,
    clock: Clock,
}

impl NameThreads {
    pub(crate) fn new(resolver: Resolver, clock: Clock) -> Self {
        Self {
            lookups: Arc::new(ThreadPool::new("comity-lookup", LOOKUPS_MAX)),
            waits: ThreadPool::new("comity-name", WAITS_MAX),
            resolver,
            clock,
        }
    }

    /// Looks a name up and tells `done` by the deadline, if threads are to be had by then.
    pub(crate) fn look_up(
        &self,
        lookup: Lookup,
        deadline: Monotonic,
        done: impl FnOnce(Result<Found, LookupError>) + Send + 'static,
    ) {
        let (lookups, resolver) = (self.lookups.clone(), self.resolver.clone());
        let deadline = self.clock.instant(deadline);
        self.waits.run(move || {
            let (sender, found) = mpsc::sync_channel(1);
            lookups.run(move || drop(sender.send(resolver.look_up(&lookup, deadline))));
            let patience = deadline.saturating_duration_since(Instant::now());
            let found = found.recv_timeout(patience);
            done(found.unwrap_or_else(|_| Err(LookupError("no answer in time".to_owned()))));
        });
    }
}
