//! Health and metrics, on a port of their own: the kubelet and Prometheus have no certificate to check, and must
//! get through when the admission port is crowded.

use std::sync::{Arc, atomic::Ordering};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

use super::{
    Connections,
    respond::{answer, text},
};
use crate::{
    server::mutate::Admission,
    telemetry::{Conditions, Metrics},
};

/// The media type of the text format that `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts log lines that were given up, in all.
pub type Lost = Arc<dyn Fn() -> usize + Send + Sync>;

/// Answers `/livez`, `/readyz` and `/metrics`.
#[derive(Clone)]
pub struct Admin {
    /// What `/readyz` reports.
    pub conditions: Conditions,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// The connections of the admission port.
    pub connections: Arc<Connections>,
    /// The reviews that go on there.
    pub admission: Arc<Admission>,
    /// The log lines that nobody has read.
    pub log_lines_lost: Lost,
}

/// The routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(async || text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"))
        .fallback(async || text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    let (ready, page) = admin.conditions.report();
    text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, page)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    admin.metrics.is_ready(admin.conditions.report().0);
    admin.metrics.connections.set(count(admin.connections.count()));
    admin.metrics.body_bytes.set(count(admin.admission.body_bytes()));
    let lost = u64::try_from((admin.log_lines_lost)()).unwrap_or(u64::MAX);
    admin.metrics.log_lines_lost.inner().store(lost, Ordering::Relaxed);
    answer(StatusCode::OK, OPEN_METRICS, admin.metrics.page().into())
}
