//! What tini says of what happens: each message has a level, and a level says where it goes.

use std::os::unix::ffi::OsStrExt;

use fermata_stop_plan::Signal;
use nix::unistd::{Pid, getpid};

use super::NOT_FORWARDED;
use crate::{
    dialect::wording::{strerror, strsignal},
    message::Stream,
    run::{End, Event, Line},
};

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Fatal,
    Warning,
    Info,
    Debug,
    Trace,
}

/// What is said at a verbosity, with or without a word about each orphan.
pub(super) fn voice(verbosity: u32, warn_on_reap: bool) -> fn(&Event<'_>) -> Vec<Line> {
    // A function and no closure: what is said depends on nothing that changes while the program runs.
    match (verbosity, warn_on_reap) {
        (0, _) => said::<0, false>,
        (1, false) => said::<1, false>,
        (1, true) => said::<1, true>,
        (2, false) => said::<2, false>,
        (2, true) => said::<2, true>,
        (3, false) => said::<3, false>,
        (3, true) => said::<3, true>,
        (_, false) => said::<4, false>,
        (_, true) => said::<4, true>,
    }
}

fn said<const VERBOSITY: u32, const WARN_ON_REAP: bool>(event: &Event<'_>) -> Vec<Line> {
    let messages = messages(event, WARN_ON_REAP);
    messages
        .into_iter()
        .filter(|message| message.level as u32 <= VERBOSITY)
        .flat_map(Message::lines)
        .collect()
}

/// A message and the process that says it.
struct Message {
    level: Level,
    pid: Pid,
    text: Vec<u8>,
}

impl Message {
    fn new(level: Level, text: impl Into<Vec<u8>>) -> Self {
        Self { level, pid: getpid(), text: text.into() }
    }

    /// Its lines, of which the first one is marked.
    fn lines(self) -> Vec<Line> {
        let (name, stream) = match self.level {
            Level::Fatal => ("FATAL", Stream::Error),
            Level::Warning => ("WARN ", Stream::Error),
            Level::Info => ("INFO ", Stream::Output),
            Level::Debug => ("DEBUG", Stream::Output),
            Level::Trace => ("TRACE", Stream::Output),
        };
        let start = format!("[{name} tini ({})] ", self.pid);
        let text = [start.as_bytes(), &self.text].concat();
        text.split(|byte| *byte == b'\n').map(|line| Line { stream, text: line.to_vec() }).collect()
    }
}

fn messages(event: &Event<'_>, warn_on_reap: bool) -> Vec<Message> {
    let one = |level, text: String| vec![Message::new(level, text)];
    match event {
        Event::NoParentDeath => one(Level::Fatal, "Failed to set up parent death signal".into()),
        Event::NoSubreaper(errno) => {
            one(Level::Fatal, format!("Failed to register as child subreaper: {}", strerror(*errno)))
        }
        Event::Subreaper => one(Level::Trace, "Registered as child subreaper".into()),
        Event::CannotReap => vec![Message::new(Level::Warning, super::REAPER_WARNING)],
        Event::NotForked(errno) => one(Level::Fatal, format!("fork failed: {}", strerror(*errno))),
        Event::NotIsolated(errno) => one(Level::Fatal, format!("setpgid failed: {}", strerror(*errno))),
        Event::Spawned { program, pid } => {
            let pid = format!("' with pid '{pid}'");
            let text = [b"Spawned child process '", program.as_bytes(), pid.as_bytes()].concat();
            vec![Message::new(Level::Info, text)]
        }
        // It is the child that says it.
        Event::NotExecuted { program, pid, errno } => {
            let error = strerror(*errno);
            let text = [b"exec ", program.as_bytes(), b" failed: ", error.as_bytes()].concat();
            vec![Message { level: Level::Fatal, pid: *pid, text }]
        }
        Event::Received(Signal::CHLD) => one(Level::Debug, "Received SIGCHLD".into()),
        Event::Received(signal) if !NOT_FORWARDED.contains(*signal) => {
            one(Level::Debug, format!("Passing signal: '{}'", strsignal(*signal)))
        }
        Event::NotSent { errno, .. } => {
            let text = format!("Unexpected error when forwarding signal: '{}'", strerror(*errno));
            one(Level::Fatal, text)
        }
        Event::Reaped { pid, end, program } => {
            let reaped = Message::new(Level::Debug, format!("Reaped child with pid: '{pid}'"));
            let more = match end {
                _ if !program && !warn_on_reap => return vec![reaped],
                _ if !program => {
                    Message::new(Level::Warning, format!("Reaped zombie process with pid={pid}"))
                }
                End::Exited(status) => {
                    Message::new(Level::Info, format!("Main child exited normally (with status '{status}')"))
                }
                End::Signalled(signal) => Message::new(
                    Level::Info,
                    format!("Main child exited with signal (with signal '{}')", strsignal(*signal)),
                ),
            };
            vec![reaped, more]
        }
        Event::Goodbye { .. } => one(Level::Trace, "Exiting: child has exited".into()),
        _ => Vec::new(),
    }
}
