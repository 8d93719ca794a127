//! One review: from the request's bytes to the answer's.
//!
//! Whatever goes wrong here must not stop a Pod. With `failurePolicy: Ignore` the API server lets a Pod pass when
//! the answer is an error, but a caller who knows that a review was understood can do better: answer it, allowed
//! and unchanged, with a warning that the Pod's author sees.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    },
    response::Response,
    routing::post,
};
use fermata_core::{
    opt_in::SYSTEM_NAMESPACES,
    review::{Decision, MalformedReview, Review, Verdict},
    settings::Settings,
};
use tokio::{task::block_in_place, time::Instant};

use super::{
    body,
    body::BodyBudget,
    respond::{answer, text},
};
use crate::{
    cluster::Cluster,
    config::live::LiveSettings,
    telemetry::{Metrics, metrics::Refusal},
};

/// The path that the webhook configuration names.
pub const PATH: &str = "/mutate";

/// How a review is decided. There is one way; tests have others, to see what happens when it fails.
pub type Decide = fn(&Review<'_>, &Settings<'_>) -> Decision;

/// Bodies above this are read and planned away from the threads that serve everybody else. Unit: bytes.
const LARGE: usize = 256 << 10;

/// How much a review may take.
#[derive(Clone, Copy, Debug)]
pub struct ReviewLimits {
    /// From the head to the decision: half of the 5 seconds after which the API server gives up, because there may
    /// be a second round (`reinvocationPolicy`).
    pub deadline: Duration,
    /// Bytes of all bodies together.
    pub body_bytes: usize,
}

impl Default for ReviewLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(2500), body_bytes: 32 << 20 }
    }
}

/// Answers reviews.
pub struct Admission {
    settings: Arc<LiveSettings>,
    cluster: Arc<Cluster>,
    metrics: Arc<Metrics>,
    limits: ReviewLimits,
    budget: BodyBudget,
    decide: Decide,
}

impl Admission {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        settings: Arc<LiveSettings>,
        cluster: Arc<Cluster>,
        metrics: Arc<Metrics>,
        limits: ReviewLimits,
    ) -> Self {
        let decide: Decide = |review, settings| review.decide(settings);
        Self { settings, cluster, metrics, limits, budget: BodyBudget::new(limits.body_bytes), decide }
    }

    /// Decides in another way.
    #[must_use]
    pub fn deciding(self, decide: Decide) -> Self {
        Self { decide, ..self }
    }

    /// Bytes of bodies for which room is taken right now.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.budget.taken()
    }

    async fn answer(&self, request: Request) -> Result<Response, Refused> {
        let begun = Instant::now();
        let deadline = begun + self.limits.deadline;
        expect_review(request.headers())?;
        let body = body::read(request.into_body(), &self.budget, deadline).await?;
        let large = body.bytes.len() > LARGE;
        let review = self.guarded(large, || Review::parse(&body.bytes)).ok_or(Refusal::Panic)??;
        let decision = self.decision(&review, large, deadline).await;
        let took = begun.elapsed();
        self.metrics.review(&decision, took);
        log(&review, &decision, took);
        Ok(answer(StatusCode::OK, "application/json", decision.body.into()))
    }

    fn refuse(&self, refused: Refused) -> Response {
        self.metrics.refused(refused.reason);
        tracing::debug!(reason = refused.reason.as_str(), detail = refused.fault, "refused a request");
        refused.answer()
    }

    /// Counts a connection that was refused because there were too many.
    pub fn crowded(&self) {
        self.metrics.refused(Refusal::Connections);
        tracing::debug!("refused a connection: all are busy");
    }

    async fn decision(&self, review: &Review<'_>, large: bool, deadline: Instant) -> Decision {
        let mut namespace = None;
        let mut server = None;
        if review.pod().is_some_and(|pod| !pod.is_mirror()) {
            if let Some(name) = review.namespace().filter(|name| !SYSTEM_NAMESPACES.contains(name)) {
                namespace = self.cluster.namespace(name, deadline).await;
            }
            server = self.cluster.server_version(deadline).await;
        }
        let cluster = self.settings.load();
        let settings = Settings {
            cluster: &cluster,
            namespace: namespace.as_deref(),
            namespace_name: None,
            own_namespace: self.cluster.own_namespace(),
            server,
        };
        self.guarded(large, || (self.decide)(review, &settings))
            .unwrap_or_else(|| review.failed("Fermata has a fault; its log says where"))
    }

    /// Runs what may take long, or may panic over an input that nobody thought of. A panic is counted, and nothing
    /// but this one review is lost.
    fn guarded<T>(&self, large: bool, work: impl FnOnce() -> T) -> Option<T> {
        // Nothing outlives the unwinding but the borrowed body and settings, which are only read.
        let work = AssertUnwindSafe(work);
        let result = catch_unwind(|| if large { block_in_place(work) } else { work() });
        result.inspect_err(|_| self.metrics.panicked()).ok()
    }
}

/// The longest name that Kubernetes allows. Unit: bytes.
const NAME: usize = 253;

/// The beginning of a text, because what a sender chooses must not decide how long a log line is.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// What is wrong with a review, without a word of what it says: serde's own messages quote values.
fn fault(error: &MalformedReview) -> String {
    match error {
        MalformedReview::Json(error) => {
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
        }
        MalformedReview::Kind { .. } => "it is of another kind".to_owned(),
        other => cut(&other.to_string(), 200).to_owned(),
    }
}

/// Says what came of a review. Names and counts, and never what a Pod holds.
fn log(review: &Review<'_>, decision: &Decision, took: Duration) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                uid = cut(review.uid(), 64),
                namespace = review.namespace().map(|name| cut(name, NAME)),
                name = review.pod().map(|pod| cut(pod.name(), NAME)),
                outcome = decision.verdict.outcome(),
                warnings = decision.warnings,
                dry_run = review.is_dry_run(),
                microseconds = took.as_micros(),
                $message
            )
        };
    }
    match decision.verdict {
        Verdict::Failed => line!(error, "a review has failed, and its Pod passed as it was"),
        Verdict::Denied => line!(info, "review"),
        _ => line!(debug, "review"),
    }
}

/// Why a request is not answered with a review, and what its sender is told.
#[derive(Debug)]
struct Refused {
    reason: Refusal,
    /// For its sender.
    detail: Option<String>,
    /// For the log.
    fault: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self { reason, detail: None, fault: None }
    }
}

impl From<MalformedReview> for Refused {
    fn from(error: MalformedReview) -> Self {
        Self { reason: Refusal::Malformed, detail: Some(error.to_string()), fault: Some(fault(&error)) }
    }
}

impl Refused {
    fn answer(self) -> Response {
        let (status, reason) = match self.reason {
            Refusal::NotFound => (StatusCode::NOT_FOUND, "reviews are answered at /mutate"),
            Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "a review comes by POST"),
            Refusal::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a review is application/json"),
            Refusal::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a review comes uncompressed"),
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "a review has at most 7 MiB"),
            Refusal::Busy => (StatusCode::TOO_MANY_REQUESTS, "too many large reviews at a time; try again"),
            Refusal::Slow => (StatusCode::REQUEST_TIMEOUT, "the review did not arrive in time"),
            Refusal::CutOff => (StatusCode::BAD_REQUEST, "the review was cut off"),
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "expected an AdmissionReview"),
            Refusal::Panic => (StatusCode::INTERNAL_SERVER_ERROR, "Fermata has a fault; its log says where"),
            Refusal::Connections | Refusal::AdminConnections => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many connections")
            }
        };
        let line = self.detail.unwrap_or_else(|| reason.to_owned()).replace(char::is_control, " ") + "\n";
        let mut answer = text(status, line);
        let headers = answer.headers_mut();
        if self.reason == Refusal::Busy {
            // client-go waits for as long, and tries again.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if !matches!(self.reason, Refusal::Malformed | Refusal::Panic) {
            // The body has not been read, and will not be.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Checks everything that can be checked before the body.
fn expect_review(headers: &HeaderMap) -> Result<(), Refusal> {
    if !is_json(headers) {
        return Err(Refusal::MediaType);
    }
    // API servers never compress reviews, and a few compressed bytes can become any number.
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Refusal::Encoding);
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The routes.
pub fn router(admission: Arc<Admission>) -> Router {
    Router::new()
        .route(PATH, post(review))
        .method_not_allowed_fallback(async |State(admission): State<Arc<Admission>>| {
            admission.refuse(Refusal::Method.into())
        })
        .fallback(async |State(admission): State<Arc<Admission>>| admission.refuse(Refusal::NotFound.into()))
        .with_state(admission)
}

async fn review(State(admission): State<Arc<Admission>>, request: Request) -> Response {
    admission.answer(request).await.unwrap_or_else(|refused| admission.refuse(refused))
}
