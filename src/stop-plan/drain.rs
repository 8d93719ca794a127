//! How long a drain takes.

use std::{fmt, str::FromStr};

use crate::{ParseSecondsError, Seconds};

/// A drain: a fixed time, or a range that ends early when traffic has stopped.
///
/// Written as `15s` or `5s..60s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Drain {
    least: Seconds,
    most: Seconds,
}

impl Drain {
    /// No drain.
    pub const ZERO: Self = Self::fixed(Seconds::ZERO);

    /// A drain of just so long.
    #[must_use]
    pub const fn fixed(length: Seconds) -> Self {
        Self { least: length, most: length }
    }

    /// A drain of at least `least` and at most `most`, or `None` if the first is longer.
    #[must_use]
    pub fn range(least: Seconds, most: Seconds) -> Option<Self> {
        (least <= most).then_some(Self { least, most })
    }

    /// The shortest that it takes.
    #[must_use]
    pub const fn least(self) -> Seconds {
        self.least
    }

    /// The longest that it takes: what the grace period must have room for.
    #[must_use]
    pub const fn most(self) -> Seconds {
        self.most
    }

    /// Whether it may end early.
    #[must_use]
    pub fn is_range(self) -> bool {
        self.least < self.most
    }

    /// The same drain, of at most `most`.
    #[must_use]
    pub fn limited_to(self, most: Seconds) -> Self {
        Self { least: self.least.min(most), most: self.most.min(most) }
    }
}

impl From<Seconds> for Drain {
    fn from(length: Seconds) -> Self {
        Self::fixed(length)
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_range() { write!(f, "{}..{}", self.least, self.most) } else { self.most.fmt(f) }
    }
}

/// Why a text is not a drain. The message says what is wrong with it; callers add the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseDrainError {
    /// It is no length of time, or one side of the range is not.
    Seconds(ParseSecondsError),
    /// The range goes down.
    Backwards,
}

impl fmt::Display for ParseDrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(error) => error.fmt(f),
            Self::Backwards => f.write_str("is a range that goes down"),
        }
    }
}

impl std::error::Error for ParseDrainError {}

impl FromStr for Drain {
    type Err = ParseDrainError;

    fn from_str(text: &str) -> Result<Self, ParseDrainError> {
        let Some((least, most)) = text.split_once("..") else {
            return text.parse().map(Self::fixed).map_err(ParseDrainError::Seconds);
        };
        let [least, most] = [least.parse(), most.parse()];
        Self::range(least.map_err(ParseDrainError::Seconds)?, most.map_err(ParseDrainError::Seconds)?)
            .ok_or(ParseDrainError::Backwards)
    }
}

#[cfg(test)]
mod tests {
    use super::{Drain, ParseDrainError};
    use crate::{ParseSecondsError, Seconds};

    #[test]
    fn both_forms_are_read_and_printed() {
        for (text, least, most, printed) in [
            ("15s", 15, 15, "15s"),
            ("0", 0, 0, "0s"),
            ("5s..60s", 5, 60, "5s..1m"),
            ("5..60", 5, 60, "5s..1m"),
            ("0..1m30s", 0, 90, "0s..1m30s"),
            ("7s..7s", 7, 7, "7s"),
        ] {
            let drain: Drain = text.parse().unwrap();
            assert_eq!((drain.least().get(), drain.most().get()), (least, most), "{text}");
            assert_eq!(drain.to_string(), printed);
            assert_eq!(printed.parse(), Ok(drain));
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        for (text, why) in [
            ("60s..5s", ParseDrainError::Backwards),
            ("5s..", ParseDrainError::Seconds(ParseSecondsError::Empty)),
            ("..5s", ParseDrainError::Seconds(ParseSecondsError::Empty)),
            ("5s..60s..70s", ParseDrainError::Seconds(ParseSecondsError::Range)),
            ("5s...60s", ParseDrainError::Seconds(ParseSecondsError::Malformed)),
            ("5s..1.5m", ParseDrainError::Seconds(ParseSecondsError::Fraction)),
        ] {
            assert_eq!(text.parse::<Drain>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_limit_cuts_both_ends() {
        let limited = |text: &str, most| {
            text.parse::<Drain>().unwrap().limited_to(Seconds::new(most).unwrap()).to_string()
        };
        assert_eq!(limited("5s..60s", 30), "5s..30s");
        assert_eq!(limited("5s..60s", 3), "3s");
        assert_eq!(limited("15s", 30), "15s");
    }
}
