//! How the engine and the store stand, which is asked only when somebody looks.

use std::borrow::Cow;

use comity_core::messaging::status::Measurements;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{Counters, Gauges, Label, label, told};

/// See the module's documentation.
pub(super) struct Standing {
    jobs: Gauges,
    oldest_job_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    destinations: Gauges,
    queued: Gauges,
    queue_lag_seconds: Gauges,
    staged: Gauge,
    memory_bytes: Gauges,
    rooms: Gauges,
    transactions: Counters,
    resolutions: Counter,
    joins_in_part: Gauges,
    events: Counters,
    denied_events: Counters,
    caches: Caches,
    store: Counters,
}

/// What is in memory of what is on disk or elsewhere.
struct Caches {
    key_fetches: Counters,
    lookups: Counters,
    entries: Gauges,
}

impl Standing {
    pub(super) fn new(of: &mut Registry) -> Self {
        let seconds = Some(Unit::Seconds);
        Self {
            jobs: told(
                of,
                "jobs",
                "Jobs under way, by kind and what they wait for",
                None,
            ),
            oldest_job_seconds: told(
                of,
                "oldest_job",
                "How long the oldest job waits",
                seconds.clone(),
            ),
            destinations: told(
                of,
                "destinations",
                "Servers that are owed something or failed",
                None,
            ),
            queued: told(
                of,
                "queued",
                "Items queued in memory for other servers",
                None,
            ),
            queue_lag_seconds: told(
                of,
                "queue_lag",
                "How long the oldest begun transaction has not arrived",
                seconds,
            ),
            staged: told(
                of,
                "staged_events",
                "Acknowledged events that wait for other servers",
                None,
            ),
            memory_bytes: told(
                of,
                "memory",
                "What other servers sent or are owed, as held in memory",
                Some(Unit::Bytes),
            ),
            rooms: told(
                of,
                "rooms",
                "Rooms in memory, and those with several ends",
                None,
            ),
            transactions: told(of, "transactions", "Transactions received and sent", None),
            resolutions: told(
                of,
                "state_resolutions",
                "How often states were resolved",
                None,
            ),
            joins_in_part: told(
                of,
                "joins_in_part",
                "Rooms whose members have not come",
                None,
            ),
            events: told(of, "events", "What became of events", None),
            denied_events: told(
                of,
                "denied_events",
                "Events rejected or soft-failed, by the rule",
                None,
            ),
            caches: Caches::new(of),
            store: told(
                of,
                "store_work",
                "Reads, batches, and transactions of the database",
                None,
            ),
        }
    }

    pub(super) fn note(&self, engine: &Measurements) {
        self.jobs.clear();
        for ((kind, waits_for), count) in &engine.jobs {
            set(
                &self.jobs,
                [label("kind", kind), label("waits_for", waits_for)],
                *count,
            );
        }
        self.oldest_job_seconds.set(engine.oldest_job.as_secs_f64());
        for (state, queues) in &engine.destinations {
            let state = [label("state", state)];
            set(&self.destinations, state.clone(), queues.destinations);
            set(&self.queued, state.clone(), queues.queued);
            set(&self.queue_lag_seconds, state, queues.lag.as_secs());
        }
        for (what, held) in &engine.memory {
            set(&self.memory_bytes, [label("what", what)], held.bytes);
        }
        let statistics = &engine.statistics;
        self.staged.set(to_i64(statistics.staged));
        set(&self.rooms, [label("ends", "any")], engine.rooms);
        set(&self.rooms, [label("ends", "several")], engine.rooms_apart);
        raise(
            &self.transactions,
            [label("way", "in")],
            statistics.transactions_received,
        );
        raise(
            &self.transactions,
            [label("way", "out")],
            statistics.transactions_sent,
        );
        let more = engine.resolutions.saturating_sub(self.resolutions.get());
        self.resolutions.inc_by(more);
        self.note_events(engine);
        self.caches.note(engine);
    }

    fn note_events(&self, engine: &Measurements) {
        for (state, count) in &engine.joins {
            set(&self.joins_in_part, [label("state", state)], *count);
        }
        for (verdict, count) in &engine.verdicts.events {
            raise(&self.events, [label("verdict", verdict)], *count);
        }
        for ((verdict, rule), count) in &engine.verdicts.denials {
            let rule = ("rule", Cow::Owned(rule.clone()));
            raise(
                &self.denied_events,
                [label("verdict", verdict), rule],
                *count,
            );
        }
    }

    pub(super) fn note_store(&self, store: comity_store::Statistics) {
        raise(&self.store, [label("kind", "read")], store.reads);
        raise(&self.store, [label("kind", "batch")], store.commits);
        raise(
            &self.store,
            [label("kind", "transaction")],
            store.transactions,
        );
    }
}

impl Caches {
    fn new(of: &mut Registry) -> Self {
        Self {
            key_fetches: told(
                of,
                "key_fetches",
                "Questions to other servers for their keys",
                None,
            ),
            lookups: told(of, "cache_lookups", "What was looked for in memory", None),
            entries: told(of, "cache_entries", "What is kept in memory", None),
        }
    }

    fn note(&self, engine: &Measurements) {
        let fetches = engine.key_fetches;
        for (told, count) in [("yes", fetches.told), ("no", fetches.in_vain)] {
            raise(&self.key_fetches, [label("told", told)], count);
        }
        for (cache, count) in &engine.kept {
            set(&self.entries, [label("cache", cache)], *count);
        }
        for (cache, lookups) in &engine.caches {
            let cache = label("cache", cache);
            raise(
                &self.lookups,
                [cache.clone(), label("found", "yes")],
                lookups.hits,
            );
            raise(&self.lookups, [cache, label("found", "no")], lookups.misses);
        }
    }
}

fn set<const N: usize>(gauges: &Gauges, labels: [Label; N], value: u64) {
    gauges.get_or_create(&labels.to_vec()).set(to_i64(value));
}

/// Brings a counter to what the engine counted itself.
fn raise<const N: usize>(counters: &Counters, labels: [Label; N], value: u64) {
    let counter = counters.get_or_create(&labels.to_vec());
    counter.inc_by(value.saturating_sub(counter.get()));
}

fn to_i64(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
