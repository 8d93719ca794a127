//! What the shim says and does when it is called as `dumb-init`: the dialect of dumb-init 1.2.5.
//!
//! Images and Helm charts call it by that name, read its messages, and pin its quirks. Everything that can be seen from
//! outside is the same, except that a command that cannot be run ends it with 126 or 127, where the original says 2.

mod voice;

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use fermata_stop_plan::{Rewrite, Scope, Signal, SignalSet, StopPlan};

use super::{
    ending::Ending,
    getopt::{Grammar, Long, Place, Words},
    integer::{int, strtol},
};
use crate::{
    message::{self, Stream},
    run::{self, CleanUp, Dispositions, Inherited, Invocation, Manners, Session, Subreaper, Suspends},
};

/// The version whose dialect this is.
const VERSION: &str = "1.2.5";

const GRAMMAR: Grammar = Grammar {
    letters: b"hvVcr:",
    long: &[
        Long { name: "help", letter: b'h' },
        Long { name: "single-child", letter: b'c' },
        Long { name: "rewrite", letter: b'r' },
        Long { name: "verbose", letter: b'v' },
        Long { name: "version", letter: b'V' },
    ],
    place: Place::BeforeOperands,
};

const HELP: &str = "\
dumb-init is a simple process supervisor that forwards signals to children.
It is designed to run as PID1 in minimal container environments.

Optional arguments:
   -c, --single-child   Run in single-child mode.
                        In this mode, signals are only proxied to the
                        direct child and not any of its descendants.
   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.
                        To ignore (not proxy) a signal, rewrite it to 0.
                        This option can be specified multiple times.
   -v, --verbose        Print debugging information to stderr.
   -h, --help           Print this help message and exit.
   -V, --version        Print the current version and exit.

Full help is available online at https://github.com/Yelp/dumb-init
";

const REWRITE_HELP: &str = "\
Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.
This option can be specified multiple times.
Use --help for full usage.
";

/// The highest signal that `-r` knows.
const HIGHEST: i32 = 31;

/// Does what the command line says, and returns the exit code.
pub(super) fn main(program: &OsStr, words: impl IntoIterator<Item = OsString>, inherited: &Inherited) -> u8 {
    let (debug, setsid) = (env::var_os("DUMB_INIT_DEBUG"), env::var_os("DUMB_INIT_SETSID"));
    let environment = Environment { debug: debug.as_deref(), setsid: setsid.as_deref() };
    let options = match Options::read(program, words, environment) {
        Ok(options) => options,
        Err(ending) => return ending.say(),
    };
    if options.verbose {
        for remark in &options.remarks {
            message::say(Stream::Error, &voice::line(remark.as_bytes()).text);
        }
    }
    run::run(&options.into_invocation(), inherited)
}

/// What the command line and the environment ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    /// Say what is done.
    verbose: bool,
    /// Give the program a session, and pass signals on to its process group.
    session: bool,
    /// What `-r` says.
    rewrite: Rewrite,
    /// What is said before anything else, where it is verbose.
    remarks: Vec<&'static str>,
    /// The program and its arguments. Never empty.
    command: Vec<OsString>,
}

/// The two variables that dumb-init reads.
#[derive(Clone, Copy, Debug, Default)]
struct Environment<'a> {
    /// `DUMB_INIT_DEBUG`
    debug: Option<&'a OsStr>,
    /// `DUMB_INIT_SETSID`
    setsid: Option<&'a OsStr>,
}

impl Options {
    /// Reads the words behind the program's name.
    fn read(
        program: &OsStr,
        words: impl IntoIterator<Item = OsString>,
        environment: Environment<'_>,
    ) -> Result<Self, Ending> {
        let said = |text: Vec<u8>, code| Ending { stream: Stream::Error, text, code };
        let mut options = Self {
            verbose: false,
            session: true,
            rewrite: Rewrite::default(),
            remarks: Vec::new(),
            command: Vec::new(),
        };
        let mut words = Words::new(&GRAMMAR, words);
        for given in words.by_ref() {
            let given = given.map_err(|mistake| said(mistake.line(program), 1))?;
            match given.letter {
                b'h' => return Err(said(help(program), 0)),
                b'V' => return Err(said(format!("dumb-init v{VERSION}\n").into_bytes(), 0)),
                b'v' => options.verbose = true,
                b'c' => options.session = false,
                _ => {
                    let pair = pair(&given.value).ok_or_else(|| said(REWRITE_HELP.into(), 1))?;
                    options.rewrite.set(pair.0, pair.1);
                }
            }
        }
        options.command = words.operands();
        if options.command.is_empty() {
            return Err(said(usage(program), 1));
        }
        if environment.debug.is_some_and(|value| value == "1") {
            options.verbose = true;
            options.remarks.push("Running in debug mode.");
        }
        if environment.setsid.is_some_and(|value| value == "0") {
            options.session = false;
            options.remarks.push("Not running in setsid mode.");
        }
        if options.session {
            options.suspend_by_stop();
        }
        Ok(options)
    }

    /// What the engine does for dumb-init. There is no stop: every signal is only passed on.
    fn into_invocation(self) -> Invocation {
        let plan = StopPlan {
            triggers: SignalSet::EMPTY,
            rewrite: self.rewrite,
            scope: if self.session { Scope::Group } else { Scope::Child },
            ..StopPlan::default()
        };
        let manners = Manners {
            session: if self.session { Session::New } else { Session::Shared },
            dispositions: Dispositions::Default,
            leaves_directory: true,
            clean_up: CleanUp::Rewritten,
            suspends: Suspends::OnSignal,
            subreaper: Subreaper::No,
            parent_death: None,
            not_forwarded: SignalSet::EMPTY,
            maps_every_end: false,
            renames_listener: false,
            voice: if self.verbose { voice::verbose } else { voice::quiet },
        };
        Invocation { command: self.command, plan, manners }
    }

    /// What a terminal sends to suspend reaches a group without a parent in its session, where it would have no
    /// effect. STOP has one, and takes its place unless `-r` says otherwise.
    fn suspend_by_stop(&mut self) {
        for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
            if !self.rewrite.iter().any(|(from, _)| from == signal) {
                self.rewrite.set(signal, Some(Signal::STOP));
            }
        }
    }
}

/// The value of `-r`, as `sscanf` reads it with `%d:%d`: what follows the second number does not matter.
fn pair(value: &OsStr) -> Option<(Signal, Option<Signal>)> {
    let (from, rest) = strtol(value.as_bytes())?;
    let (to, _) = strtol(rest.strip_prefix(b":")?)?;
    let number = |long| u8::try_from(Some(int(long)).filter(|number| (0..=HIGHEST).contains(number))?).ok();
    Some((Signal::new(number(from)?)?, Signal::new(number(to)?)))
}

fn help(program: &OsStr) -> Vec<u8> {
    let version = format!("dumb-init v{VERSION}\nUsage: ");
    [version.as_bytes(), program.as_bytes(), b" [option] command [[arg] ...]\n\n", HELP.as_bytes()].concat()
}

fn usage(program: &OsStr) -> Vec<u8> {
    let program = program.as_bytes();
    [b"Usage: ", program, b" [option] program [args]\nTry ", program, b" --help for full usage.\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use fermata_stop_plan::Signal;

    use super::{Environment, Options, REWRITE_HELP, pair};
    use crate::{dialect::ending::Ending, message::Stream};

    fn read(line: &[&str]) -> Result<Options, Ending> {
        read_in(line, Environment::default())
    }

    fn read_in(line: &[&str], environment: Environment<'_>) -> Result<Options, Ending> {
        Options::read(OsStr::new("dumb-init"), line.iter().map(OsString::from), environment)
    }

    fn said(line: &[&str]) -> (u8, String) {
        let ending = read(line).unwrap_err();
        assert_eq!(ending.stream, Stream::Error);
        (ending.code, String::from_utf8(ending.text).unwrap())
    }

    #[test]
    fn a_group_and_a_session_unless_told_otherwise() {
        let options = read(&["sleep", "-v"]).unwrap();
        assert!(options.session && !options.verbose);
        assert_eq!(options.command, ["sleep", "-v"]);
        assert_eq!(options.rewrite.to_string(), "TSTP:STOP,TTIN:STOP,TTOU:STOP");
        for line in [["-c", "-v", "--", "sleep"], ["--single-child", "--verbose", "--", "sleep"]] {
            let options = read(&line).unwrap();
            assert!(!options.session && options.verbose && options.rewrite.is_empty());
        }
    }

    #[test]
    fn the_environment_counts_where_it_says_just_that() {
        let set = |debug, setsid| {
            let environment =
                Environment { debug: Some(OsStr::new(debug)), setsid: Some(OsStr::new(setsid)) };
            let options = read_in(&["true"], environment).unwrap();
            (options.verbose, options.session, options.remarks)
        };
        assert_eq!(set("", ""), (false, true, vec![]));
        assert_eq!(set("0", "1"), (false, true, vec![]));
        assert_eq!(set("true", "no"), (false, true, vec![]));
        assert_eq!(
            set("1", "0"),
            (true, false, vec!["Running in debug mode.", "Not running in setsid mode."])
        );
    }

    #[test]
    fn pairs_of_signals_are_read_as_sscanf_reads_them() {
        for (value, expected) in [
            ("15:3", (15, 3)),
            (" 15: 3", (15, 3)),
            ("+15:+3", (15, 3)),
            ("15:3junk", (15, 3)),
            ("15:0", (15, 0)),
            ("15:-0", (15, 0)),
            ("\t1:31", (1, 31)),
            ("015:03", (15, 3)),
            // Conversions of C: 2^32 + 15.
            ("4294967311:3", (15, 3)),
        ] {
            let (from, to) = pair(OsStr::new(value)).unwrap();
            assert_eq!((from.number(), to.map_or(0, Signal::number)), expected, "{value:?}");
        }
        for value in [
            "",
            "herp",
            "herp:derp",
            "15",
            "15:",
            "15::12",
            "15 :3",
            ":3",
            "0:3",
            "32:1",
            "1:32",
            "-1:1",
            "1:-1",
            "TERM:QUIT",
            "0x0f:3",
            "99999999999999999999:3",
        ] {
            assert_eq!(pair(OsStr::new(value)), None, "{value:?}");
        }
    }

    #[test]
    fn rewrites_add_up_and_the_last_one_counts() {
        let rewrite = |line: &[&str]| read(line).unwrap().rewrite.to_string();
        assert_eq!(rewrite(&["-c", "-r", "15:2", "-r2:15", "true"]), "INT:TERM,TERM:INT");
        assert_eq!(rewrite(&["-c", "-r", "15:2", "--rewrite=15:0", "true"]), "TERM:0");
        assert_eq!(rewrite(&["-r", "20:20", "true"]), "TSTP:TSTP,TTIN:STOP,TTOU:STOP");
        assert_eq!(rewrite(&["-r21:15", "-r", "22:2", "-r20:1", "true"]), "TSTP:HUP,TTIN:TERM,TTOU:INT");
    }

    #[test]
    fn the_first_mistake_ends_it() {
        for (line, text) in [
            (&["-r"][..], "dumb-init: option requires an argument -- 'r'\n"),
            (&["-r", "echo", "hi"], REWRITE_HELP),
            (&["-r", "15:12", "-r", "echo"], REWRITE_HELP),
            (&["-r", "15:12", "-r", "1:32", "-h"], REWRITE_HELP),
            (&["--yolo", "/bin/true"], "dumb-init: unrecognized option '--yolo'\n"),
            (&["-x", "-h"], "dumb-init: invalid option -- 'x'\n"),
            (&[], "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n"),
            (
                &["-v", "--"],
                "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n",
            ),
        ] {
            assert_eq!(said(line), (1, text.into()), "{line:?}");
        }
    }

    #[test]
    fn help_and_version_come_first_and_end_well() {
        assert_eq!(said(&["-V"]), (0, "dumb-init v1.2.5\n".into()));
        assert_eq!(said(&["-c", "--version", "-x"]), (0, "dumb-init v1.2.5\n".into()));
        let (code, text) = said(&["--help"]);
        assert_eq!(code, 0);
        assert!(text.starts_with(
            "dumb-init v1.2.5\nUsage: dumb-init [option] command [[arg] ...]\n\ndumb-init is a simple process"
        ));
        assert!(text.ends_with("available online at https://github.com/Yelp/dumb-init\n"));
    }
}
