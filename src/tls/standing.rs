//! What the registration means for readiness.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::registration::{Entry, Verdict, judge};
use crate::{cluster::Sight, telemetry::Condition};

/// How long a registration that does not fit may last before it takes the program out of service. Tools that apply
/// manifests again, and renewals of certificates, disturb it for moments that are over before endpoints could follow.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it must last to be worth a line in the log: at every start, and at every healing, there is a moment of it.
const WORTH_SAYING: Duration = Duration::from_secs(1);

/// How the program stands with the API servers.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Whether it was ever known to be accepted.
    earned: bool,
    /// Since when it is known to be refused, and whether the log has it.
    refused: Option<(SystemTime, bool)>,
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
            (_, None) => Verdict::Unclear("no certificate is served yet".into()),
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
                // What comes and goes at every start is no news for the log.
                let is_usual = known.fault.is_none() && !matches!(known.entries, Sight::Missing);
                if condition.failed(format!("{why}{but}")) && !is_usual {
                    tracing::warn!("not ready: {why}{but}");
                }
            }
            Verdict::Refused(why) => {
                let why = format!("API servers refuse the served certificate: {why}{but}");
                // A clock that was set back must not prolong it.
                let (since, is_said) = *self.refused.get_or_insert((now, false));
                let lasts = now.duration_since(since).unwrap_or(PATIENCE);
                if self.earned && lasts < PATIENCE {
                    condition.degraded(&why);
                } else {
                    condition.failed(&why);
                }
                if lasts >= WORTH_SAYING && !is_said {
                    self.refused = Some((since, true));
                    tracing::error!("{why}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Known, PATIENCE, Standing};
    use crate::{
        cluster::Sight,
        telemetry::Conditions,
        tls::{authority::Authority, bundle::Bundle, registration::Entry},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(authority: &Authority) -> Entry {
        Entry {
            name: "pods.fermata.dev".into(),
            server_name: Some("localhost".into()),
            by_system_roots: false,
            bundle: Bundle { authorities: vec![authority.certificate().clone()], has_garbage: false },
        }
    }

    #[test]
    fn readiness_is_earned_and_lost_only_by_what_is_known() {
        let begin = SystemTime::now();
        let [own, foreign] = [(); 2].map(|()| Authority::generate(begin, SECOND * 3600).unwrap().authority);
        let leaf = own.issue(&["localhost".to_owned()], begin, SECOND * 3600).unwrap().identity;
        let (accepted, refused) = ([entry(&own)], [entry(&foreign)]);
        let conditions = Conditions::default();
        let mut standing = Standing::default();
        let mut ready = |entries, fault, is_settling, seconds| {
            let known = Known { name: "fermata", entries, fault, is_settling };
            let now = begin + SECOND * seconds;
            standing.report(Some(leaf.chain()), &known, now, &conditions.registration);
            let (ready, page) = conditions.report();
            (ready, page.lines().nth(2).unwrap().to_owned())
        };
        let patience = u32::try_from(PATIENCE.as_secs()).unwrap();
        for (entries, fault, is_settling, at, expected, says) in [
            (Sight::Unknown, None, false, 0, false, "is not known yet"),
            (Sight::Unknown, Some("forbidden"), false, 1, false, "is not known yet; forbidden"),
            (Sight::Missing, None, false, 2, false, "there is no MutatingWebhookConfiguration fermata"),
            (Sight::Found(&refused[..]), None, false, 3, false, "does not have its authority"),
            (Sight::Found(&accepted[..]), None, true, 4, false, "given time"),
            (Sight::Found(&accepted[..]), None, false, 5, true, "[+]registration ok"),
            (Sight::Found(&accepted[..]), None, true, 6, true, "[+]registration ok"),
            (Sight::Found(&accepted[..]), Some("away"), false, 7, true, "degraded: away"),
            (Sight::Missing, None, false, 8, true, "degraded: there is no"),
            (Sight::Found(&refused[..]), None, false, 10, true, "degraded: API servers refuse"),
            (Sight::Found(&refused[..]), Some("no"), false, 10 + patience, false, "authority; no"),
            (Sight::Found(&accepted[..]), None, false, 20, true, "[+]registration ok"),
        ] {
            let (is_ready, line) = ready(entries, fault, is_settling, at);
            assert_eq!(is_ready, expected, "at {at}: {line}");
            assert!(line.contains(says), "at {at}: {line}");
        }
    }
}
