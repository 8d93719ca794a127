//! What certificates say: whether they are any, until when they count, and whether one vouches for another.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use rustls::{
    CertificateError, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::sync::Arc;

use crate::tls::{self, expiry};

/// A certificate, and from when and until when it counts.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    not_before: SystemTime,
    not_after: SystemTime,
}

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

impl Certificate {
    /// Reads one.
    pub(super) fn new(der: &[u8]) -> Option<Self> {
        let (not_before, not_after) = expiry::validity(der)?;
        Some(Self { der: CertificateDer::from(der.to_vec()), not_before, not_after })
    }

    /// Reads all that are in a PEM file. What is no certificate is passed over, as API servers do.
    pub(super) fn bundle(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem).filter_map(|found| Self::new(&found.ok()?)).collect()
    }

    /// How it stands.
    pub(super) fn standing(&self, now: SystemTime) -> Standing {
        if let Ok(wait) = self.not_before.duration_since(now)
            && !wait.is_zero()
        {
            return Standing::Early(wait);
        }
        match self.not_after.duration_since(now) {
            Ok(left) => {
                let whole = self.not_after.duration_since(self.not_before).unwrap_or_default();
                if left * 4 < whole { Standing::Late(left) } else { Standing::Good(left) }
            }
            Err(past) => Standing::Expired(past.duration()),
        }
    }

    /// Whether it counts.
    pub(super) fn counts(&self, now: SystemTime) -> bool {
        matches!(self.standing(now), Standing::Good(_) | Standing::Late(_))
    }
}

/// Whether a bundle vouches for what a server of this name has shown.
///
/// Expired authorities count for nothing: API servers look at their dates as well.
pub(super) fn verify(
    bundle: &[Certificate],
    chain: &[Vec<u8>],
    name: &str,
    now: SystemTime,
) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    for authority in bundle.iter().filter(|authority| authority.counts(now)) {
        // One that is no authority is passed over, as API servers do.
        let _ = roots.add(authority.der.clone());
    }
    if roots.is_empty() {
        bail!("no authority in it counts today");
    }
    let host = name.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).context("no certificate can be for that name")?;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH)?;
    let certificates: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let (leaf, intermediates) = certificates.split_first().context("no certificate came")?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build()?;
    let now = UnixTime::since_unix_epoch(since_1970);
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], now) {
        Ok(_) => Ok(()),
        // The latter where two authorities bear the same name, as the successive ones of an installation do.
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => bail!("no authority in it has signed it"),
        Err(error) => Err(error.into()),
    }
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

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::{Certificate, Standing, about, verify};

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
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + day * DAY
    }

    #[test]
    fn a_certificate_is_late_in_its_last_quarter() {
        let made = of_2026(false).self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::new(made.der()).unwrap();
        for (at, expected) in [
            (0, Standing::Good(360 * DAY)),
            (269, Standing::Good(91 * DAY)),
            (271, Standing::Late(89 * DAY)),
            (361, Standing::Expired(DAY)),
        ] {
            assert_eq!(certificate.standing(day(at)), expected, "day {at}");
        }
        assert_eq!(certificate.standing(day(0) - DAY), Standing::Early(DAY));
    }

    #[test]
    fn a_bundle_vouches_for_what_it_has_signed_while_it_counts() {
        let issuer = CertifiedIssuer::self_signed(of_2026(true), KeyPair::generate().unwrap()).unwrap();
        let other = CertifiedIssuer::self_signed(of_2026(true), KeyPair::generate().unwrap()).unwrap();
        let leaf = of_2026(false).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let chain = [leaf.der().to_vec()];
        let bundle = Certificate::bundle((other.pem() + "garbage\n" + &issuer.pem()).as_bytes());
        assert_eq!(bundle.len(), 2);
        verify(&bundle, &chain, "fermata.fermata.svc", day(1)).unwrap();
        for (bundle, name, at, part) in [
            (&bundle[..1], "fermata.fermata.svc", 1, "has signed it"),
            (&bundle[..], "other.fermata.svc", 1, "not valid for name"),
            (&bundle[..], "fermata.fermata.svc", 400, "no authority"),
            (&[][..], "fermata.fermata.svc", 1, "no authority"),
        ] {
            let error = verify(bundle, &chain, name, day(at)).unwrap_err().to_string();
            assert!(error.contains(part), "{name} {at}: {error}");
        }
        assert!(verify(&bundle, &[], "fermata.fermata.svc", day(1)).is_err());
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
