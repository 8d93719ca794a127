//! What is wrong with a text, and where.

use std::fmt;

/// A place in a text, as editors count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// The place of a byte. One that is out of range, or inside a character, counts as the next sane one.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// The same place in a text of which this one is a part, so many lines down.
    pub(crate) const fn below(self, lines: usize) -> Self {
        Self { line: self.line + lines, column: self.column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }

    /// The same fault in a text of which this one is a part, so many lines down.
    pub(crate) fn below(self, lines: usize) -> Self {
        Self { place: self.place.below(lines), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn columns_are_characters() {
        let text = "a: é\nüb: c\n";
        assert_eq!(Place::of(text, 0), Place { line: 1, column: 1 });
        assert_eq!(Place::of(text, text.find('b').unwrap()), Place { line: 2, column: 2 });
        assert_eq!(Place::of(text, 9_999), Place { line: 3, column: 1 });
    }
}
