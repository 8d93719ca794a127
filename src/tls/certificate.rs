//! What is read from a certificate: how long it is valid, and whether it can be an authority.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

/// How far before its issue a certificate is valid, so that a clock that is behind accepts it.
pub(super) const BACKDATED: Duration = Duration::from_hours(1);

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// That of a certificate which is issued now: backdated, but by no more than its lifetime.
    pub(super) fn issued(now: SystemTime, lifetime: Duration) -> Self {
        let now = whole_seconds(now);
        let not_before = now.checked_sub(lifetime.min(BACKDATED)).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { not_before, not_after: now + lifetime }
    }

    /// Reads it from a certificate, if it is one.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        Self::read(&parse(certificate)?)
    }

    fn read(certificate: &X509Certificate<'_>) -> Option<Self> {
        let validity = certificate.validity();
        Some(Self { not_before: moment(validity.not_before)?, not_after: moment(validity.not_after)? })
    }

    /// The first moment.
    #[must_use]
    pub const fn not_before(self) -> SystemTime {
        self.not_before
    }

    /// The last moment.
    #[must_use]
    pub const fn not_after(self) -> SystemTime {
        self.not_after
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self, now: SystemTime) -> bool {
        now > self.not_after
    }

    /// Whether it has not begun.
    #[must_use]
    pub fn is_ahead(self, now: SystemTime) -> bool {
        now < self.not_before
    }

    /// How long it is valid from its issue on, with the backdating taken off again.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        let whole = self.not_after.duration_since(self.not_before).unwrap_or_default();
        whole.checked_sub(BACKDATED).filter(|lifetime| *lifetime >= BACKDATED).unwrap_or(whole / 2)
    }

    /// The moment when that many thousandths of the lifetime have passed.
    #[must_use]
    pub fn at_thousandths(self, thousandths: u32) -> SystemTime {
        let left = self.lifetime() / 1000 * 1000_u32.saturating_sub(thousandths);
        self.not_after.checked_sub(left).unwrap_or(self.not_before)
    }

    /// Whether it has been over for so long that it is over by any clock in the cluster.
    pub(super) fn is_long_over(self, now: SystemTime) -> bool {
        now > self.not_after + self.lifetime().min(BACKDATED)
    }
}

/// The moment in whole seconds, as certificates have them.
pub(super) fn whole_seconds(moment: SystemTime) -> SystemTime {
    let since_1970 = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970.as_secs())
}

/// A time of a certificate, cut off at 1970.
fn moment(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(certificate)
}

/// A certificate that can vouch for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    validity: Validity,
}

/// Why a certificate cannot vouch for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthority {
    /// It is none.
    #[error("is not a certificate")]
    Malformed,
    /// It is a server's, or a client's.
    #[error("is not the certificate of an authority")]
    EndEntity,
}

impl CaCertificate {
    /// Takes a certificate that API servers accept as an authority: a basic constraint says that it is one, and no
    /// key usage says otherwise (RFC 5280, sections 4.2.1.3 and 4.2.1.9).
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn new(der: CertificateDer<'static>) -> Result<Self, NotAuthority> {
        let certificate = parse(&der).ok_or(NotAuthority::Malformed)?;
        let validity = Validity::read(&certificate).ok_or(NotAuthority::Malformed)?;
        let signs = certificate.key_usage().ok().flatten().is_none_or(|usage| usage.value.key_cert_sign());
        if !certificate.is_ca() || !signs {
            return Err(NotAuthority::EndEntity);
        }
        Ok(Self { der, validity })
    }

    /// Its bytes.
    #[must_use]
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// How long it is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether this is the public key that it speaks of, as a DER `SubjectPublicKeyInfo`.
    pub(super) fn has_key(&self, public_key: &[u8]) -> bool {
        parse(&self.der).is_some_and(|certificate| certificate.public_key().raw == public_key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::CertificateDer;

    use super::{CaCertificate, NotAuthority, Validity};

    fn expiring(year: i32, month: u8, day: u8) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn both_ways_of_writing_a_date_are_read() {
        for (year, month, day, seconds) in [
            (2026, 11, 23, 1_795_392_000),
            (2028, 2, 29, 1_835_395_200),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let read = Validity::of(&expiring(year, month, day)).map(Validity::not_after);
            assert_eq!(read, Some(expected), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn whatever_is_cut_or_changed_is_never_a_panic() {
        let whole = expiring(2030, 1, 1).to_vec();
        for end in 0..whole.len() {
            assert_eq!(CaCertificate::new(whole[..end].to_vec().into()), Err(NotAuthority::Malformed));
        }
        for at in 0..whole.len() {
            for byte in [0x00, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = CaCertificate::new(changed.into());
            }
        }
    }

    #[test]
    fn the_lifetime_is_counted_from_the_issue() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        for seconds in [2, 10, 3600, 5000, 7200, 86_400 * 365] {
            let lifetime = Duration::from_secs(seconds);
            let validity = Validity::issued(now, lifetime);
            assert_eq!(validity.lifetime(), lifetime);
            assert_eq!(validity.at_thousandths(0), now);
            assert_eq!(validity.at_thousandths(1000), validity.not_after());
            assert!(!validity.is_ahead(now - lifetime.min(Duration::from_hours(1))));
            assert!(validity.is_over(now + lifetime + Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_server_is_no_authority() {
        assert_eq!(CaCertificate::new(expiring(2030, 1, 1)), Err(NotAuthority::EndEntity));
    }
}
