//! What becomes of TLS handshakes that fail.

use std::{
    error::Error,
    io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use rustls::AlertDescription;

use crate::telemetry::Metrics;

/// How often to say that clients do not trust the certificate, while that is so.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// Counts failed handshakes, and reports those that the operator has to do something about.
#[derive(Debug)]
pub struct Handshakes {
    failures: Counter,
    distrust: Counter,
    reported: Mutex<Option<Instant>>,
}

impl Handshakes {
    /// Counts with the counters of these.
    #[must_use]
    pub fn counting(metrics: &Metrics) -> Self {
        Self {
            failures: metrics.handshake_failures.clone(),
            distrust: metrics.handshake_distrust.clone(),
            reported: Mutex::new(None),
        }
    }

    /// A handshake has failed. Port scans and health checks by TCP end so too, and are nothing to report each time;
    /// a client that says by an alert that it does not trust the certificate is.
    pub(super) fn failed(&self, error: &io::Error) {
        self.failures.inc();
        tracing::debug!(%error, "a TLS handshake has failed");
        if !distrust(error) {
            return;
        }
        self.distrust.inc();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.is_none_or(|reported| reported.elapsed() >= REPORT_EVERY) {
            *reported = Some(Instant::now());
            tracing::warn!(
                %error,
                "a client does not trust the certificate; if it is the API server, Pods start unchanged until \
                 clientConfig.caBundle of the MutatingWebhookConfiguration holds the authority that has signed it"
            );
        }
    }
}

/// Whether the other side has ended the handshake because of our certificate. Go's TLS, which is the API server's, sends
/// `bad_certificate` for every reason there is.
fn distrust(error: &io::Error) -> bool {
    let cause = error.get_ref().map(|error| error as &(dyn Error + 'static));
    matches!(
        cause.and_then(|error| error.downcast_ref()),
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnsupportedCertificate
        ))
    )
}
