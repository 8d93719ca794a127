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
    refusals: Refusals,
}

/// What is known of the registration.
pub(super) struct Known<'a> {
    /// The name of the configuration.
    pub(super) name: &'a str,
    /// Its entries.
    pub(super) entries: Sight<&'a [Entry]>,
    /// Why it is not followed, or could not be written.
    pub(super) fault: Option<&'a str>,
    /// Who undoes each write, where somebody does.
    pub(super) contest: Option<&'a str>,
    /// Whether API servers may not have heard of it yet.
    pub(super) is_settling: bool,
}

/// How long API servers have refused lately.
///
/// Where somebody undoes each write, what is registered is right for a moment every few seconds. Such moments end
/// nothing: what counts is whether it was wrong for most of the time. Then hardly any review comes through, and the
/// program is out of service although it could answer; a replica that says it is ready would hide that from whoever
/// looks, and hold back no rollout. Where it is wrong for less than half of the time, most reviews do come through, and
/// to be out of service would lose these too.
#[derive(Debug, Default)]
struct Refusals {
    /// The last look, and whether it was refused then.
    last: Option<(SystemTime, bool)>,
    /// For how long it was refused, less for how long it was accepted since.
    balance: Duration,
    /// Whether it has been refused for too long.
    is_out: bool,
    /// Whether the log has it.
    is_said: bool,
}

impl Refusals {
    fn note(&mut self, is_refused: bool, now: SystemTime) {
        let (last, was_refused) = self.last.replace((now, is_refused)).unwrap_or((now, is_refused));
        // A clock that was set back must not prolong it.
        let since = now.duration_since(last).unwrap_or_default();
        self.balance = if was_refused {
            (self.balance + since).min(PATIENCE)
        } else {
            self.balance.saturating_sub(since)
        };
        self.is_out = if self.is_out { !self.balance.is_zero() } else { self.balance >= PATIENCE };
    }
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
        let fault = known.fault.into_iter().chain(known.contest).collect::<Vec<_>>().join("; ");
        let but = if fault.is_empty() { String::new() } else { format!("; {fault}") };
        match self.verdict(chain, known, now) {
            Verdict::Accepted if known.is_settling && !self.earned => {
                condition.failed("it was registered just now; API servers are given time to learn of it");
            }
            Verdict::Accepted => {
                self.earned = true;
                if known.contest.is_some() {
                    self.refusals.note(false, now);
                } else {
                    self.refusals = Refusals::default();
                }
                if self.refusals.is_out {
                    condition
                        .failed(format!("API servers refuse the served certificate most of the time{but}"));
                } else if fault.is_empty() {
                    if condition.ok() {
                        tracing::info!(
                            configuration = known.name,
                            "API servers accept the certificate, by what is registered"
                        );
                    }
                } else if condition.degraded(&fault)
                    && let Some(fault) = known.fault
                {
                    tracing::warn!("API servers accept the certificate, and may not for long: {fault}");
                }
            }
            Verdict::Unclear(why) if self.earned => {
                self.refusals = Refusals::default();
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
                self.refusals.note(true, now);
                if self.earned && !self.refusals.is_out {
                    condition.degraded(&why);
                } else {
                    condition.failed(&why);
                }
                if self.refusals.balance >= WORTH_SAYING && !self.refusals.is_said {
                    self.refusals.is_said = true;
                    tracing::error!("{why}");
                }
            }
        }
    }

    /// What API servers make of the certificate.
    fn verdict(
        &mut self,
        chain: Option<&[CertificateDer<'_>]>,
        known: &Known<'_>,
        now: SystemTime,
    ) -> Verdict {
        let name = known.name;
        match (known.entries, chain) {
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
            let known = Known { name: "fermata", entries, fault, contest: None, is_settling };
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

    #[test]
    fn moments_of_acceptance_between_refusals_do_not_make_it_ready() {
        let mut now = SystemTime::now();
        let [own, foreign] = [(); 2].map(|()| Authority::generate(now, SECOND * 3600).unwrap().authority);
        let leaf = own.issue(&["localhost".to_owned()], now, SECOND * 3600).unwrap().identity;
        let (accepted, refused) = ([entry(&own)], [entry(&foreign)]);
        let conditions = Conditions::default();
        let mut standing = Standing::default();
        let mut line = |is_accepted: bool, contest: Option<&str>, millis: u64| {
            let entries = Sight::Found(if is_accepted { &accepted[..] } else { &refused[..] });
            let known = Known { name: "fermata", entries, fault: None, contest, is_settling: false };
            standing.report(Some(leaf.chain()), &known, now, &conditions.registration);
            now += Duration::from_millis(millis);
            conditions.report().1.lines().nth(2).unwrap().to_owned()
        };
        let contest = Some("cainjector undoes it");
        assert_eq!(line(true, None, 0), "[+]registration ok");
        // Wrong for a second of six.
        for _ in 0..20 {
            assert!(line(false, contest, 1000).contains("degraded: API servers refuse"));
            assert_eq!(line(true, contest, 5000), "[-]registration degraded: cainjector undoes it");
        }
        // Right for a moment of five seconds.
        for _ in 0..3 {
            line(false, contest, 5000);
            line(true, contest, 10);
        }
        for _ in 0..3 {
            let said = line(false, contest, 5000);
            assert!(said.contains("failed: API servers refuse the served certificate: "), "{said}");
            assert!(said.ends_with("; cainjector undoes it"), "{said}");
            let said = line(true, contest, 10);
            assert!(said.contains("failed: API servers refuse the served certificate most of"), "{said}");
        }
        // At last it is right for longer than it was wrong.
        line(true, contest, 10_000);
        assert_eq!(line(true, contest, 0), "[-]registration degraded: cainjector undoes it");
        assert_eq!(line(true, None, 0), "[+]registration ok");
        // Once nobody undoes it, it is well at once.
        line(false, None, 6000);
        assert!(line(false, None, 0).contains("failed: "));
        assert_eq!(line(true, None, 0), "[+]registration ok");
    }
}
