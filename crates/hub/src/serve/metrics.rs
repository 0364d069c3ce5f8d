//! Metrics in the text format of Prometheus. They count requests and events; no name of a person or site is in them.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
}

/// The metrics of a server; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    events: Family<EventLabels, Counter>,
    waiting: Gauge,
    open_runs: Gauge,
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.5, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let events = Family::default();
        let (waiting, open_runs) = (Gauge::default(), Gauge::default());
        let mut registry = Registry::with_prefix("tributary");
        registry.register("http_requests", "Requests by route and status", requests.clone());
        registry.register("http_request_seconds", "Time to reply, seconds", seconds.clone());
        registry.register("events", "What happened to runs", events.clone());
        registry.register("waiting_agents", "Agents in a long poll", waiting.clone());
        registry.register("open_runs", "Runs that are not over", open_runs.clone());
        Self { registry: Arc::new(registry), requests, seconds, events, waiting, open_runs }
    }
}

impl Metrics {
    /// Counts a reply.
    pub fn request(&self, method: &Method, route: &str, status: u16, elapsed: Duration) {
        let labels = RequestLabels { method: method.to_string(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds
            .get_or_create(&RouteLabels { route: route.to_owned() })
            .observe(elapsed.as_secs_f64());
    }

    /// Counts an event.
    pub fn event(&self, event: &'static str) {
        self.events.get_or_create(&EventLabels { event }).inc();
    }

    /// Agents in a long poll.
    pub fn waiting(&self) -> &Gauge {
        &self.waiting
    }

    /// Runs that are not over.
    pub fn open_runs(&self) -> &Gauge {
        &self.open_runs
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
