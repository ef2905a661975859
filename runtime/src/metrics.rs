//! What a running server measures of itself, in the text that Prometheus collects.
//!
//! The [`Driver`](crate::Driver) sees everything come and go and notes it here; how the engine
//! stands is asked when somebody looks. Labels have few values, whatever others send.

use std::{
    borrow::Cow,
    collections::HashMap,
    time::{Duration, Instant},
};

use comity_core::{
    Call, Input,
    input::{CallError, CallId, QueryId, RequestId},
    messaging::status::Measurements,
    persistence::queries::Query,
    transport::endpoint_name::endpoint_name,
};
use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry, Unit},
};

/// The type, in HTTP, of the text in which metrics are told.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Label = (&'static str, Cow<'static, str>);
type Counters = Family<Vec<Label>, Counter>;
type Gauges = Family<Vec<Label>, Gauge>;
/// With one label, which takes no allocation to look for: there is one for every input.
type Histograms = Family<[Label; 1], Histogram, fn() -> Histogram>;

/// When something began, and what it is called.
type Begun = (Instant, &'static str);

/// See the module's documentation.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Counters,
    request_seconds: Histograms,
    calls: Counters,
    call_seconds: Histograms,
    core_seconds: Histograms,
    resolution_seconds: Histogram,
    query_seconds: Histograms,
    batch_writes: Histogram,
    standing: Standing,
    requests_begun: HashMap<RequestId, Begun>,
    calls_begun: HashMap<CallId, Begun>,
    queries_begun: HashMap<QueryId, Begun>,
}

/// What is asked only when somebody looks.
struct Standing {
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
    cache_lookups: Counters,
    store: Counters,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("comity");
        let of = &mut registry;
        let requests = told(of, "requests", "Requests of other servers, answered", None);
        let request_seconds = "From a request of another server to its answer";
        let calls = told(of, "calls", "Requests to other servers, ended", None);
        let call_seconds = "From a request to another server to its end";
        let core_seconds = "What the core took for one input, by its kind";
        let resolution_seconds = "What the core took for an input for which it resolved states";
        let query_seconds = "From a query's submission to its answer";
        let batch_writes = told_as(
            of,
            "batch_writes",
            "Writes in one atomic batch",
            None,
            Histogram::new(exponential_buckets(1.0, 2.0, 12)),
        );
        Self {
            requests,
            request_seconds: timed(of, "request", request_seconds),
            calls,
            call_seconds: timed(of, "call", call_seconds),
            core_seconds: timed(of, "core", core_seconds),
            resolution_seconds: told_as(
                of,
                "state_resolution",
                resolution_seconds,
                Some(Unit::Seconds),
                times(),
            ),
            query_seconds: timed(of, "query", query_seconds),
            batch_writes,
            standing: Standing::new(of),
            registry,
            requests_begun: HashMap::new(),
            calls_begun: HashMap::new(),
            queries_begun: HashMap::new(),
        }
    }

    pub(crate) fn request_begun(&mut self, id: RequestId, path: &str) {
        let begun = (Instant::now(), endpoint_name(path));
        self.requests_begun.insert(id, begun);
    }

    pub(crate) fn request_ended(&mut self, id: RequestId, status: http::StatusCode) {
        if let Some((since, endpoint)) = self.requests_begun.remove(&id) {
            let code = status.as_str().to_owned();
            observe(&self.request_seconds, "endpoint", endpoint, since);
            let labels = vec![label("endpoint", endpoint), ("code", code.into())];
            self.requests.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn call_begun(&mut self, call: &Call) {
        let begun = (Instant::now(), endpoint_name(call.request.uri().path()));
        self.calls_begun.insert(call.id, begun);
    }

    pub(crate) fn query_begun(&mut self, id: QueryId, query: &Query) {
        let kind = match query {
            Query::Read(_) => "read",
            Query::Commit(batch) => {
                self.batch_writes.observe(batch.writes.len() as f64);
                "commit"
            }
        };
        self.queries_begun.insert(id, (Instant::now(), kind));
    }

    /// An effect is done.
    pub(crate) fn outcome(&mut self, outcome: &Input) {
        match outcome {
            Input::Response(id, result) => {
                self.call_ended(*id, result.as_ref().map(|it| it.status()))
            }
            Input::Answer(id, _) => {
                if let Some((since, kind)) = self.queries_begun.remove(id) {
                    observe(&self.query_seconds, "kind", kind, since);
                }
            }
            _ => {}
        }
    }

    fn call_ended(&mut self, id: CallId, result: Result<http::StatusCode, &CallError>) {
        if let Some((since, endpoint)) = self.calls_begun.remove(&id) {
            let code = match result {
                Ok(status) => status.as_str().to_owned().into(),
                Err(error) => Cow::from(failure(error)),
            };
            observe(&self.call_seconds, "endpoint", endpoint, since);
            let labels = vec![label("endpoint", endpoint), ("code", code)];
            self.calls.get_or_create(&labels).inc();
        }
    }

    /// The core dealt with an input.
    pub(crate) fn dealt_with(&self, kind: &'static str, since: Instant, resolved_states: bool) {
        let taken = since.elapsed().as_secs_f64();
        let labels = [label("input", kind)];
        self.core_seconds.get_or_create(&labels).observe(taken);
        if resolved_states {
            self.resolution_seconds.observe(taken);
        }
    }

    /// Everything measured until now.
    pub(crate) fn text(
        &mut self,
        engine: &Measurements,
        store: comity_store::Statistics,
    ) -> String {
        self.standing.note(engine);
        self.standing.note_store(store);
        let mut text = String::new();
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }
}

impl Standing {
    fn new(of: &mut Registry) -> Self {
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
            cache_lookups: told(of, "cache_lookups", "What was looked for in memory", None),
            store: told(
                of,
                "store_work",
                "Reads, batches, and transactions of the database",
                None,
            ),
        }
    }

    fn note(&self, engine: &Measurements) {
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
        for (cache, lookups) in &engine.caches {
            let cache = label("cache", cache);
            raise(
                &self.cache_lookups,
                [cache.clone(), label("found", "yes")],
                lookups.hits,
            );
            raise(
                &self.cache_lookups,
                [cache, label("found", "no")],
                lookups.misses,
            );
        }
    }

    fn note_store(&self, store: comity_store::Statistics) {
        raise(&self.store, [label("kind", "read")], store.reads);
        raise(&self.store, [label("kind", "batch")], store.commits);
        raise(
            &self.store,
            [label("kind", "transaction")],
            store.transactions,
        );
    }
}

fn label(name: &'static str, value: &'static str) -> Label {
    (name, Cow::Borrowed(value))
}

fn observe(histograms: &Histograms, name: &'static str, value: &'static str, since: Instant) {
    let taken: Duration = since.elapsed();
    let histogram = histograms.get_or_create(&[label(name, value)]);
    histogram.observe(taken.as_secs_f64());
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

/// From 10 µs to about 40 s.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 4.0, 12))
}

fn timed(of: &mut Registry, name: &str, help: &str) -> Histograms {
    let histograms = Histograms::new_with_constructor(times);
    told_as(of, name, help, Some(Unit::Seconds), histograms)
}

fn told<M: Metric + Clone + Default>(
    of: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
) -> M {
    told_as(of, name, help, unit, M::default())
}

fn told_as<M: Metric + Clone>(
    of: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    metric: M,
) -> M {
    match unit {
        Some(unit) => of.register_with_unit(name, help, unit, metric.clone()),
        None => of.register(name, help, metric.clone()),
    }
    metric
}

fn failure(error: &CallError) -> &'static str {
    match error {
        CallError::Resolve(_) => "not found",
        CallError::Connect(_) => "no connection",
        CallError::Tls(_) => "no TLS",
        CallError::BadResponse(_) => "no HTTP",
        CallError::TimedOut => "timed out",
    }
}
