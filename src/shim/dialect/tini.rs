//! What the shim says and does when it is called as `tini`: the dialect of tini 0.19.
//!
//! Everything that can be seen from outside is the same, except that a closed standard input does not end it, and that
//! `-l` shows the licence of the shim.

mod voice;

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use fermata_stop_plan::{ExitCodes, Rewrite, Scope, Signal, SignalSet, StopPlan};
use nix::sys::signal::Signal as ParentDeath;

use super::{
    ending::Ending,
    getopt::{Grammar, Place, Words},
    integer::{int, strtol},
};
use crate::{
    message::Stream,
    run::{self, CleanUp, Dispositions, Inherited, Invocation, Manners, Session, Subreaper, Suspends},
};

/// What `--version` says.
const VERSION: &str = "tini version 0.19.0";

const LETTERS: &[u8] = b"p:hvwgle:s";

const LICENSE: &str = "\
This is fermata-shim, called as tini: it speaks the dialect of tini and shares no code with it.

Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
";

const HELP: &str = r#"Command line options:

  --version: Show version and exit.
  -h: Show this help message and exit.
  -s: Register as a process subreaper (requires Linux >= 3.4).
  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. "-p SIGKILL".
  -v: Generate more verbose output. Repeat up to 3 times.
  -w: Print a warning when processes are getting reaped.
  -g: Send signals to the child's process group.
  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.
  -l: Show license and exit.

Environment variables:

  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).
  TINI_VERBOSITY: Set the verbosity level (default: 1).
  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.

"#;

const REAPER_WARNING: &str = "\
Tini is not running as PID 1 and isn't registered as a child subreaper.
Zombie processes will not be re-parented to Tini, so zombie reaping won't work.
To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child \
subreaper, or run Tini as PID 1.";

/// Signals that are about a process' own faults, and those of a terminal about its background.
const NOT_FORWARDED: SignalSet = SignalSet::of(&[
    Signal::ILL,
    Signal::TRAP,
    Signal::ABRT,
    Signal::BUS,
    Signal::FPE,
    Signal::SEGV,
    Signal::SYS,
    Signal::TTIN,
    Signal::TTOU,
]);

/// Does what the command line says, and returns the exit code.
pub(super) fn main(program: &OsStr, words: impl IntoIterator<Item = OsString>, inherited: &Inherited) -> u8 {
    let variables =
        ["TINI_SUBREAPER", "TINI_KILL_PROCESS_GROUP", "TINI_VERBOSITY", "POSIXLY_CORRECT"].map(env::var_os);
    let [subreaper, group, verbosity, posix] = variables.each_ref().map(Option::as_deref);
    match Options::read(program, words, Environment { subreaper, group, verbosity, posix }) {
        Ok(options) => run::run(&options.into_invocation(), inherited),
        Err(ending) => ending.say(),
    }
}

/// What the command line and the environment ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    /// How much is said: from 1 on warnings, from 2 on information, from 3 on what is done, from 4 on all.
    verbosity: u32,
    /// Adopt orphans.
    subreaper: bool,
    /// Pass signals on to the program's process group.
    group: bool,
    /// Say so when an orphan is reaped.
    warn_on_reap: bool,
    /// The exit codes that become 0.
    success: Vec<u8>,
    /// What the kernel sends when the parent ends.
    parent_death: Option<ParentDeath>,
    /// The program and its arguments. Never empty.
    command: Vec<OsString>,
}

/// The variables that tini reads, and the one that getopt reads.
#[derive(Clone, Copy, Debug, Default)]
struct Environment<'a> {
    /// `TINI_SUBREAPER`
    subreaper: Option<&'a OsStr>,
    /// `TINI_KILL_PROCESS_GROUP`
    group: Option<&'a OsStr>,
    /// `TINI_VERBOSITY`
    verbosity: Option<&'a OsStr>,
    /// `POSIXLY_CORRECT`
    posix: Option<&'a OsStr>,
}

/// How much is said where nobody asks.
const WARNINGS: u32 = 1;

impl Options {
    /// Reads the words behind the program's name.
    fn read(
        program: &OsStr,
        words: impl IntoIterator<Item = OsString>,
        environment: Environment<'_>,
    ) -> Result<Self, Ending> {
        let words: Vec<OsString> = words.into_iter().collect();
        let output = |text: &[u8]| Ending { stream: Stream::Output, text: text.into(), code: 0 };
        let error = |text: Vec<u8>| Ending { stream: Stream::Error, text, code: 1 };
        if words == ["--version"] {
            return Err(output(format!("{VERSION}\n").as_bytes()));
        }
        let mut options = Self {
            verbosity: WARNINGS,
            subreaper: environment.subreaper.is_some(),
            group: environment.group.is_some(),
            warn_on_reap: false,
            success: Vec::new(),
            parent_death: None,
            command: Vec::new(),
        };
        let place = if environment.posix.is_some() { Place::BeforeOperands } else { Place::Anywhere };
        let grammar = Grammar { letters: LETTERS, long: &[], place };
        let mut words = Words::new(&grammar, words);
        for given in words.by_ref() {
            let given = given.map_err(|mistake| error([mistake.line(program), usage(program)].concat()))?;
            let refused = || error(refused(given.letter, &given.value));
            match given.letter {
                b'h' => return Err(output(&usage(program))),
                b'l' => return Err(output(LICENSE.as_bytes())),
                b's' => options.subreaper = true,
                b'v' => options.verbosity = options.verbosity.saturating_add(1),
                b'w' => options.warn_on_reap = true,
                b'g' => options.group = true,
                b'p' => options.parent_death = Some(parent_death(&given.value).ok_or_else(refused)?),
                _ => options.success.push(exit_code(&given.value).ok_or_else(refused)?),
            }
        }
        options.command = words.operands();
        if options.command.is_empty() {
            return Err(error(usage(program)));
        }
        if let Some(verbosity) = environment.verbosity {
            // A negative level is an enormous one.
            let level = strtol(verbosity.as_bytes()).map_or(0, |(level, _)| int(level));
            options.verbosity = level.cast_unsigned();
        }
        Ok(options)
    }

    /// What the engine does for tini. There is no stop: every signal is only passed on.
    fn into_invocation(self) -> Invocation {
        let plan = StopPlan {
            triggers: SignalSet::EMPTY,
            rewrite: Rewrite::default(),
            scope: if self.group { Scope::Group } else { Scope::Child },
            exit_codes: ExitCodes::map(self.success.iter().map(|code| (*code, 0))),
            ..StopPlan::default()
        };
        let manners = Manners {
            session: Session::Group,
            dispositions: Dispositions::Keep,
            leaves_directory: false,
            clean_up: CleanUp::Nothing,
            suspends: Suspends::Never,
            subreaper: if self.subreaper { Subreaper::Required } else { Subreaper::No },
            parent_death: self.parent_death,
            not_forwarded: NOT_FORWARDED,
            maps_every_end: true,
            renames_listener: false,
            voice: voice::voice(self.verbosity, self.warn_on_reap),
        };
        Invocation { command: self.command, plan, manners }
    }
}

/// The value of `-p`: a name with `SIG`, in capitals, of the signals that tini knows.
fn parent_death(value: &OsStr) -> Option<ParentDeath> {
    let known = |signal: &ParentDeath| {
        !matches!(signal, ParentDeath::SIGSTKFLT | ParentDeath::SIGIO | ParentDeath::SIGPWR)
    };
    value.to_str()?.parse().ok().filter(known)
}

/// The value of `-e`. Nothing at all counts as 0: so `strtol` says.
fn exit_code(value: &OsStr) -> Option<u8> {
    match strtol(value.as_bytes()) {
        Some((code, [])) => u8::try_from(code).ok(),
        None if value.is_empty() => Some(0),
        _ => None,
    }
}

fn refused(letter: u8, value: &OsStr) -> Vec<u8> {
    let start =
        format!("[FATAL tini ({})] Not a valid option for -{}: ", std::process::id(), char::from(letter));
    [start.as_bytes(), value.as_bytes(), b"\n"].concat()
}

fn usage(program: &OsStr) -> Vec<u8> {
    let name = program.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    [
        name,
        b" (",
        VERSION.as_bytes(),
        b")\nUsage: ",
        name,
        b" [OPTIONS] PROGRAM -- [ARGS] | --version\n\n",
        b"Execute a program under the supervision of a valid init process (",
        name,
        b")\n\n",
        HELP.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::{Environment, LICENSE, Options, exit_code, parent_death};
    use crate::{dialect::ending::Ending, message::Stream};

    fn read(line: &[&str]) -> Result<Options, Ending> {
        read_in(line, Environment::default())
    }

    fn read_in(line: &[&str], environment: Environment<'_>) -> Result<Options, Ending> {
        Options::read(OsStr::new("/sbin/tini"), line.iter().map(OsString::from), environment)
    }

    #[test]
    fn options_stand_anywhere_unless_posix_is_asked_for() {
        let options = read(&["sh", "-g", "-vv", "x", "--", "-s"]).unwrap();
        assert!(options.group && !options.subreaper);
        assert_eq!((options.verbosity, options.command.join(OsStr::new(" "))), (3, "sh x -s".into()));
        let posix = Environment { posix: Some(OsStr::new("")), ..Environment::default() };
        let options = read_in(&["-g", "sh", "-v", "--", "-s"], posix).unwrap();
        assert!(options.group);
        assert_eq!((options.verbosity, options.command.join(OsStr::new(" "))), (1, "sh -v -- -s".into()));
    }

    #[test]
    fn the_environment_counts_where_it_is_set_to_anything() {
        let empty = Some(OsStr::new(""));
        let environment = Environment { subreaper: empty, group: empty, verbosity: empty, posix: None };
        let options = read_in(&["-vvv", "true"], environment).unwrap();
        assert!(options.subreaper && options.group);
        assert_eq!(options.verbosity, 0);
        for (verbosity, level) in [("2", 2), (" +3x", 3), ("junk", 0), ("-1", u32::MAX)] {
            let environment =
                Environment { verbosity: Some(OsStr::new(verbosity)), ..Environment::default() };
            assert_eq!(read_in(&["true"], environment).unwrap().verbosity, level, "{verbosity}");
        }
    }

    #[test]
    fn exit_codes_are_read_as_strtol_reads_them() {
        for (value, code) in [("0", 0), ("255", 255), ("", 0), (" 5", 5), ("+5", 5), ("-0", 0), ("0143", 143)]
        {
            assert_eq!(exit_code(OsStr::new(value)), Some(code), "{value:?}");
        }
        for value in ["256", "-1", "5 ", "x", " ", "0x5", "+", "99999999999999999999"] {
            assert_eq!(exit_code(OsStr::new(value)), None, "{value:?}");
        }
        assert_eq!(read(&["-e", "143", "-e0", "true"]).unwrap().success, [143, 0]);
    }

    #[test]
    fn signals_are_named_in_full() {
        for (name, number) in [("SIGKILL", 9), ("SIGTERM", 15), ("SIGSYS", 31), ("SIGCHLD", 17)] {
            assert_eq!(parent_death(OsStr::new(name)).map(|signal| signal as i32), Some(number), "{name}");
        }
        for name in
            ["KILL", "sigkill", "9", "SIG9", "SIGIO", "SIGPOLL", "SIGPWR", "SIGSTKFLT", "SIGRTMIN", "SIGIOT"]
        {
            assert_eq!(parent_death(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn what_ends_a_call_goes_where_tini_puts_it() {
        for (line, stream, code, start) in [
            (&["--version"][..], Stream::Output, 0, "tini version 0.19.0\n"),
            (
                &["--version", "x"],
                Stream::Error,
                1,
                "/sbin/tini: invalid option -- '-'\ntini (tini version 0.19.0)\n",
            ),
            (&["-h", "-x"], Stream::Output, 0, "tini (tini version 0.19.0)\nUsage: tini [OPTIONS] PROGRAM"),
            (&["-l"], Stream::Output, 0, LICENSE),
            (&[], Stream::Error, 1, "tini (tini version 0.19.0)\nUsage: tini [OPTIONS] PROGRAM"),
            (&["-p"], Stream::Error, 1, "/sbin/tini: option requires an argument -- 'p'\ntini (tini"),
            (&["-x", "-h"], Stream::Error, 1, "/sbin/tini: invalid option -- 'x'\ntini (tini"),
        ] {
            let ending = read(line).unwrap_err();
            let text = String::from_utf8(ending.text).unwrap();
            assert_eq!((ending.stream, ending.code), (stream, code), "{line:?}");
            assert!(text.starts_with(start), "{line:?}: {text}");
        }
        for (line, text) in [
            (["-p", "9"], "Not a valid option for -p: 9\n"),
            (["-e", "256"], "Not a valid option for -e: 256\n"),
        ] {
            let ending = read(&line).unwrap_err();
            assert_eq!(ending.code, 1);
            let expected = format!("[FATAL tini ({})] {text}", std::process::id());
            assert_eq!(String::from_utf8(ending.text).unwrap(), expected);
        }
    }
}
