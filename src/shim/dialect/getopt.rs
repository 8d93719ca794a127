//! Reads options as `getopt_long` of glibc reads them.
//!
//! POSIX says what an option is; glibc says what its abbreviation is, where options may stand, and how a mistake is
//! worded. Programs that are called by other people's Dockerfiles cannot afford another opinion on any of it.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// The options of a program.
pub(super) struct Grammar {
    /// The letters, in the notation of `getopt`: a colon behind one that takes a value.
    pub(super) letters: &'static [u8],
    /// The long options, or none at all: then `--word` is a cluster of letters like any other.
    pub(super) long: &'static [Long],
    /// Where options may stand.
    pub(super) place: Place,
}

/// A long option.
pub(super) struct Long {
    /// Its name, without the hyphens.
    pub(super) name: &'static str,
    /// The letter that means the same.
    pub(super) letter: u8,
}

/// Where options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In front of the first operand only: what POSIX says.
    BeforeOperands,
    /// Anywhere in front of `--`: what glibc does unless it is told otherwise.
    Anywhere,
}

/// An option as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Its letter.
    pub(super) letter: u8,
    /// Its value. Empty for options that take none.
    pub(super) value: OsString,
}

/// A mistake, worded as glibc words it. Bytes, because it quotes the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake(Vec<u8>);

impl Mistake {
    /// The message, as a whole line, with the program's name in front.
    pub(super) fn line(&self, program: &OsStr) -> Vec<u8> {
        [program.as_bytes(), b": ", &self.0, b"\n"].concat()
    }

    fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }
}

/// The words of a command line that are being read.
pub(super) struct Words<'g> {
    grammar: &'g Grammar,
    unread: VecDeque<OsString>,
    /// What is left of a cluster of letters such as `-vc`.
    cluster: VecDeque<u8>,
    /// Operands that stood in front of options.
    operands: Vec<OsString>,
}

impl<'g> Words<'g> {
    /// These words, without the program's name.
    pub(super) fn new(grammar: &'g Grammar, words: impl IntoIterator<Item = OsString>) -> Self {
        Self { grammar, unread: words.into_iter().collect(), cluster: VecDeque::new(), operands: Vec::new() }
    }

    /// What is no option, in the order in which it was given. To be asked when there is no option left.
    pub(super) fn operands(mut self) -> Vec<OsString> {
        self.operands.extend(self.unread);
        self.operands
    }

    /// Takes the first letter of the cluster, and its value: what follows it in its word, or the next word.
    fn letter(&mut self, letter: u8) -> Result<Given, Mistake> {
        let known = !matches!(letter, b':' | b';');
        let Some(index) = self.grammar.letters.iter().position(|known| *known == letter).filter(|_| known)
        else {
            return Err(Mistake::new(&[b"invalid option -- '", &[letter], b"'"]));
        };
        if self.grammar.letters.get(index + 1) != Some(&b':') {
            return Ok(Given { letter, value: OsString::new() });
        }
        let value = if self.cluster.is_empty() {
            self.unread
                .pop_front()
                .ok_or_else(|| Mistake::new(&[b"option requires an argument -- '", &[letter], b"'"]))?
        } else {
            OsString::from_vec(std::mem::take(&mut self.cluster).into())
        };
        Ok(Given { letter, value })
    }

    /// Takes a long option, which may be abbreviated, and its value: what stands behind its `=`, or the next word.
    fn long(&mut self, word: &[u8]) -> Result<Given, Mistake> {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        let inline = word.get(name.len() + 1..);
        let long = self.grammar.long;
        let exact = long.iter().find(|known| known.name.as_bytes() == name);
        let abbreviated: Vec<&Long> =
            long.iter().filter(|known| known.name.as_bytes().starts_with(name)).collect();
        let known = match (exact, &abbreviated[..]) {
            (Some(known), _) => known,
            (None, [known]) => *known,
            (None, []) => return Err(Mistake::new(&[b"unrecognized option '--", word, b"'"])),
            (None, several) => {
                let names: Vec<u8> =
                    several.iter().flat_map(|known| format!(" '--{}'", known.name).into_bytes()).collect();
                return Err(Mistake::new(&[b"option '--", word, b"' is ambiguous; possibilities:", &names]));
            }
        };
        let mistake = |end: &[u8]| Mistake::new(&[b"option '--", known.name.as_bytes(), b"' ", end]);
        let value = match (self.takes_value(known.letter), inline) {
            (false, None) => OsString::new(),
            (false, Some(_)) => return Err(mistake(b"doesn't allow an argument")),
            (true, Some(value)) => OsStr::from_bytes(value).to_owned(),
            (true, None) => self.unread.pop_front().ok_or_else(|| mistake(b"requires an argument"))?,
        };
        Ok(Given { letter: known.letter, value })
    }

    fn takes_value(&self, letter: u8) -> bool {
        self.grammar.letters.windows(2).any(|pair| pair == [letter, b':'])
    }
}

impl Iterator for Words<'_> {
    type Item = Result<Given, Mistake>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(letter) = self.cluster.pop_front() {
            return Some(self.letter(letter));
        }
        loop {
            let word = self.unread.pop_front()?;
            match word.as_bytes() {
                b"--" => {
                    self.operands.extend(self.unread.drain(..));
                    return None;
                }
                [b'-', b'-', long @ ..] if !self.grammar.long.is_empty() => return Some(self.long(long)),
                [b'-', first, cluster @ ..] => {
                    self.cluster = cluster.to_vec().into();
                    return Some(self.letter(*first));
                }
                _ if self.grammar.place == Place::BeforeOperands => {
                    self.unread.push_front(word);
                    return None;
                }
                _ => self.operands.push(word),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::{Grammar, Long, Place, Words};

    const LONG: &[Long] = &[
        Long { name: "help", letter: b'h' },
        Long { name: "rewrite", letter: b'r' },
        Long { name: "verbose", letter: b'v' },
        Long { name: "version", letter: b'V' },
    ];
    const FIRST: Grammar = Grammar { letters: b"hvVr:", long: LONG, place: Place::BeforeOperands };
    const ANYWHERE: Grammar = Grammar { letters: b"vr:", long: &[], place: Place::Anywhere };

    /// The options as `letter=value`, then a bar, then the operands; or the message.
    fn read(grammar: &Grammar, line: &[&str]) -> String {
        let mut words = Words::new(grammar, line.iter().map(OsString::from));
        let mut seen = Vec::new();
        for given in words.by_ref() {
            match given {
                Ok(given) => {
                    let value = given.value.to_str().unwrap();
                    let equals = if value.is_empty() { "" } else { "=" };
                    seen.push(format!("{}{equals}{value}", char::from(given.letter)));
                }
                Err(mistake) => return String::from_utf8_lossy(&mistake.line(OsStr::new("p"))).into_owned(),
            }
        }
        seen.push("|".into());
        seen.extend(words.operands().into_iter().map(|word| word.into_string().unwrap()));
        seen.join(" ")
    }

    #[test]
    fn letters_may_be_bundled_and_values_may_touch_them() {
        for (line, expected) in [
            (&["-v", "-h", "a"][..], "v h | a"),
            (&["-vh", "a"], "v h | a"),
            (&["-r15:3", "a"], "r=15:3 | a"),
            (&["-vr15:3", "a"], "v r=15:3 | a"),
            (&["-vr", "15:3", "a"], "v r=15:3 | a"),
            (&["-r", "--", "a"], "r=-- | a"),
            (&["-rv", "a"], "r=v | a"),
            (&["-r=3", "a"], "r==3 | a"),
        ] {
            assert_eq!(read(&FIRST, line), expected, "{line:?}");
        }
    }

    #[test]
    fn long_options_may_be_abbreviated_where_it_is_clear() {
        for (line, expected) in [
            (&["--rewrite", "15:3", "a"][..], "r=15:3 | a"),
            (&["--rewrite=15:3", "a"], "r=15:3 | a"),
            (&["--rew=", "a"], "r | a"),
            (&["--r=a=b", "a"], "r=a=b | a"),
            (&["--verb", "--h", "a"], "v h | a"),
            (&["--vers"], "V |"),
            (&["--ver"], "p: option '--ver' is ambiguous; possibilities: '--verbose' '--version'\n"),
            (&["--v=1"], "p: option '--v=1' is ambiguous; possibilities: '--verbose' '--version'\n"),
            (&["--rew"], "p: option '--rewrite' requires an argument\n"),
            (&["--verb=1"], "p: option '--verbose' doesn't allow an argument\n"),
            (&["--help=", "a"], "p: option '--help' doesn't allow an argument\n"),
            (&["--yolo", "a"], "p: unrecognized option '--yolo'\n"),
            (&["--yolo=1", "a"], "p: unrecognized option '--yolo=1'\n"),
            (&["---", "a"], "p: unrecognized option '---'\n"),
            (&["--versions"], "p: unrecognized option '--versions'\n"),
        ] {
            assert_eq!(read(&FIRST, line), expected, "{line:?}");
        }
    }

    #[test]
    fn mistakes_are_worded_as_glibc_words_them() {
        for (line, expected) in [
            (&["-x"][..], "p: invalid option -- 'x'\n"),
            (&["-v:"], "p: invalid option -- ':'\n"),
            (&["-;"], "p: invalid option -- ';'\n"),
            (&["-vr"], "p: option requires an argument -- 'r'\n"),
            (&["-v-"], "p: invalid option -- '-'\n"),
        ] {
            assert_eq!(read(&FIRST, line), expected, "{line:?}");
        }
        assert_eq!(read(&ANYWHERE, &["--verbose"]), "p: invalid option -- '-'\n");
    }

    #[test]
    fn options_end_where_the_grammar_says() {
        for (line, first, anywhere) in [
            (&["a", "-v", "b"][..], "| a -v b", "v | a b"),
            (&["-v", "--", "-v"], "v | -v", "v | -v"),
            (&["a", "--", "-v"], "| a -- -v", "| a -v"),
            (&["a", "-", "-v"], "| a - -v", "v | a -"),
            (&["", "-v"], "|  -v", "v | "),
            (&["-v", "a", "-r", "b", "c"], "v | a -r b c", "v r=b | a c"),
            (&[], "|", "|"),
        ] {
            assert_eq!(read(&FIRST, line), first, "{line:?}");
            assert_eq!(read(&ANYWHERE, line), anywhere, "{line:?}");
        }
    }

    #[test]
    fn what_is_quoted_keeps_its_bytes() {
        use std::os::unix::ffi::OsStringExt;
        let mut words = Words::new(&FIRST, [OsString::from_vec(b"-\xff".to_vec())]);
        let mistake = words.next().unwrap().unwrap_err();
        assert_eq!(mistake.line(OsStr::new("p")), b"p: invalid option -- '\xff'\n");
    }
}
