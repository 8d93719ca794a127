//! Metrics, in the text format of Prometheus.
//!
//! Every label has a closed set of values. Names of Pods, images and Namespaces are never labels: whoever may
//! create Pods could grow the page without end.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use fermata_core::{
    plan,
    review::{Decision, Verdict},
    skip::PodSkip,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

/// Why a request was not answered with a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such path.
    NotFound,
    /// Not a POST.
    Method,
    /// Not JSON, by its own account.
    MediaType,
    /// Compressed.
    Encoding,
    /// Larger than any review.
    TooLarge,
    /// Too many bytes are in flight.
    Busy,
    /// Its body did not come in time.
    Slow,
    /// Its body was cut off.
    CutOff,
    /// Not a review.
    Malformed,
    /// A panic while it was read.
    Panic,
    /// No connection is left for it.
    Connections,
    /// The same, on the port for health and metrics.
    AdminConnections,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 12] = [
        Self::NotFound,
        Self::Method,
        Self::MediaType,
        Self::Encoding,
        Self::TooLarge,
        Self::Busy,
        Self::Slow,
        Self::CutOff,
        Self::Malformed,
        Self::Panic,
        Self::Connections,
        Self::AdminConnections,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Method => "method",
            Self::MediaType => "media-type",
            Self::Encoding => "encoding",
            Self::TooLarge => "too-large",
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::CutOff => "cut-off",
            Self::Malformed => "malformed",
            Self::Panic => "panic",
            Self::Connections => "connections",
            Self::AdminConnections => "admin-connections",
        }
    }
}

/// Whether a reload took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reload {
    /// The new content counts.
    Ok,
    /// The old content still counts.
    Failed,
}

/// What became of something that was to be written or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// It is done.
    Ok,
    /// Another replica was first.
    Conflict,
    /// It failed.
    Failed,
}

impl EncodeLabelValue for Written {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Ok => "ok",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteResult {
    result: Written,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadResult {
    result: Reload,
}

impl EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

impl EncodeLabelValue for Reload {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<Outcome, Counter>,
    containers: Family<Outcome, Counter>,
    shims: Family<Outcome, Counter>,
    warnings: Counter,
    duration: Histogram,
    refused: Family<Reason, Counter>,
    panics: Counter,
    certificate_reloads: Family<ReloadResult, Counter>,
    config_reloads: Family<ReloadResult, Counter>,
    certificate_renewals: Family<WriteResult, Counter>,
    authority_renewals: Family<WriteResult, Counter>,
    bundle_writes: Family<WriteResult, Counter>,
    authority_expiry: Gauge,
    background_restarts: Counter,
    /// 1 unless what the config file says cannot be taken.
    config_valid: Gauge,
    /// 1 while reviews should come here.
    ready: Gauge,
    /// TLS handshakes that failed.
    pub handshake_failures: Counter,
    /// TLS handshakes that the client ended because it does not trust the certificate.
    pub handshake_distrust: Counter,
    /// Connections of clients that are open.
    pub connections: Gauge,
    /// Connections that were ended to make room for others.
    pub connections_shed: Counter,
    /// Bytes of request bodies for which room is taken.
    pub body_bytes: Gauge,
    /// When the served certificate expires, in seconds since 1970.
    pub certificate_expiry: Gauge,
    /// Namespaces that the watch knows as opted in.
    pub namespaces: Gauge,
    /// 1 while the watch of Namespaces is up to date.
    pub namespaces_synced: Gauge,
    /// Questions about one Namespace that got no answer.
    pub namespace_lookup_failures: Counter,
    /// Log lines that were given up because nobody read them.
    pub log_lines_lost: Counter,
}

/// From 50 µs, which is one small Pod, to the deadline of a review.
const BUCKETS: [f64; 14] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 500e-3, 1.0, 2.5];

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("fermata"),
            reviews: Family::default(),
            containers: Family::default(),
            shims: Family::default(),
            warnings: Counter::default(),
            duration: Histogram::new(BUCKETS),
            refused: Family::default(),
            panics: Counter::default(),
            certificate_reloads: Family::default(),
            config_reloads: Family::default(),
            certificate_renewals: Family::default(),
            authority_renewals: Family::default(),
            bundle_writes: Family::default(),
            authority_expiry: Gauge::default(),
            background_restarts: Counter::default(),
            config_valid: Gauge::default(),
            ready: Gauge::default(),
            handshake_failures: Counter::default(),
            handshake_distrust: Counter::default(),
            connections: Gauge::default(),
            connections_shed: Counter::default(),
            body_bytes: Gauge::default(),
            certificate_expiry: Gauge::default(),
            namespaces: Gauge::default(),
            namespaces_synced: Gauge::default(),
            namespace_lookup_failures: Counter::default(),
            log_lines_lost: Counter::default(),
        };
        metrics.register();
        metrics.register_certificates();
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", build);
        registry.register("reviews", "Reviews answered, by outcome", self.reviews.clone());
        registry.register(
            "containers",
            "Containers of the Pods that were judged, by what came of their drain",
            self.containers.clone(),
        );
        registry.register(
            "shims",
            "Containers of the Pods that were judged, by what came of their shim",
            self.shims.clone(),
        );
        registry.register("warnings", "Warnings to those who create Pods", self.warnings.clone());
        registry.register_with_unit(
            "review_duration",
            "From a review's head to its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests and connections that were refused, by reason",
            self.refused.clone(),
        );
        registry.register("panics", "Panics while a review was read or decided", self.panics.clone());
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, for whatever reason; health checks by TCP end so too",
            self.handshake_failures.clone(),
        );
        registry.register(
            "tls_distrusted",
            "TLS handshakes that the client ended because it does not trust the certificate",
            self.handshake_distrust.clone(),
        );
        registry.register("connections", "Connections of clients that are open", self.connections.clone());
        registry.register(
            "connections_shed",
            "Connections of no use that were ended to make room for others",
            self.connections_shed.clone(),
        );
        registry.register_with_unit(
            "body_in_flight",
            "Request bodies for which room is taken",
            Unit::Bytes,
            self.body_bytes.clone(),
        );
        registry.register(
            "background_restarts",
            "Work beside the reviews that has ended or panicked, and was begun anew",
            self.background_restarts.clone(),
        );
        registry.register("ready", "Whether reviews should come here, as /readyz says", self.ready.clone());
        registry.register(
            "config_reloads",
            "Changes of the config file, by result",
            self.config_reloads.clone(),
        );
        registry.register(
            "config_valid",
            "Whether the config file is what counts; 0 while it is refused and earlier settings count",
            self.config_valid.clone(),
        );
        registry.register("namespaces", "Namespaces known as opted in", self.namespaces.clone());
        registry.register(
            "namespaces_synced",
            "Whether the watch of Namespaces is up to date",
            self.namespaces_synced.clone(),
        );
        registry.register(
            "namespace_lookup_failures",
            "Questions about a Namespace unknown to the watch that got no answer",
            self.namespace_lookup_failures.clone(),
        );
        registry.register(
            "log_lines_lost",
            "Log lines that were given up because nobody read them",
            self.log_lines_lost.clone(),
        );
    }

    fn register_certificates(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "certificate_reloads",
            "Changes of the certificate files, by result",
            self.certificate_reloads.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the served certificate expires",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
        registry.register(
            "certificate_renewals",
            "Certificates issued by the own authority, by result",
            self.certificate_renewals.clone(),
        );
        registry.register(
            "authority_renewals",
            "New authorities for the Secret, by result",
            self.authority_renewals.clone(),
        );
        registry.register(
            "ca_bundle_writes",
            "Writes of authorities to the webhook configuration, by result",
            self.bundle_writes.clone(),
        );
        registry.register_with_unit(
            "authority_expiry_timestamp",
            "When the own authority expires; 0 where there is none",
            Unit::Seconds,
            self.authority_expiry.clone(),
        );
    }

    /// A counter that is not on the page cannot be compared with its later self.
    fn begin_at_zero(&self) {
        // Without a file, nothing is refused.
        self.config_valid.set(1);
        let own = [
            Verdict::Patched,
            Verdict::Unchanged,
            Verdict::Unreadable,
            Verdict::Denied,
            Verdict::NotPodCreation,
            Verdict::Failed,
        ];
        for verdict in own.into_iter().chain(PodSkip::ALL.map(Verdict::Skipped)) {
            let _ = self.reviews.get_or_create(&Outcome { outcome: verdict.outcome() });
        }
        for outcome in plan::Outcome::WORDS {
            let _ = self.containers.get_or_create(&Outcome { outcome });
        }
        for outcome in plan::ShimOutcome::WORDS {
            let _ = self.shims.get_or_create(&Outcome { outcome });
        }
        for reason in Refusal::ALL {
            let _ = self.refused.get_or_create(&Reason { reason });
        }
        for result in [Written::Ok, Written::Conflict, Written::Failed] {
            for family in [&self.certificate_renewals, &self.authority_renewals, &self.bundle_writes] {
                let _ = family.get_or_create(&WriteResult { result });
            }
        }
        for result in [Reload::Ok, Reload::Failed] {
            let _ = self.certificate_reloads.get_or_create(&ReloadResult { result });
            let _ = self.config_reloads.get_or_create(&ReloadResult { result });
        }
    }

    /// Counts an answered review.
    pub fn review(&self, decision: &Decision, took: Duration) {
        self.reviews.get_or_create(&Outcome { outcome: decision.verdict.outcome() }).inc();
        for &outcome in &decision.containers {
            self.containers.get_or_create(&Outcome { outcome }).inc();
        }
        for &outcome in &decision.shims {
            self.shims.get_or_create(&Outcome { outcome }).inc();
        }
        self.warnings.inc_by(u64::try_from(decision.warnings).unwrap_or(u64::MAX));
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a request that was no review.
    pub fn refused(&self, reason: Refusal) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts work beside the reviews that was begun anew.
    pub fn task_restarted(&self) {
        self.background_restarts.inc();
    }

    /// Counts a change of the certificate files.
    pub fn certificate_reload(&self, result: Reload) {
        self.certificate_reloads.get_or_create(&ReloadResult { result }).inc();
    }

    /// Counts a certificate that was issued by the own authority.
    pub fn certificate_renewal(&self, result: Written) {
        self.certificate_renewals.get_or_create(&WriteResult { result }).inc();
    }

    /// Counts a new authority for the Secret.
    pub fn authority_renewal(&self, result: Written) {
        self.authority_renewals.get_or_create(&WriteResult { result }).inc();
    }

    /// Counts a write of authorities to the webhook configuration.
    pub fn bundle_write(&self, result: Written) {
        self.bundle_writes.get_or_create(&WriteResult { result }).inc();
    }

    /// Says when the own authority expires.
    pub fn authority_expires(&self, expires: SystemTime) {
        self.authority_expiry.set(unix_seconds(expires));
    }

    /// Counts a change of the config file.
    pub fn config_reload(&self, result: Reload) {
        self.config_reloads.get_or_create(&ReloadResult { result }).inc();
    }

    /// Says whether the config file is what counts.
    pub fn config_is_valid(&self, valid: bool) {
        self.config_valid.set(valid.into());
    }

    /// Says whether reviews should come here.
    pub fn is_ready(&self, ready: bool) {
        self.ready.set(ready.into());
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// A moment as seconds since 1970.
#[must_use]
pub fn unix_seconds(moment: SystemTime) -> i64 {
    let since_1970 = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
