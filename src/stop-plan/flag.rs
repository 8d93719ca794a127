//! Flags on a command line, with values that are checked as they are read.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt,
    str::FromStr,
};

use crate::{Command, ParseCommandError};

/// The words of a command line that have not been read yet.
#[derive(Clone, Debug, Default)]
pub struct Arguments(VecDeque<OsString>);

impl Arguments {
    /// These words.
    #[must_use]
    pub fn new<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// The next word.
    #[must_use]
    pub fn peek(&self) -> Option<&OsStr> {
        self.0.front().map(OsString::as_os_str)
    }

    /// All words that are left.
    #[must_use]
    pub fn rest(self) -> impl ExactSizeIterator<Item = OsString> {
        self.0.into_iter()
    }

    /// The name of the flag that the next word is: `--drain` for `--drain` and for `--drain=15s`.
    #[must_use]
    pub fn flag(&self) -> Option<&str> {
        let word = self.peek()?.as_encoded_bytes();
        let name = word.split(|byte| *byte == b'=').next()?;
        std::str::from_utf8(name).ok().filter(|name| name.starts_with('-') && !matches!(*name, "-" | "--"))
    }

    /// Takes the next word, which is a flag, and its value: what stands behind its `=`, or the word after it.
    ///
    /// # Errors
    ///
    /// When there is no value, or it is not of the flag's grammar.
    pub fn value<T: FromStr>(&mut self, flag: &'static str, accepts: &'static str) -> Result<T, FlagError>
    where
        T::Err: fmt::Display,
    {
        let missing = FlagError { flag, accepts, fault: FlagFault::NoValue };
        let word = self.0.pop_front().ok_or_else(|| missing.clone())?;
        let value = match inline_value(word) {
            Some(value) => value,
            None => self.0.pop_front().ok_or(missing)?,
        };
        let refused = |value: &OsStr, why: String| FlagError {
            flag,
            accepts,
            fault: FlagFault::Value { value: value.to_string_lossy().into_owned(), why },
        };
        let text = value.to_str().ok_or_else(|| refused(&value, "is not UTF-8".into()))?;
        text.parse().map_err(|why: T::Err| refused(&value, why.to_string()))
    }

    /// Takes the next word, which is a flag, and the command that follows it up to its `;`.
    ///
    /// # Errors
    ///
    /// When there is no command, or nothing closes it.
    pub fn command(&mut self, flag: &'static str) -> Result<Command, FlagError> {
        let word = self.0.pop_front().unwrap_or_default();
        let command = match inline_value(word) {
            Some(_) => Err(ParseCommandError::NotClosed),
            None => Command::take(&mut std::iter::from_fn(|| self.0.pop_front())),
        };
        command.map_err(|why| FlagError {
            flag,
            accepts: "the words of a command and then `;` as a word of its own",
            fault: FlagFault::Command(why),
        })
    }
}

impl Iterator for Arguments {
    type Item = OsString;

    fn next(&mut self) -> Option<OsString> {
        self.0.pop_front()
    }
}

/// What stands behind the `=` of a flag.
fn inline_value(word: OsString) -> Option<OsString> {
    let name = word.as_encoded_bytes().iter().position(|byte| *byte == b'=')?;
    // Safe code cannot cut an `OsString`, but on Unix it is bytes.
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        Some(OsString::from_vec(word.into_vec().split_off(name + 1)))
    }
    #[cfg(not(unix))]
    {
        word.into_string().ok().map(|word| word[name + 1..].into())
    }
}

/// Why a flag is refused: it names the flag, what was given, and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError {
    flag: &'static str,
    accepts: &'static str,
    fault: FlagFault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FlagFault {
    NoValue,
    Value { value: String, why: String },
    Command(ParseCommandError),
}

impl FlagError {
    /// A value that the flag's grammar lets through and its meaning does not.
    #[must_use]
    pub fn new(flag: &'static str, value: &str, why: &str, accepts: &'static str) -> Self {
        Self { flag, accepts, fault: FlagFault::Value { value: value.into(), why: why.into() } }
    }
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, accepts, fault } = self;
        match fault {
            FlagFault::NoValue => write!(f, "{flag}: has no value; use {accepts}"),
            FlagFault::Value { value, why } => write!(f, "{flag}: {value:?} {why}; use {accepts}"),
            FlagFault::Command(why) => write!(f, "{flag}: the command {why}; use {accepts}"),
        }
    }
}

impl std::error::Error for FlagError {}
