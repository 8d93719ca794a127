//! The init: runs a program, passes signals on to it, reaps, and ends it by its stop plan.

mod directory;
mod engine;
mod event;
mod exec;
mod inherited;
mod manners;
mod reap;
mod report;
mod signals;
mod spawn;
mod stop;
mod stragglers;
mod terminal;

use std::ffi::OsString;

use fermata_stop_plan::StopPlan;

pub(crate) use self::{
    event::{Event, Line, Outcome, Which},
    exec::{Exec, exit_code, reason},
    inherited::Inherited,
    manners::{CleanUp, Dispositions, Manners, Session, Subreaper, Suspends},
    reap::End,
    report::Report,
};

/// What to run, how to end it, and how to behave.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The program and its arguments; never empty.
    pub(crate) command: Vec<OsString>,
    /// What to do with signals. Without a trigger there is no stop: every signal is only passed on.
    pub(crate) plan: StopPlan,
    /// How the dialect behaves.
    pub(crate) manners: Manners,
}

/// Runs the program, and returns the exit code when it has ended.
pub(crate) fn run(invocation: &Invocation, inherited: &Inherited) -> u8 {
    engine::run(invocation, inherited)
}
