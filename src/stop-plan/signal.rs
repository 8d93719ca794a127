//! Signals by name and by number.

use std::{fmt, str::FromStr};

/// A signal of Linux, from 1 to 64.
///
/// The numbers are those of x86, ARM, RISC-V, POWER and s390x (`asm-generic/signal.h`); MIPS and SPARC differ and
/// run no Kubernetes. Read from a name with or without `SIG`, in any case, or from a number; real-time signals are
/// `RTMIN+3` and `RTMAX-1`, where `RTMIN` is 34 because libc keeps 32 and 33 for itself.
///
/// ```
/// use fermata_stop_plan::Signal;
///
/// let quit: Signal = "SIGQUIT".parse()?;
/// assert_eq!(quit, Signal::QUIT);
/// assert_eq!("3".parse(), Ok(quit));
/// assert_eq!(quit.to_string(), "QUIT");
/// assert_eq!(Signal::new(37).unwrap().to_string(), "RTMIN+3");
/// # Ok::<(), fermata_stop_plan::ParseSignalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Names by number, from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Other names for the same signals.
const ALIASES: [(&str, u8); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// The first real-time signal that programs can use.
const RTMIN: u8 = 34;

impl Signal {
    /// Hangup.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Quit from the keyboard.
    pub const QUIT: Self = Self(3);
    /// An instruction that is none.
    pub const ILL: Self = Self(4);
    /// A breakpoint.
    pub const TRAP: Self = Self(5);
    /// The process gives itself up.
    pub const ABRT: Self = Self(6);
    /// An address that nothing answers.
    pub const BUS: Self = Self(7);
    /// Arithmetic that has no result.
    pub const FPE: Self = Self(8);
    /// The one that ends a process without asking it.
    pub const KILL: Self = Self(9);
    /// The first one for users.
    pub const USR1: Self = Self(10);
    /// An address that is not the process'.
    pub const SEGV: Self = Self(11);
    /// The second one for users.
    pub const USR2: Self = Self(12);
    /// What the kubelet's runtime sends where nobody says otherwise.
    pub const TERM: Self = Self(15);
    /// A child has ended.
    pub const CHLD: Self = Self(17);
    /// Go on.
    pub const CONT: Self = Self(18);
    /// The one that suspends a process without asking it.
    pub const STOP: Self = Self(19);
    /// Suspend, from the keyboard.
    pub const TSTP: Self = Self(20);
    /// Read from the terminal in the background.
    pub const TTIN: Self = Self(21);
    /// Written to the terminal in the background.
    pub const TTOU: Self = Self(22);
    /// The terminal's size has changed.
    pub const WINCH: Self = Self(28);
    /// A system call that is none, or not allowed.
    pub const SYS: Self = Self(31);

    /// The highest signal.
    pub const MAX: Self = Self(64);

    /// The signal of that number, or `None` outside 1 to 64.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Its number, from 1 to 64.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether an init can be told by it, and pass it on: not KILL and STOP, which no program sees, and not CHLD,
    /// which is about the init's own children.
    #[must_use]
    pub const fn is_passed_on(self) -> bool {
        !matches!(self, Self::KILL | Self::STOP | Self::CHLD)
    }

    /// All signals, in order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=Self::MAX.0).map(Self)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => f.write_str(name),
            None if self.0 == RTMIN => f.write_str("RTMIN"),
            None if self.0 > RTMIN => write!(f, "RTMIN+{}", self.0 - RTMIN),
            // libc's own, which have no name.
            None => write!(f, "{}", self.0),
        }
    }
}

/// Why a text is not a signal. The message says what is wrong with it; callers add the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSignalError {
    /// Nothing was written.
    Empty,
    /// A number outside 1 to 64.
    OutOfRange,
    /// No signal has that name.
    Unknown,
}

impl fmt::Display for ParseSignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "names no signal",
            Self::OutOfRange => "is not from 1 to 64",
            Self::Unknown => "is not the name of a signal",
        })
    }
}

impl std::error::Error for ParseSignalError {}

impl FromStr for Signal {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, ParseSignalError> {
        if text.is_empty() {
            return Err(ParseSignalError::Empty);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::new).ok_or(ParseSignalError::OutOfRange);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(index) = NAMES.iter().position(|known| *known == name) {
            return u8::try_from(index + 1).ok().and_then(Self::new).ok_or(ParseSignalError::Unknown);
        }
        if let Some(&(_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Ok(Self(number));
        }
        real_time(name)
    }
}

/// `RTMIN`, `RTMIN+3`, `RTMAX-1`, `RTMAX`.
fn real_time(name: &str) -> Result<Signal, ParseSignalError> {
    let offset = |text: &str, sign: char| match text.strip_prefix(sign) {
        _ if text.is_empty() => Ok(0),
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u8>().map_err(|_| ParseSignalError::OutOfRange)
        }
        _ => Err(ParseSignalError::Unknown),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        RTMIN.checked_add(offset(rest, '+')?)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        Signal::MAX.0.checked_sub(offset(rest, '-')?)
    } else {
        return Err(ParseSignalError::Unknown);
    };
    number.filter(|number| *number >= RTMIN).and_then(Signal::new).ok_or(ParseSignalError::OutOfRange)
}

/// A set of signals. Written as names with commas between them: `TERM,QUIT`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// These signals.
    #[must_use]
    pub const fn of(signals: &[Signal]) -> Self {
        let mut set = Self::EMPTY;
        let mut index = 0;
        while index < signals.len() {
            set = set.with(signals[index]);
            index += 1;
        }
        set
    }

    /// This set, with one more signal.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | 1 << (signal.0 - 1))
    }

    /// This set, less one signal.
    #[must_use]
    pub const fn without(self, signal: Signal) -> Self {
        Self(self.0 & !(1 << (signal.0 - 1)))
    }

    /// All signals of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a signal is in the set.
    #[must_use]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & 1 << (signal.0 - 1) != 0
    }

    /// Whether no signal is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signals of the set, in order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::all().filter(move |signal| self.contains(*signal))
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalSet({self})")
    }
}

impl fmt::Display for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, signal) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{signal}")?;
        }
        Ok(())
    }
}

impl FromStr for SignalSet {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, ParseSignalError> {
        text.split(',').try_fold(Self::EMPTY, |set, name| Ok(set.with(name.parse()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::{ParseSignalError, Signal, SignalSet};

    #[test]
    fn every_signal_is_printed_and_read_back() {
        for signal in Signal::all() {
            let name = signal.to_string();
            assert_eq!(name.parse(), Ok(signal), "{name}");
            assert_eq!(
                format!("sig{name}").parse::<Signal>().ok(),
                (!(32..34).contains(&signal.number())).then_some(signal)
            );
            assert_eq!(signal.number().to_string().parse(), Ok(signal));
        }
        assert_eq!(Signal::all().count(), 64);
    }

    #[test]
    fn names_are_those_of_the_kernel() {
        for (name, number) in [
            ("TERM", 15),
            ("sigusr1", 10),
            ("WINCH", 28),
            ("CLD", 17),
            ("IO", 29),
            ("POLL", 29),
            ("SYS", 31),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMAX", 64),
            ("64", 64),
        ] {
            assert_eq!(name.parse::<Signal>().map(Signal::number), Ok(number), "{name}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, why) in [
            ("", ParseSignalError::Empty),
            ("0", ParseSignalError::OutOfRange),
            ("65", ParseSignalError::OutOfRange),
            ("999999999999", ParseSignalError::OutOfRange),
            ("RTMIN+31", ParseSignalError::OutOfRange),
            ("RTMIN+300", ParseSignalError::OutOfRange),
            ("RTMAX-31", ParseSignalError::OutOfRange),
            ("RTMAX-65", ParseSignalError::OutOfRange),
            ("RTMIN-1", ParseSignalError::Unknown),
            ("RTMIN+", ParseSignalError::Unknown),
            ("RTMIN++1", ParseSignalError::Unknown),
            ("TERMINATE", ParseSignalError::Unknown),
            ("-15", ParseSignalError::Unknown),
            ("+15", ParseSignalError::Unknown),
            (" 15", ParseSignalError::Unknown),
            ("SIG", ParseSignalError::Unknown),
            ("SIGSIGTERM", ParseSignalError::Unknown),
        ] {
            assert_eq!(text.parse::<Signal>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn sets_are_printed_and_read_back() {
        let set = SignalSet::of(&[Signal::TERM, Signal::QUIT, Signal::MAX]);
        assert_eq!(set.to_string(), "QUIT,TERM,RTMIN+30");
        assert_eq!(set.to_string().parse(), Ok(set));
        assert_eq!("15,sigquit,TERM".parse(), Ok(SignalSet::of(&[Signal::TERM, Signal::QUIT])));
        assert!("TERM,".parse::<SignalSet>().is_err());
        assert!("".parse::<SignalSet>().is_err());
    }
}
