//! What happens in the engine. Each dialect says of it what it says, in its own words.

use std::{ffi::OsStr, time::Duration};

use fermata_stop_plan::{Scope, Seconds, Signal, StopPlan};
use nix::{errno::Errno, unistd::Pid};

use super::{reap::End, report::Report};
use crate::message::Stream;

/// One line that a dialect says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where.
    pub(crate) stream: Stream,
    /// What, without a newline.
    pub(crate) text: Vec<u8>,
}

impl Line {
    /// A line on standard error.
    pub(crate) fn error(text: impl Into<Vec<u8>>) -> Self {
        Self { stream: Stream::Error, text: text.into() }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// The init is neither PID 1 nor a subreaper, so that orphans below go past it.
    CannotReap,
    /// The init could not become a subreaper.
    NoSubreaper(Errno),
    /// The init has become a subreaper.
    Subreaper,
    /// The init could not ask for a signal at its parent's end.
    NoParentDeath,
    /// The init has given up its terminal. If it led its session, it is about to get HUP and CONT for that.
    Detached {
        /// Whether it led its session.
        leader: bool,
    },
    /// The init had no terminal to give up.
    NotDetached(Errno),
    /// No process could be made for the program.
    NotForked(Errno),
    /// The process for the program exists.
    Spawned {
        /// The command's first word.
        program: &'a OsStr,
        /// The process.
        pid: Pid,
    },
    /// The program could not take the terminal.
    NotAttached(Errno),
    /// The program has its own session.
    SessionMade,
    /// The program could have no session or group of its own.
    NotIsolated(Errno),
    /// The init could not go to `/`.
    NotMoved(Errno),
    /// The program could not be executed; its process ends with 126 or 127.
    NotExecuted {
        /// The command's first word.
        program: &'a OsStr,
        /// Its process.
        pid: Pid,
        /// Why not.
        errno: Errno,
    },
    /// A signal has come.
    Received(Signal),
    /// The signal came because the terminal was given up, and is nobody else's.
    HandOffIgnored(Signal),
    /// The dialect does not pass this signal on.
    NotForwarded(Signal),
    /// The signal map changes a signal.
    Rewritten(Signal, Option<Signal>),
    /// The signal map drops a signal.
    Dropped(Signal),
    /// A signal was sent on.
    Forwarded {
        /// What was sent, after the map.
        signal: Signal,
        /// To whom.
        scope: Scope,
    },
    /// A signal could not be sent on.
    NotSent {
        /// What was to be sent.
        signal: Signal,
        /// Why not.
        errno: Errno,
    },
    /// The init is about to stop itself.
    Suspending,
    /// A child was reaped.
    Reaped {
        /// Which.
        pid: Pid,
        /// How it had ended.
        end: End,
        /// Whether it was the program.
        program: bool,
    },
    /// The program has ended and been reaped, its group has had its signal, and the init is about to exit.
    Goodbye {
        /// What the init exits with.
        code: u8,
    },
    /// The plan leaves no time for what it asks: the drain is as long as the whole stop may take.
    BudgetTooShort {
        /// The plan.
        plan: &'a StopPlan,
        /// How long the whole stop may take.
        budget: Seconds,
    },
    /// A trigger has begun the stop.
    StopBegan {
        /// Which.
        trigger: Signal,
        /// What is going to happen.
        plan: &'a StopPlan,
    },
    /// A trigger has come while the stop goes on, and changes nothing.
    AlreadyStopping(Signal),
    /// A command has ended, or was ended, or could not be run.
    CommandOver {
        /// Which.
        which: Which,
        /// How long it took.
        took: Duration,
        /// What came of it.
        outcome: Outcome,
    },
    /// The drain has begun.
    DrainBegan(&'a StopPlan),
    /// The drain is over.
    DrainOver {
        /// How long it took.
        took: Duration,
        /// Why it ended, where that is not its length.
        reason: &'a str,
    },
    /// The stop command runs.
    StopCommandBegan(&'a StopPlan),
    /// The stop signal is being delivered; nothing if the map drops it.
    Delivering {
        /// What is delivered.
        signal: Option<Signal>,
        /// To whom.
        scope: Scope,
    },
    /// The stop command has done its work, and the program is waited for.
    Settling,
    /// The time is over, and the program is killed.
    Killing,
    /// The program has ended, and processes that are left have been told to.
    Stragglers {
        /// How many.
        count: usize,
    },
    /// The stop is over.
    StopOver(&'a Report),
}

/// One of the two commands of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The status command.
    Status,
    /// The stop command.
    Stop,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ended by itself.
    Ended(End),
    /// It took too long and was killed.
    TimedOut,
    /// It could not be executed.
    NotExecuted(Errno),
    /// There was no process or no time for it.
    NotStarted(Errno),
    /// There was no time for it.
    NoTime,
}

impl Outcome {
    /// Whether the command has done its work.
    pub(super) fn is_success(self) -> bool {
        self == Self::Ended(End::Exited(0))
    }
}
