//! How certificates stand, and whether a bundle vouches for what is served. Reading them and judging them is what
//! [`tls`](crate::tls) does, so that `check` and the replicas come to the same verdict.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use rustls::pki_types::CertificateDer;

use crate::tls::{
    certificate::Validity,
    registration::{self, Entry, Verdict},
};

/// How a certificate stands at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// More than a quarter of its lifetime is left.
    Good(Duration),
    /// Whoever renews it should have done so: Fermata itself does after 60 to 70 % of the lifetime, cert-manager
    /// after two thirds.
    Late(Duration),
    /// It does not count yet.
    Early(Duration),
    /// It has expired so long ago.
    Expired(Duration),
}

impl Standing {
    /// How it stands.
    pub(super) fn of(validity: Validity, now: SystemTime) -> Self {
        if let Ok(wait) = validity.not_before().duration_since(now)
            && !wait.is_zero()
        {
            return Self::Early(wait);
        }
        match validity.not_after().duration_since(now) {
            Ok(left) if now > validity.at_thousandths(750) => Self::Late(left),
            Ok(left) => Self::Good(left),
            Err(past) => Self::Expired(past.duration()),
        }
    }

    /// Whether it counts.
    const fn counts(self) -> bool {
        matches!(self, Self::Good(_) | Self::Late(_))
    }
}

/// What API servers make of what the server has shown.
///
/// Expired authorities count for nothing: API servers look at their dates as well, which rustls does not.
pub(super) fn verdict(webhook: &MutatingWebhook, chain: &[Vec<u8>], now: SystemTime) -> Verdict {
    let configuration =
        MutatingWebhookConfiguration { webhooks: Some(vec![webhook.clone()]), ..Default::default() };
    let mut entries = Entry::all(&configuration);
    for entry in &mut entries {
        let known = entry.bundle.authorities.len();
        entry.bundle.authorities.retain(|authority| Standing::of(authority.validity(), now).counts());
        if known > 0 && entry.bundle.authorities.is_empty() {
            return Verdict::Refused("no authority in caBundle counts today".to_owned());
        }
    }
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    registration::judge(&chain, &entries, now)
}

/// When what was shown counts, if it is a certificate.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    Validity::of(&CertificateDer::from(der))
}

/// A length of time as a person says it: in its largest unit.
pub(super) fn about(length: Duration) -> String {
    let seconds = length.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhook};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::{Standing, about, validity, verdict};
    use crate::tls::registration::Verdict;

    const DAY: Duration = Duration::from_hours(24);

    fn of_2026(is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["fermata.fermata.svc".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 12, 27);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    /// That many days after the start of 2026.
    fn day(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_454 * DAY + day * DAY
    }

    #[test]
    fn a_certificate_is_late_in_its_last_quarter() {
        let made = of_2026(false).self_signed(&KeyPair::generate().unwrap()).unwrap();
        let validity = validity(made.der()).unwrap();
        for (at, expected) in [
            (0, Standing::Good(360 * DAY)),
            (269, Standing::Good(91 * DAY)),
            (271, Standing::Late(89 * DAY)),
            (361, Standing::Expired(DAY)),
        ] {
            assert_eq!(Standing::of(validity, day(at)), expected, "day {at}");
        }
        assert_eq!(Standing::of(validity, day(0) - DAY), Standing::Early(DAY));
    }

    #[test]
    fn a_bundle_vouches_for_what_it_has_signed_while_it_counts() {
        let issuer = CertifiedIssuer::self_signed(of_2026(true), KeyPair::generate().unwrap()).unwrap();
        let other = CertifiedIssuer::self_signed(of_2026(true), KeyPair::generate().unwrap()).unwrap();
        let leaf = of_2026(false).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let chain = [leaf.der().to_vec()];
        let both = other.pem() + "garbage\n" + &issuer.pem();
        let verdict = |bundle: &str, host: &str, at| {
            let mut webhook = MutatingWebhook::default();
            webhook.client_config.url = Some(format!("https://{host}/mutate"));
            webhook.client_config.ca_bundle = Some(ByteString(bundle.as_bytes().to_vec()));
            verdict(&webhook, &chain, day(at))
        };
        assert_eq!(verdict(&both, "fermata.fermata.svc", 1), Verdict::Accepted);
        for (bundle, host, at, part) in [
            (other.pem(), "fermata.fermata.svc", 1, "does not have its authority"),
            (both.clone(), "other.fermata.svc", 1, "it is not for"),
            (both, "fermata.fermata.svc", 400, "no authority in caBundle counts today"),
        ] {
            let Verdict::Refused(reason) = verdict(&bundle, host, at) else { panic!("{host} {at}") };
            assert!(reason.contains(part), "{host} {at}: {reason}");
        }
    }

    #[test]
    fn lengths_are_said_in_their_largest_unit() {
        for (seconds, expected) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (86_400, "24 hours"),
            (30 * 86_400, "30 days"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), expected);
        }
    }
}
