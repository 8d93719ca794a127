//! Health and metrics, on a port of their own: the kubelet and Prometheus have no certificate to check, and must
//! get through when the admission port is crowded.

use std::sync::Arc;

use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
};

use super::{
    Connections, Respond,
    respond::{Answer, answer, text},
};
use crate::{
    server::mutate::Admission,
    telemetry::{Conditions, Metrics},
};

/// The media type of the text format that `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
}

impl Respond for Admin {
    async fn respond(&self, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let (ready, page) = self.conditions.report();
                text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, page)
            }
            "/metrics" => {
                let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
                self.metrics.connections.set(count(self.connections.count()));
                self.metrics.body_bytes.set(count(self.admission.body_bytes()));
                answer(StatusCode::OK, OPEN_METRICS, self.metrics.page().into())
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
        }
    }
}
