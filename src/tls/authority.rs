//! A certificate authority of Fermata's own, and the leaves that it signs.
//!
//! P-256 throughout: every API server accepts it, and signing is cheap. The key of a leaf is never stored.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem, pem::PemObject};

use super::{
    Identity,
    certificate::{CaCertificate, NotAuthority, Validity, whole_seconds},
    chance,
};

/// In which part of the lifetime a certificate is renewed, in thousandths: at a random moment, so that not all
/// replicas do it at once, and early enough that days remain in which a renewal that fails can be seen to.
const RENEWAL: std::ops::Range<u32> = 600..700;

/// A random moment at which to renew what is valid so long.
fn renewal(validity: Validity) -> SystemTime {
    validity.at_thousandths(RENEWAL.start + chance::below(RENEWAL.end - RENEWAL.start))
}

/// An authority with its key.
pub struct Authority {
    certificate: CaCertificate,
    issuer: Issuer<'static, KeyPair>,
    renewal: SystemTime,
}

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokenAuthority {
    /// Its certificate is not PEM.
    #[error("its certificate is not PEM ({0})")]
    Certificate(pem::Error),
    /// Its certificate is not that of an authority.
    #[error("its certificate {0}")]
    NotAuthority(#[from] NotAuthority),
    /// Its key is not one that can sign.
    #[error("its key is not a PKCS#8 key as PEM")]
    Key,
    /// The two do not belong together.
    #[error("its key is not the certificate's")]
    OtherKey,
    /// The certificate holds something that cannot be carried on.
    #[error("its certificate cannot sign others ({0})")]
    Issuer(rcgen::Error),
}

/// A new authority, as text for where it is kept.
pub struct NewAuthority {
    /// Its certificate as PEM.
    pub certificate: String,
    /// Its key as PEM, PKCS#8.
    pub key: String,
    /// The authority itself.
    pub authority: Authority,
}

/// A certificate for a server, with a key that nobody else has.
pub struct Leaf {
    /// What is served.
    pub identity: Identity,
    /// How long it is valid: never longer than its authority.
    pub validity: Validity,
    /// When to issue the next one.
    pub renewal: SystemTime,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate(now: SystemTime, lifetime: Duration) -> Result<NewAuthority, rcgen::Error> {
        let validity = Validity::issued(now, lifetime);
        let mut params = params(validity);
        // Each has a name of its own, so that who looks at a bundle can tell them apart.
        let number = chance::below(u32::MAX);
        params.distinguished_name.push(DnType::CommonName, format!("Fermata authority {number:08x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let made = CertifiedIssuer::self_signed(params, key)?;
        let certificate =
            CaCertificate::new(made.der().clone()).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let key = KeyPair::from_pem(&key_pem)?;
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key)?;
        let authority = Self { renewal: renewal(certificate.validity()), certificate, issuer };
        Ok(NewAuthority { certificate: made.pem(), key: key_pem, authority })
    }

    /// Reads one from PEM.
    ///
    /// # Errors
    ///
    /// When it cannot be used to sign.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, BrokenAuthority> {
        let certificate =
            CertificateDer::from_pem_slice(certificate).map_err(BrokenAuthority::Certificate)?;
        let certificate = CaCertificate::new(certificate)?;
        let key = std::str::from_utf8(key).ok().and_then(|key| KeyPair::from_pem(key).ok());
        let key = key.ok_or(BrokenAuthority::Key)?;
        if !certificate.has_key(&key.subject_public_key_info()) {
            return Err(BrokenAuthority::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key).map_err(BrokenAuthority::Issuer)?;
        Ok(Self { renewal: renewal(certificate.validity()), certificate, issuer })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// When to make its successor.
    #[must_use]
    pub const fn renewal(&self) -> SystemTime {
        self.renewal
    }

    /// Signs a certificate for these host names and IP addresses.
    ///
    /// # Errors
    ///
    /// When a name is none, or the system gives no random numbers.
    pub fn issue(&self, names: &[String], now: SystemTime, lifetime: Duration) -> Result<Leaf, IssueError> {
        let now = whole_seconds(now);
        let left = self.certificate.validity().not_after().duration_since(now).unwrap_or_default();
        let validity = Validity::issued(now, lifetime.min(left));
        let mut params = params(validity);
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.distinguished_name.push(DnType::CommonName, "Fermata");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let identity = Identity::new(vec![leaf.der().clone()], key)?;
        Ok(Leaf { identity, validity, renewal: renewal(validity) })
    }
}

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// It could be made, and not served.
    #[error("cannot serve the certificate that was made: {0}")]
    Serve(#[from] rustls::Error),
}

fn params(validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before().into();
    params.not_after = validity.not_after().into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

/// Whether a certificate can be made for that name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let host = |name: &str| {
        !name.is_empty()
            && Ia5String::try_from(name).is_ok()
            && rustls::pki_types::DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
    };
    name.parse::<std::net::IpAddr>().is_ok() || host(name)
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("validity", &self.certificate.validity()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Authority, BrokenAuthority, is_name};
    use crate::tls::certificate::Validity;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn what_is_written_can_be_read_again() {
        let now = SystemTime::now();
        let made = Authority::generate(now, DAY).unwrap();
        let read = Authority::read(made.certificate.as_bytes(), made.key.as_bytes()).unwrap();
        assert_eq!(read.certificate(), made.authority.certificate());
        assert_eq!(read.certificate().validity(), Validity::issued(now, DAY));
        assert!(made.key.contains("BEGIN PRIVATE KEY"));
    }

    #[test]
    fn a_leaf_does_not_outlive_its_authority() {
        let now = SystemTime::now();
        let made = Authority::generate(now, DAY).unwrap();
        let leaf = made.authority.issue(&["shop".to_owned()], now, DAY * 30).unwrap();
        assert_eq!(leaf.validity.not_after(), made.authority.certificate().validity().not_after());
        assert_eq!(Some(leaf.validity), leaf.identity.validity());
    }

    #[test]
    fn renewal_is_at_random_between_six_and_seven_tenths() {
        let now = SystemTime::now();
        let renewals: Vec<_> = (0..20)
            .map(|_| {
                let authority = Authority::generate(now, DAY).unwrap().authority;
                authority
                    .renewal()
                    .duration_since(authority.certificate().validity().at_thousandths(0))
                    .unwrap()
            })
            .collect();
        for renewal in &renewals {
            assert!(*renewal >= DAY / 10 * 6 && *renewal < DAY / 10 * 7, "{renewal:?}");
        }
        assert!(renewals.iter().any(|renewal| *renewal != renewals[0]));
    }

    #[test]
    fn what_does_not_belong_together_is_told() {
        let now = SystemTime::now();
        let one = Authority::generate(now, DAY).unwrap();
        let other = Authority::generate(now, DAY).unwrap();
        let read = |certificate: &str, key: &str| Authority::read(certificate.as_bytes(), key.as_bytes());
        assert!(matches!(read(&one.certificate, &other.key), Err(BrokenAuthority::OtherKey)));
        assert!(matches!(read(&one.certificate, "garbage"), Err(BrokenAuthority::Key)));
        assert!(matches!(read("garbage", &one.key), Err(BrokenAuthority::Certificate(_))));
    }

    #[test]
    fn names_are_host_names_and_addresses() {
        for name in ["fermata.fermata.svc", "127.0.0.1", "::1", "localhost", "*.example.com"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a b", "\u{e9}", "https://a", "a:443"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
