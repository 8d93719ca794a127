//! Certificates of authorities, one after the other as PEM: a webhook's `caBundle`, and `ca.crt` of the Secret.

use std::{cmp::Reverse, time::SystemTime};

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::certificate::CaCertificate;

/// The most authorities that are kept. Each is there for its lifetime, so that more than a few mean that something
/// makes new ones without end; an API server's object must not grow with it.
const MOST: usize = 64;

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The certificates of authorities.
    pub authorities: Vec<CaCertificate>,
    /// Whether there is anything else that cannot be used.
    pub has_garbage: bool,
}

impl Bundle {
    /// Reads what can be read.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let mut bundle = Self::default();
        let mut sections = 0;
        for section in CertificateDer::pem_slice_iter(text) {
            sections += 1;
            match section.ok().and_then(|der| CaCertificate::new(der).ok()) {
                Some(authority) => add(&mut bundle.authorities, authority),
                None => bundle.has_garbage = true,
            }
        }
        bundle.has_garbage |= sections == 0 && !text.trim_ascii().is_empty();
        bundle
    }

    /// Whether an authority is among them.
    #[must_use]
    pub fn holds(&self, authority: &CaCertificate) -> bool {
        self.authorities.contains(authority)
    }
}

/// Adds an authority that is not there yet.
pub(super) fn add(authorities: &mut Vec<CaCertificate>, authority: CaCertificate) {
    if !authorities.contains(&authority) {
        authorities.push(authority);
    }
}

/// Those that are worth to be kept: newest first, without those that no clock accepts any more. Where there are too
/// many, the own ones stay: somebody may have put all the roots of their company into the Secret, to last for decades.
pub(super) fn kept(
    mut authorities: Vec<CaCertificate>,
    own: &[&CaCertificate],
    now: SystemTime,
) -> Vec<CaCertificate> {
    authorities.retain(|authority| !authority.validity().is_long_over(now));
    let newest = |authority: &CaCertificate| Reverse(authority.validity().not_after());
    authorities.sort_by_key(|authority| (!own.contains(&authority), newest(authority)));
    authorities.truncate(MOST);
    authorities.sort_by_key(newest);
    authorities
}

/// Writes them as PEM.
#[must_use]
pub fn write(authorities: &[CaCertificate]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    authorities
        .iter()
        .map(|authority| pem::encode_config(&Pem::new("CERTIFICATE", authority.der().to_vec()), config))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Bundle, MOST, kept, write};
    use crate::tls::authority::Authority;

    #[test]
    fn what_is_written_can_be_read_again() {
        let now = SystemTime::now();
        let [older, newer] = [0, 60].map(|later| {
            let made = Authority::generate(now, Duration::from_secs(3600 + later)).unwrap();
            (made.authority.certificate().clone(), made.certificate)
        });
        let authorities = kept(vec![older.0.clone(), newer.0.clone()], &[], now);
        assert_eq!(authorities, [newer.0.clone(), older.0.clone()]);
        assert_eq!(write(&authorities), [newer.1, older.1].concat());
        assert_eq!(Bundle::read(write(&authorities).as_bytes()), Bundle { authorities, has_garbage: false });
        let later = now + Duration::from_secs(2 * 3600 + 30);
        assert_eq!(kept(vec![older.0, newer.0.clone()], &[], later), [newer.0]);
    }

    #[test]
    fn the_own_ones_stay_among_many_that_last_longer() {
        let now = SystemTime::now();
        let made = |hours| {
            Authority::generate(now, Duration::from_hours(hours)).unwrap().authority.certificate().clone()
        };
        let own = made(1);
        let authorities: Vec<_> = (0..=MOST).map(|_| made(1000)).chain([own.clone()]).collect();
        assert!(!kept(authorities.clone(), &[], now).contains(&own));
        let kept = kept(authorities, &[&own], now);
        assert_eq!((kept.len(), kept.last()), (MOST, Some(&own)));
    }

    #[test]
    fn garbage_is_seen_and_the_rest_is_read() {
        let made = Authority::generate(SystemTime::now(), Duration::from_mins(1)).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, count, has_garbage) in [
            (String::new(), 0, false),
            ("\n".into(), 0, false),
            ("garbage".into(), 0, true),
            (format!("# a comment\n{}", made.certificate), 1, false),
            (format!("{}{}", made.certificate, made.certificate), 1, false),
            (format!("{broken}{}", made.certificate), 1, true),
        ] {
            let bundle = Bundle::read(text.as_bytes());
            assert_eq!((bundle.authorities.len(), bundle.has_garbage), (count, has_garbage), "{text}");
        }
    }
}
