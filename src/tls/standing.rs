//! What the registration means for readiness.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::registration::{Entry, Verdict, judge};
use crate::{cluster::Sight, telemetry::Condition};

/// How long a registration that does not fit may last before it takes the program out of service. Tools that apply
/// manifests again, and renewals of certificates, disturb it for moments that are over before endpoints could follow.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the program stands with the API servers.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Whether it was ever known to be accepted.
    earned: bool,
    /// Since when it is known to be refused.
    refused: Option<SystemTime>,
}

/// What is known of the registration.
pub(super) struct Known<'a> {
    /// The name of the configuration.
    pub(super) name: &'a str,
    /// Its entries.
    pub(super) entries: Sight<&'a [Entry]>,
    /// Why it is not followed, or could not be written.
    pub(super) fault: Option<&'a str>,
    /// Whether API servers may not have heard of it yet.
    pub(super) is_settling: bool,
}

impl Standing {
    /// Says how it is.
    pub(super) fn report(
        &mut self,
        chain: Option<&[CertificateDer<'_>]>,
        known: &Known<'_>,
        now: SystemTime,
        condition: &Condition,
    ) {
        let name = known.name;
        let verdict = match (known.entries, chain) {
            (Sight::Unknown, _) => {
                Verdict::Unclear(format!("MutatingWebhookConfiguration {name} is not known yet"))
            }
            (Sight::Missing, _) => {
                Verdict::Unclear(format!("there is no MutatingWebhookConfiguration {name}"))
            }
            (_, None) => Verdict::Refused("no certificate is served".into()),
            (Sight::Found(entries), Some(chain)) => match judge(chain, entries, now) {
                Verdict::Unclear(why) if !entries.is_empty() => {
                    // It can be seen and not be judged: what cannot be known must not stop anything.
                    self.earned = true;
                    Verdict::Unclear(why)
                }
                other => other,
            },
        };
        let but = known.fault.map(|fault| format!("; {fault}")).unwrap_or_default();
        match verdict {
            Verdict::Accepted if known.is_settling && !self.earned => {
                condition.failed("it was registered just now; API servers are given time to learn of it");
            }
            Verdict::Accepted => {
                (self.earned, self.refused) = (true, None);
                let news = match known.fault {
                    None => condition.ok(),
                    Some(fault) => condition.degraded(fault),
                };
                if news && known.fault.is_none() {
                    tracing::info!(
                        configuration = name,
                        "API servers accept the certificate, by what is registered"
                    );
                }
            }
            Verdict::Unclear(why) if self.earned => {
                self.refused = None;
                if condition.degraded(format!("{why}{but}")) {
                    tracing::warn!("whether API servers accept the certificate is not known: {why}{but}");
                }
            }
            Verdict::Unclear(why) => {
                if condition.failed(format!("{why}{but}")) {
                    tracing::warn!("not ready: {why}{but}");
                }
            }
            Verdict::Refused(why) => {
                let why = format!("API servers refuse the served certificate: {why}{but}");
                // A clock that was set back must not prolong it.
                let since = *self.refused.get_or_insert(now);
                let is_patient = self.earned && now.duration_since(since).is_ok_and(|lasts| lasts < PATIENCE);
                let news = if is_patient { condition.degraded(&why) } else { condition.failed(&why) };
                if news {
                    tracing::error!("{why}");
                }
            }
        }
    }
}
