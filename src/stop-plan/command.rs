//! A command in the middle of a command line.

use std::{
    ffi::{OsStr, OsString},
    fmt,
};

/// A program and its arguments. Never empty.
///
/// On the shim's command line its words are closed by a `;`, as those of `find -exec` are: no quoting, no shell,
/// and a person who looks at the Pod can read them. A word that is itself a semicolon, with or without
/// backslashes in front of it, gets one backslash more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(Vec<OsString>);

/// Why words are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseCommandError {
    /// There is no word.
    Empty,
    /// The word for the program is the empty string.
    NoProgram,
    /// No `;` closes the command.
    NotClosed,
}

impl fmt::Display for ParseCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "has no words",
            Self::NoProgram => "names no program",
            Self::NotClosed => "is not closed by a `;` of its own",
        })
    }
}

impl std::error::Error for ParseCommandError {}

impl Command {
    /// A command of these words, the program first.
    ///
    /// # Errors
    ///
    /// When there is no word, or the first one is empty.
    pub fn new<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Self, ParseCommandError> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        match words.first() {
            None => Err(ParseCommandError::Empty),
            Some(program) if program.is_empty() => Err(ParseCommandError::NoProgram),
            Some(_) => Ok(Self(words)),
        }
    }

    /// A command for `/bin/sh -c`.
    #[must_use]
    pub fn shell(script: &str) -> Self {
        Self(["/bin/sh", "-c", script].map(OsString::from).to_vec())
    }

    /// All words, the program first.
    #[must_use]
    pub fn words(&self) -> &[OsString] {
        &self.0
    }

    /// The program, as it is written.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        self.0.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// Takes the words up to and with the closing `;`.
    pub(crate) fn take(words: &mut impl Iterator<Item = OsString>) -> Result<Self, ParseCommandError> {
        let mut taken = Vec::new();
        for word in words {
            if word == ";" {
                return Self::new(taken);
            }
            taken.push(unescaped(word));
        }
        Err(ParseCommandError::NotClosed)
    }

    /// The words as they stand on the command line, with the closing `;`.
    pub(crate) fn render(&self, line: &mut Vec<OsString>) {
        line.extend(self.0.iter().map(|word| {
            if is_semicolon(word) {
                let mut escaped = OsString::from("\\");
                escaped.push(word);
                escaped
            } else {
                word.clone()
            }
        }));
        line.push(";".into());
    }
}

impl fmt::Display for Command {
    /// The words with blanks between them, quoted where they hold anything but plain characters. For people: what
    /// is not UTF-8 is shown as replacement characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_alphanumeric() || "%+,-./:=@_".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{blank}{word}")?;
            } else {
                write!(f, "{blank}{word:?}")?;
            }
        }
        Ok(())
    }
}

/// Whether a word is a semicolon behind any number of backslashes.
fn is_semicolon(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.split_last().is_some_and(|(last, rest)| *last == b';' && rest.iter().all(|byte| *byte == b'\\'))
}

fn unescaped(word: OsString) -> OsString {
    if !is_semicolon(&word) {
        return word;
    }
    // Such a word is ASCII: backslashes and a semicolon.
    word.into_string().map_or_else(|word| word, |word| word.strip_prefix('\\').unwrap_or(&word).into())
}

#[cfg(test)]
mod tests {
    use super::{Command, ParseCommandError};

    fn line(words: &[&str]) -> Vec<String> {
        let mut line = Vec::new();
        Command::new(words).unwrap().render(&mut line);
        line.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_semicolon_of_its_own_closes_and_others_are_escaped() {
        assert_eq!(
            line(&["passenger", "stop", "--port", "5000"]),
            ["passenger", "stop", "--port", "5000", ";"]
        );
        assert_eq!(line(&["a", ";", "\\;", "b;", ";;"]), ["a", "\\;", "\\\\;", "b;", ";;", ";"]);
        let mut words = ["a", "\\;", "\\\\;", "b;", ";;", ";", "rest"].map(Into::into).into_iter();
        assert_eq!(Command::take(&mut words), Command::new(["a", ";", "\\;", "b;", ";;"]));
        assert_eq!(words.next(), Some("rest".into()));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert_eq!(Command::new::<&str>([]), Err(ParseCommandError::Empty));
        assert_eq!(Command::new(["", "a"]), Err(ParseCommandError::NoProgram));
        let take = |words: &[&str]| Command::take(&mut words.iter().map(Into::into));
        assert_eq!(take(&["a", "b"]), Err(ParseCommandError::NotClosed));
        assert_eq!(take(&[";"]), Err(ParseCommandError::Empty));
    }

    #[test]
    fn people_see_where_words_end() {
        let command = Command::new(["sh", "-c", "echo \"a b\"", "", "--x=1"]).unwrap();
        assert_eq!(command.to_string(), r#"sh -c "echo \"a b\"" "" --x=1"#);
    }
}
