//! What a running server measures of itself, in the text that Prometheus collects.
//!
//! The [`Driver`](crate::Driver) sees everything come and go and notes it here; how the engine
//! stands is asked when somebody looks. Labels have few values, whatever others send.

mod standing;

use std::{
    borrow::Cow,
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
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

use self::standing::Standing;

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
    transaction_bytes: Histograms,
    standing: Standing,
    /// With the length of the body.
    requests_begun: HashMap<RequestId, (Begun, usize)>,
    calls_begun: HashMap<CallId, (Begun, usize)>,
    queries_begun: HashMap<QueryId, Begun>,
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
            transaction_bytes: told_as(
                of,
                "transaction",
                "Transactions that were answered with 200, by their size",
                Some(Unit::Bytes),
                Histograms::new_with_constructor(sizes),
            ),
            batch_writes,
            standing: Standing::new(of),
            registry,
            requests_begun: HashMap::new(),
            calls_begun: HashMap::new(),
            queries_begun: HashMap::new(),
        }
    }

    pub(crate) fn request_begun(&mut self, id: RequestId, request: &http::Request<Bytes>) {
        let begun = (Instant::now(), endpoint_name(request.uri().path()));
        self.requests_begun
            .insert(id, (begun, request.body().len()));
    }

    pub(crate) fn request_ended(&mut self, id: RequestId, status: http::StatusCode) {
        if let Some(((since, endpoint), bytes)) = self.requests_begun.remove(&id) {
            self.transaction("in", endpoint, status, bytes);
            let code = status.as_str().to_owned();
            observe(&self.request_seconds, "endpoint", endpoint, since);
            let labels = vec![label("endpoint", endpoint), ("code", code.into())];
            self.requests.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn call_begun(&mut self, call: &Call) {
        let begun = (Instant::now(), endpoint_name(call.request.uri().path()));
        self.calls_begun
            .insert(call.id, (begun, call.request.body().len()));
    }

    fn transaction(&self, way: &'static str, endpoint: &str, code: http::StatusCode, bytes: usize) {
        if endpoint == "send" && code == http::StatusCode::OK {
            let histogram = self.transaction_bytes.get_or_create(&[label("way", way)]);
            histogram.observe(bytes as f64);
        }
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
        if let Some(((since, endpoint), bytes)) = self.calls_begun.remove(&id) {
            let code = match result {
                Ok(status) => {
                    self.transaction("out", endpoint, status, bytes);
                    status.as_str().to_owned().into()
                }
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

fn label(name: &'static str, value: &'static str) -> Label {
    (name, Cow::Borrowed(value))
}

fn observe(histograms: &Histograms, name: &'static str, value: &'static str, since: Instant) {
    let taken: Duration = since.elapsed();
    let histogram = histograms.get_or_create(&[label(name, value)]);
    histogram.observe(taken.as_secs_f64());
}

/// From 10 µs to about 40 s.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 4.0, 12))
}

/// From 256 bytes to about 16 MiB.
fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(256.0, 4.0, 9))
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

#[cfg(test)]
mod tests {
    use comity_core::messaging::status::{KeyFetches, Lookups, Verdicts};

    use super::*;

    /// The page of a server of which there is something of everything to tell.
    fn page() -> String {
        let verdicts = Verdicts {
            events: [("accepted", 7), ("rejected", 2)].into(),
            denials: [(("rejected", "rule 8 of room version 11".to_owned()), 2)].into(),
        };
        let engine = Measurements {
            joins: [("asking", 1)].into(),
            verdicts,
            key_fetches: KeyFetches {
                told: 3,
                in_vain: 1,
            },
            caches: [("keys", Lookups { hits: 5, misses: 4 })].into(),
            kept: [("keys", 6)].into(),
            ..Measurements::default()
        };
        let mut metrics = Metrics::new();
        for (number, status) in [(1, 200), (2, 429)] {
            let transaction = http::Request::put("/_matrix/federation/v1/send/1");
            let transaction = transaction.body(Bytes::from_static(&[0; 300])).unwrap();
            metrics.request_begun(RequestId(number), &transaction);
            let status = http::StatusCode::from_u16(status).unwrap();
            metrics.request_ended(RequestId(number), status);
        }
        metrics.text(&engine, comity_store::Statistics::default())
    }

    #[test]
    fn what_the_engine_counts_is_told() {
        let page = page();
        for line in [
            r#"comity_joins_in_part{state="asking"} 1"#,
            r#"comity_events_total{verdict="accepted"} 7"#,
            r#"comity_denied_events_total{verdict="rejected",rule="rule 8 of room version 11"} 2"#,
            r#"comity_key_fetches_total{told="yes"} 3"#,
            r#"comity_key_fetches_total{told="no"} 1"#,
            r#"comity_cache_lookups_total{cache="keys",found="yes"} 5"#,
            r#"comity_cache_lookups_total{cache="keys",found="no"} 4"#,
            r#"comity_cache_entries{cache="keys"} 6"#,
            r#"comity_transaction_bytes_sum{way="in"} 300.0"#,
            r#"comity_transaction_bytes_count{way="in"} 1"#,
        ] {
            assert!(page.lines().any(|told| told == line), "no {line} in {page}");
        }
    }

    #[test]
    fn every_metric_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let document = std::fs::read_to_string(path).unwrap();
        let page = page();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let families = types.filter_map(|of| of.split_once(' '));
        for (name, kind) in families {
            let total = if kind == "counter" { "_total" } else { "" };
            let name = format!("`{name}{total}`");
            assert!(document.contains(&name), "{name} is not documented");
        }
    }
}
