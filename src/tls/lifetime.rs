//! How long certificates are valid, as it is typed.

use std::{fmt, str::FromStr, time::Duration};

/// A length of time from some seconds to ten years, such as `365d`, `720h`, `90m` or `30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(Duration);

/// The shortest, which is for trying out renewals, and the longest.
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_hours(24 * 3650);

impl Lifetime {
    /// The length of time.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a whole number with d, h, m or s, from 4s to 3650d, such as 365d".to_owned();
        let end = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
        let (count, unit) = text.split_at(end);
        let scale = match unit {
            "d" => 86_400,
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return Err(wrong()),
        };
        let count: u64 = count.parse().map_err(|_| wrong())?;
        let lifetime = Duration::from_secs(count.checked_mul(scale).ok_or_else(wrong)?);
        if (SHORTEST..=LONGEST).contains(&lifetime) { Ok(Self(lifetime)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Lifetime;

    #[test]
    fn days_hours_minutes_and_seconds_are_read() {
        for (text, seconds) in [("365d", 31_536_000), ("720h", 2_592_000), ("90m", 5400), ("4s", 4)] {
            assert_eq!(text.parse().map(Lifetime::get), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "d", "3s", "3651d", "1d12h", "-1d", "1.5d", "99999999999999999999d", "5y"] {
            assert!(text.parse::<Lifetime>().unwrap_err().contains("such as 365d"), "{text}");
        }
    }
}
