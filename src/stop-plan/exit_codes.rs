//! The exit code that a stop reports.

use std::{fmt, str::FromStr};

/// What a stop reports for the program's own exit code; 128 + N stands for an end by signal N.
///
/// Written as `app` (the program's own), as a code (always this one), or as a map: `143:0,2:0`. It counts only
/// for an end that a stop signal began: a program that crashes while it serves is never made to look well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitCodes {
    always: Option<u8>,
    map: Vec<(u8, u8)>,
}

impl ExitCodes {
    /// What is accepted where exit codes are chosen.
    pub const ACCEPTS: &str = "app, a code from 0 to 255, or a map such as 143:0";

    /// Always this code.
    #[must_use]
    pub const fn always(code: u8) -> Self {
        Self { always: Some(code), map: Vec::new() }
    }

    /// The second code in the place of the first, for each pair; others as they are.
    pub fn map(pairs: impl IntoIterator<Item = (u8, u8)>) -> Self {
        let mut map: Vec<_> = pairs.into_iter().collect();
        map.sort_unstable();
        map.dedup_by_key(|(from, _)| *from);
        Self { always: None, map }
    }

    /// What is reported for a program's exit code.
    #[must_use]
    pub fn report(&self, code: u8) -> u8 {
        let mapped = || self.map.iter().find(|(from, _)| *from == code).map_or(code, |(_, to)| *to);
        self.always.unwrap_or_else(mapped)
    }

    /// Whether the program's own code is reported, whatever it is.
    #[must_use]
    pub fn is_app(&self) -> bool {
        self.always.is_none() && self.map.is_empty()
    }
}

impl fmt::Display for ExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.always {
            return code.fmt(f);
        }
        if self.map.is_empty() {
            return f.write_str("app");
        }
        for (index, (from, to)) in self.map.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{from}:{to}")?;
        }
        Ok(())
    }
}

/// Why a text is not a choice of exit codes. The message says what is wrong with it; callers add the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseExitCodesError {
    /// It is neither `app` nor a code nor a map.
    Malformed,
    /// A number that no process can exit with.
    OutOfRange,
    /// Two entries for one code.
    Twice,
}

impl fmt::Display for ParseExitCodesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is neither app, nor a code, nor a map of codes",
            Self::OutOfRange => "has a code that is not from 0 to 255",
            Self::Twice => "has two entries for one code",
        })
    }
}

impl std::error::Error for ParseExitCodesError {}

impl FromStr for ExitCodes {
    type Err = ParseExitCodesError;

    fn from_str(text: &str) -> Result<Self, ParseExitCodesError> {
        let code = |text: &str| {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ParseExitCodesError::Malformed);
            }
            text.parse::<u8>().map_err(|_| ParseExitCodesError::OutOfRange)
        };
        if text == "app" {
            return Ok(Self::default());
        }
        if !text.contains(':') {
            return code(text).map(Self::always);
        }
        let mut map = Vec::new();
        for entry in text.split(',') {
            let (from, to) = entry.trim().split_once(':').ok_or(ParseExitCodesError::Malformed)?;
            let from = code(from)?;
            if map.iter().any(|(known, _)| *known == from) {
                return Err(ParseExitCodesError::Twice);
            }
            map.push((from, code(to)?));
        }
        Ok(Self::map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{ExitCodes, ParseExitCodesError};

    #[test]
    fn all_forms_are_read_and_printed() {
        for (text, reports, printed) in [
            ("app", [(0, 0), (143, 143)], "app"),
            ("0", [(0, 0), (143, 0)], "0"),
            ("143:0", [(7, 7), (143, 0)], "143:0"),
            ("143:0, 2:7", [(2, 7), (143, 0)], "2:7,143:0"),
        ] {
            let codes: ExitCodes = text.parse().unwrap();
            for (code, reported) in reports {
                assert_eq!(codes.report(code), reported, "{text}");
            }
            assert_eq!(codes.to_string(), printed);
            assert_eq!(printed.parse(), Ok(codes));
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        for (text, why) in [
            ("", ParseExitCodesError::Malformed),
            ("child", ParseExitCodesError::Malformed),
            ("-1", ParseExitCodesError::Malformed),
            ("143:", ParseExitCodesError::Malformed),
            ("143:0,", ParseExitCodesError::Malformed),
            ("256", ParseExitCodesError::OutOfRange),
            ("143:999", ParseExitCodesError::OutOfRange),
            ("143:0,143:1", ParseExitCodesError::Twice),
        ] {
            assert_eq!(text.parse::<ExitCodes>(), Err(why), "{text}");
        }
    }
}
