//! Durations as Kubernetes counts them when it ends a Pod: whole seconds.

use std::{fmt, str::FromStr};

/// A length of time in whole seconds, from zero to one day.
///
/// Kubernetes counts `terminationGracePeriodSeconds` and `preStop.sleep.seconds` in whole seconds, so nothing
/// finer can be promised. Anything above [`Seconds::MAX`] is taken for a slip of the keyboard.
///
/// Written as `15s`, `1m30s`, `1h`, or as a bare integer of seconds:
///
/// ```
/// use fermata_stop_plan::Seconds;
///
/// let drain: Seconds = "1m30s".parse()?;
/// assert_eq!(drain, Seconds::new(90).unwrap());
/// assert_eq!(drain.to_string(), "1m30s");
/// assert_eq!("90".parse(), Ok(drain));
/// # Ok::<(), fermata_stop_plan::ParseSecondsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// The longest length that is accepted: one day.
    pub const MAX: Self = Self(24 * 60 * 60);

    /// That many seconds, or `None` above [`Seconds::MAX`].
    #[must_use]
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// The closest representable length to a count that came from a Kubernetes object, where it is a signed
    /// 64-bit integer: negative counts become zero and absurd ones [`Seconds::MAX`].
    #[must_use]
    pub fn saturating_from(count: i64) -> Self {
        Self(u32::try_from(count.max(0)).unwrap_or(u32::MAX).min(Self::MAX.0))
    }

    /// The count, unit: seconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether this is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Seconds> for i64 {
    fn from(seconds: Seconds) -> Self {
        Self::from(seconds.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.0 == 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

/// Why a text is not a length of time. The message says what is wrong with it; callers add the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSecondsError {
    /// Nothing was written.
    Empty,
    /// A sign was written. There is no time before the deletion, and `+` says nothing.
    Signed,
    /// Kubernetes counts whole seconds: `1.5s` and `500ms` cannot be kept.
    Fraction,
    /// `015` is thirteen to some readers and fifteen to others.
    LeadingZero,
    /// A part has a unit other than `h`, `m` or `s`.
    Unit,
    /// `30s1m` or `1m1m`: the units must go down and come once each.
    Order,
    /// More than [`Seconds::MAX`].
    TooLong,
    /// `5s..60s`: two lengths where one is expected.
    Range,
    /// Not a length of time at all.
    Malformed,
}

impl fmt::Display for ParseSecondsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Signed => "has a sign",
            Self::Fraction => "is not in whole seconds",
            Self::LeadingZero => "has a leading zero",
            Self::Unit => "has a unit other than h, m or s",
            Self::Order => "does not name its units once each, from h down to s",
            Self::TooLong => "is longer than a day",
            Self::Range => "is a range, where one duration is expected",
            Self::Malformed => "is not a duration",
        })
    }
}

impl std::error::Error for ParseSecondsError {}

impl FromStr for Seconds {
    type Err = ParseSecondsError;

    fn from_str(text: &str) -> Result<Self, ParseSecondsError> {
        if text.is_empty() {
            return Err(ParseSecondsError::Empty);
        }
        if text.starts_with(['-', '+']) {
            return Err(ParseSecondsError::Signed);
        }
        if text.contains("..") {
            return Err(ParseSecondsError::Range);
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return Err(ParseSecondsError::Malformed);
        }
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(ParseSecondsError::Malformed);
        }
        if text.contains('.') || text.ends_with("ms") || text.ends_with("us") || text.ends_with("ns") {
            return Err(ParseSecondsError::Fraction);
        }
        let mut total: u64 = 0;
        let mut largest_unit_left = u64::MAX;
        let mut rest = text;
        while !rest.is_empty() {
            let (count, tail) = take_number(rest)?;
            let unit_ends = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(unit_ends);
            let scale = match unit {
                "h" => 3600,
                "m" => 60,
                "s" => 1,
                // A bare integer is seconds, but only alone: the `30` of `1m30` could be either.
                "" if rest.len() == text.len() => 1,
                _ => return Err(ParseSecondsError::Unit),
            };
            if scale >= largest_unit_left {
                return Err(ParseSecondsError::Order);
            }
            largest_unit_left = scale;
            total = count
                .checked_mul(scale)
                .and_then(|part| total.checked_add(part))
                .ok_or(ParseSecondsError::TooLong)?;
            rest = next;
        }
        u32::try_from(total).ok().and_then(Self::new).ok_or(ParseSecondsError::TooLong)
    }
}

/// Splits the decimal digits off the front. The caller has made sure that there is at least one.
fn take_number(text: &str) -> Result<(u64, &str), ParseSecondsError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(ParseSecondsError::LeadingZero);
    }
    // Only digits are left, so the one way to fail is to overflow.
    let number = digits.parse().map_err(|_| ParseSecondsError::TooLong)?;
    Ok((number, rest))
}

#[cfg(test)]
mod tests {
    use super::{ParseSecondsError::*, Seconds};

    #[test]
    fn reads_what_users_of_kubernetes_write() {
        for (text, count) in [
            ("0", 0),
            ("0s", 0),
            ("15", 15),
            ("15s", 15),
            ("90", 90),
            ("2m", 120),
            ("1m30s", 90),
            ("1h", 3600),
        ] {
            assert_eq!(text.parse::<Seconds>().map(Seconds::get), Ok(count), "{text}");
        }
        assert_eq!("1h1m1s".parse::<Seconds>().map(Seconds::get), Ok(3661));
        assert_eq!("24h".parse(), Ok(Seconds::MAX));
    }

    #[test]
    fn refuses_everything_else_and_says_why() {
        for (text, why) in [
            ("", Empty),
            ("-5", Signed),
            ("+30", Signed),
            (" 30 ", Malformed),
            ("abc", Malformed),
            ("s", Malformed),
            ("٣٠", Malformed),
            ("1h 30m", Malformed),
            ("5s..60s", Range),
            ("5.5", Fraction),
            ("1.5m", Fraction),
            ("500ms", Fraction),
            ("030", LeadingZero),
            ("1m05s", LeadingZero),
            ("1d", Unit),
            ("1e3", Unit),
            ("1m30", Unit),
            ("30s1m", Order),
            ("1m1m", Order),
            ("24h1s", TooLong),
            ("2147483648", TooLong),
            ("9223372036854775808", TooLong),
            ("18446744073709551616", TooLong),
            ("5124095576030431h", TooLong),
        ] {
            assert_eq!(text.parse::<Seconds>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for count in (0..=Seconds::MAX.get()).step_by(7).chain([1, 59, 60, 61, 3599, 3600, 86400]) {
            let length = Seconds::new(count).unwrap();
            assert_eq!(length.to_string().parse(), Ok(length));
        }
    }

    #[test]
    fn counts_from_objects_never_wrap() {
        assert_eq!(Seconds::saturating_from(-1), Seconds::ZERO);
        assert_eq!(Seconds::saturating_from(i64::MIN), Seconds::ZERO);
        assert_eq!(Seconds::saturating_from(30).get(), 30);
        assert_eq!(Seconds::saturating_from(i64::MAX), Seconds::MAX);
    }
}
