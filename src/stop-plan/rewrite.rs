//! The signal map.

use std::{fmt, str::FromStr};

use crate::{ParseSignalError, Signal, SignalSet};

/// Which signal is passed on in the place of which.
///
/// Written as `TERM:QUIT,HUP:0`: names or numbers, and 0 drops the signal. Chains are not followed: with
/// `TERM:INT,INT:TERM` the two change places. A signal without an entry is passed on as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite(Vec<(Signal, Option<Signal>)>);

impl Rewrite {
    /// What is accepted where a signal map is written.
    pub const ACCEPTS: &str = "pairs of signals such as TERM:QUIT,HUP:0 (names or numbers; 0 drops)";

    /// What is passed on for a signal, or `None` if it is dropped.
    #[must_use]
    pub fn apply(&self, signal: Signal) -> Option<Signal> {
        self.0.iter().find(|(from, _)| *from == signal).map_or(Some(signal), |(_, to)| *to)
    }

    /// Sets what is passed on for one signal.
    pub fn set(&mut self, from: Signal, to: Option<Signal>) {
        match self.0.binary_search_by_key(&from, |(known, _)| *known) {
            Ok(index) => self.0[index].1 = to,
            Err(index) => self.0.insert(index, (from, to)),
        }
    }

    /// Takes the entries of another map over, which win where both have one.
    pub fn extend(&mut self, other: &Self) {
        for &(from, to) in &other.0 {
            self.set(from, to);
        }
    }

    /// Whether every signal is passed on as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in order of the signals that come.
    pub fn iter(&self) -> impl Iterator<Item = (Signal, Option<Signal>)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(Signal, Option<Signal>)> for Rewrite {
    fn from_iter<I: IntoIterator<Item = (Signal, Option<Signal>)>>(entries: I) -> Self {
        let mut rewrite = Self::default();
        for (from, to) in entries {
            rewrite.set(from, to);
        }
        rewrite
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match to {
                Some(to) => write!(f, "{comma}{from}:{to}")?,
                None => write!(f, "{comma}{from}:0")?,
            }
        }
        Ok(())
    }
}

/// Why a text is not a signal map. The message says what is wrong with it; callers add the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseRewriteError {
    /// An entry has no colon.
    NoColon,
    /// One side of a colon is not a signal.
    Signal(ParseSignalError),
    /// The kernel delivers KILL and STOP to nobody who could pass them on, and CHLD is about the shim's own
    /// children.
    NotPassedOn(Signal),
    /// Two entries for one signal.
    Twice(Signal),
}

impl fmt::Display for ParseRewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("has an entry without a colon"),
            Self::Signal(ParseSignalError::Empty) => f.write_str("has an entry with a side missing"),
            Self::Signal(ParseSignalError::OutOfRange) => f.write_str("has a number that is no signal"),
            Self::Signal(ParseSignalError::Unknown) => f.write_str("has a name that is no signal"),
            Self::NotPassedOn(signal) => write!(f, "rewrites {signal}, which is never passed on"),
            Self::Twice(signal) => write!(f, "has two entries for {signal}"),
        }
    }
}

impl std::error::Error for ParseRewriteError {}

impl FromStr for Rewrite {
    type Err = ParseRewriteError;

    fn from_str(text: &str) -> Result<Self, ParseRewriteError> {
        let mut rewrite = Self::default();
        let mut seen = SignalSet::EMPTY;
        for entry in text.split(',') {
            let (from, to) = entry.trim().split_once(':').ok_or(ParseRewriteError::NoColon)?;
            let from: Signal = from.parse().map_err(ParseRewriteError::Signal)?;
            let to = match to {
                "0" => None,
                to => Some(to.parse().map_err(ParseRewriteError::Signal)?),
            };
            if !from.is_passed_on() {
                return Err(ParseRewriteError::NotPassedOn(from));
            }
            if seen.contains(from) {
                return Err(ParseRewriteError::Twice(from));
            }
            seen = seen.with(from);
            rewrite.set(from, to);
        }
        Ok(rewrite)
    }
}

#[cfg(test)]
mod tests {
    use super::{ParseRewriteError, Rewrite};
    use crate::Signal;

    #[test]
    fn chains_are_not_followed_and_zero_drops() {
        let rewrite: Rewrite = "TERM:INT,2:15,HUP:0".parse().unwrap();
        assert_eq!(rewrite.apply(Signal::TERM), Some(Signal::INT));
        assert_eq!(rewrite.apply(Signal::INT), Some(Signal::TERM));
        assert_eq!(rewrite.apply(Signal::HUP), None);
        assert_eq!(rewrite.apply(Signal::USR1), Some(Signal::USR1));
        assert_eq!(rewrite.to_string(), "HUP:0,INT:TERM,TERM:INT");
        assert_eq!(rewrite.to_string().parse(), Ok(rewrite));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("", "has an entry without a colon"),
            ("TERM", "has an entry without a colon"),
            ("TERM:QUIT,", "has an entry without a colon"),
            ("TERM:", "has an entry with a side missing"),
            (":QUIT", "has an entry with a side missing"),
            ("TERM:99", "has a number that is no signal"),
            ("15:3junk", "has a name that is no signal"),
            ("TERM:QUIT:INT", "has a name that is no signal"),
            ("0:TERM", "has a number that is no signal"),
            ("KILL:TERM", "rewrites KILL, which is never passed on"),
            ("CHLD:0", "rewrites CHLD, which is never passed on"),
            ("TERM:QUIT,15:3", "has two entries for TERM"),
        ] {
            let error: ParseRewriteError = text.parse::<Rewrite>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text:?}");
        }
    }
}
