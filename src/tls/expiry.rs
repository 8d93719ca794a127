//! Reads one thing from a certificate: from when and until when it counts.
//!
//! RFC 5280: `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber, signature,
//! issuer, validity SEQUENCE { notBefore, notAfter }, ... } ... }`. A walk over five values does not need an
//! X.509 library.

use std::time::{Duration, SystemTime};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// When a certificate expires, if it is one.
pub(crate) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    validity(certificate).map(|(_, not_after)| not_after)
}

/// From when and until when a certificate counts, if it is one.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let mut certificate = Der(certificate).enter(SEQUENCE)?;
    let mut fields = certificate.enter(SEQUENCE)?;
    let (mut tag, _) = fields.next()?;
    if tag == VERSION {
        (tag, _) = fields.next()?;
    }
    if tag != INTEGER {
        return None;
    }
    let _signature = fields.enter(SEQUENCE)?;
    let _issuer = fields.enter(SEQUENCE)?;
    let mut validity = fields.enter(SEQUENCE)?;
    Some((time(validity.next()?)?, time(validity.next()?)?))
}

/// Reads a point in time: RFC 5280 demands seconds and Zulu time of both ways of writing one.
fn time((tag, time): (u8, &[u8])) -> Option<SystemTime> {
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let (century, rest) = match tag {
        // Two digits of a year mean 1950 to 2049.
        UTC_TIME => (if number(time.get(..2)?)? < 50 { 20 } else { 19 }, time),
        GENERALIZED_TIME => (number(time.get(..2)?)?, time.get(2..)?),
        _ => return None,
    };
    let part = |at: usize| number(rest.get(at..at + 2)?);
    let days = days_since_1970(century * 100 + part(0)?, part(2)?, part(4)?)?;
    let seconds = ((days * 24 + part(6)?) * 60 + part(8)?) * 60 + part(10)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// What is left of a sequence of DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn enter(&mut self, expected: u8) -> Option<Self> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, value)| Self(value))
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Days from 1 January 1970 in the Gregorian calendar, counted in years that begin in March so that the leap day
/// comes last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{days_since_1970, not_after};

    fn expiring(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
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
            assert_eq!(not_after(&expiring(year, month, day)), Some(expected), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn whatever_is_cut_or_changed_is_never_a_panic() {
        let whole = expiring(2030, 1, 1);
        for end in 0..whole.len() {
            let _ = not_after(&whole[..end]);
        }
        for at in 0..whole.len() {
            for byte in [0x00, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = not_after(&changed);
            }
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_since_1970(1970, 1, 1), Some(0));
        assert_eq!(days_since_1970(2000, 3, 1), Some(11_017));
        assert_eq!(days_since_1970(1969, 12, 31), None);
    }
}
