//! All in which one dialect's init differs from another's.

use fermata_stop_plan::SignalSet;
use nix::sys::signal::Signal as ParentDeath;

use super::event::{Event, Line};

/// How the init behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Where the program lives.
    pub(crate) session: Session,
    /// Which signal actions and which mask the program begins with.
    pub(crate) dispositions: Dispositions,
    /// Whether the init itself goes to `/`. The program stays where it was started.
    pub(crate) leaves_directory: bool,
    /// What the program's process group gets when the program has ended.
    pub(crate) clean_up: CleanUp,
    /// When the init stops itself.
    pub(crate) suspends: Suspends,
    /// Whether orphans below come to the init when it is not PID 1.
    pub(crate) subreaper: Subreaper,
    /// The signal that the init gets when its own parent ends.
    pub(crate) parent_death: Option<ParentDeath>,
    /// Signals that are not passed on.
    pub(crate) not_forwarded: SignalSet,
    /// Whether the exit codes are mapped for every end, and not only for one that a trigger began.
    pub(crate) maps_every_end: bool,
    /// Whether a `LISTEN_PID` that names the init is made to name the program, which is meant.
    pub(crate) renames_listener: bool,
    /// What the init says of what happens.
    pub(crate) voice: fn(&Event<'_>) -> Vec<Line>,
}

/// Where the program lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// In a session of its own. The init gives up its terminal, and the program takes it.
    New,
    /// In a session of its own where there is no terminal to share, and as `Group` where there is one. It is the leader
    /// of a group either way. The kernel schedules two sessions apart, and then wakes the program in half the time when
    /// a signal is passed on (`sched_autogroup`).
    Apart,
    /// In a process group of its own, which becomes the terminal's foreground if the init's was.
    Group,
    /// Where the init is.
    Shared,
}

/// Which signal actions and which mask the program begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dispositions {
    /// Those that the init was started with, except that stop signals are neither blocked nor ignored.
    KeepButStop,
    /// Those that the init was started with.
    Keep,
    /// The default ones, with no signal blocked.
    Default,
}

/// What the program's process group gets when the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CleanUp {
    /// TERM.
    Term,
    /// TERM as the signal map has it, to whom signals are passed on.
    Rewritten,
    /// Nothing.
    Nothing,
}

/// When the init stops itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspends {
    /// When the program has stopped in front of a terminal, so that the shell above sees it.
    WithProgram,
    /// When TSTP, TTIN or TTOU comes.
    OnSignal,
    /// Never.
    Never,
}

/// Whether orphans below come to the init when it is not PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subreaper {
    /// They do, where the kernel can; whether it can is not said.
    Automatic,
    /// They do, and it is an error if they cannot.
    Required,
    /// They do not.
    No,
}
