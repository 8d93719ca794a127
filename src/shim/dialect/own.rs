//! The shim's own command line.

mod help;
mod voice;

use std::ffi::OsString;

use fermata_stop_plan::{Arguments, FlagError, PreStop, Seconds, SignalSet, StopPlanFlags};

use crate::{
    drain::drain,
    install::install,
    message::{Stream, print},
    run::{CleanUp, Dispositions, Inherited, Invocation, Manners, Session, Subreaper, Suspends, run},
};

/// The exit code for a command line that is wrong.
const USAGE: u8 = 2;

/// The exit code of an errand that has failed.
const FAILED: u8 = 1;

/// What the first word may be.
const COMMANDS: &str = "run, drain, install, --help or --version";

/// Does what the command line says, and returns the exit code.
pub(super) fn main(words: impl Iterator<Item = OsString>, inherited: &Inherited) -> u8 {
    let mut words = Arguments::new(words);
    let Some(command) = words.next() else {
        return refuse(&format!("no command is given; use {COMMANDS}"));
    };
    match command.to_str() {
        Some("run") => match parse_run(words) {
            Ok(Run::Invocation(invocation)) => run(&invocation, inherited),
            Ok(Run::Help) => say(help::RUN),
            Err(error) => refuse(&error.to_string()),
        },
        Some("drain") => hook(words, inherited),
        Some("install") => put_into(words, inherited),
        Some("--help" | "-h" | "help") => say(help::PROGRAM),
        Some("--version" | "-V") => say(concat!("fermata-shim ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => refuse(&format!("{:?} is no command; use {COMMANDS}", command.to_string_lossy())),
    }
}

enum Run {
    Invocation(Invocation),
    Help,
}

fn parse_run(mut words: Arguments) -> Result<Run, FlagError> {
    const ACCEPTS: &str = "the flags of fermata-shim run --help, then -- and a command";
    let mut flags = StopPlanFlags::default();
    let mut verbose = false;
    loop {
        if flags.take(&mut words)? {
            continue;
        }
        let Some(word) = words.peek() else {
            return Err(FlagError::new("command", "", "is missing", ACCEPTS));
        };
        match word.to_str() {
            Some("--verbose" | "-v") => verbose = true,
            Some("--help" | "-h") => return Ok(Run::Help),
            Some("--") => {
                words.next();
                break;
            }
            _ if word.as_encoded_bytes().starts_with(b"-") => {
                return Err(FlagError::new("run", &word.to_string_lossy(), "is no flag of it", ACCEPTS));
            }
            _ => break,
        }
        words.next();
    }
    let command: Vec<OsString> = words.rest().collect();
    if command.first().is_none_or(|program| program.is_empty()) {
        let why = if command.is_empty() { "is missing" } else { "is the empty string" };
        return Err(FlagError::new("command", "", why, ACCEPTS));
    }
    let plan = flags.into_plan();
    if plan.budget.is_some_and(Seconds::is_zero) {
        return Err(FlagError::new(
            "--budget",
            "0s",
            "leaves no time for anything",
            "at least 1s, or leave it out",
        ));
    }
    if let Some(signal) = plan.triggers.iter().find(|signal| !signal.is_passed_on()) {
        let why = "is a signal that never comes as one";
        return Err(FlagError::new("--trigger", &signal.to_string(), why, "any but KILL, STOP and CHLD"));
    }
    Ok(Run::Invocation(Invocation { command, plan, manners: manners(verbose) }))
}

fn manners(verbose: bool) -> Manners {
    Manners {
        session: Session::Apart,
        dispositions: Dispositions::KeepButStop,
        // Commands of the stop plan run where the container was started.
        leaves_directory: false,
        clean_up: CleanUp::Term,
        suspends: Suspends::WithProgram,
        subreaper: Subreaper::Automatic,
        parent_death: None,
        not_forwarded: SignalSet::EMPTY,
        maps_every_end: false,
        renames_listener: true,
        voice: if verbose { voice::verbose } else { voice::quiet },
    }
}

/// `drain`
fn hook(words: Arguments, inherited: &Inherited) -> u8 {
    inherited.release_signals();
    if asks_for_help(&words) {
        return say(help::DRAIN);
    }
    match PreStop::parse(words) {
        Ok(hook) => drain(&hook),
        Err(error) => refuse(&error.to_string()),
    }
}

/// `install`
fn put_into(mut words: Arguments, inherited: &Inherited) -> u8 {
    const ACCEPTS: &str = "the folder that it is to be put into, and nothing else";
    inherited.release_signals();
    if asks_for_help(&words) {
        return say(help::INSTALL);
    }
    let flag = words.flag().is_some();
    match (words.next(), words.next()) {
        (Some(folder), None) if !flag && !folder.is_empty() => match install(folder.as_ref()) {
            Ok(()) => 0,
            Err(why) => {
                print(Stream::Error, format!("fermata-shim: {why}\n").as_bytes());
                FAILED
            }
        },
        (None, _) => refuse(&format!("install: has no folder; use {ACCEPTS}")),
        (Some(word), None) => {
            refuse(&format!("install: {:?} is no folder; use {ACCEPTS}", word.to_string_lossy()))
        }
        (_, Some(word)) => {
            refuse(&format!("install: {:?} is too much; use {ACCEPTS}", word.to_string_lossy()))
        }
    }
}

fn asks_for_help(words: &Arguments) -> bool {
    matches!(words.flag(), Some("--help" | "-h"))
}

/// Prints what was asked for.
fn say(text: &str) -> u8 {
    u8::from(!print(Stream::Output, text.as_bytes()))
}

fn refuse(why: &str) -> u8 {
    let hint = "see fermata-shim --help";
    print(Stream::Error, format!("fermata-shim: {why}\n{hint}\n").as_bytes());
    USAGE
}
