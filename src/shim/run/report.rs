//! What a stop came to: all that the last line says.

use std::time::Duration;

use fermata_stop_plan::Signal;

use super::{event::Outcome, reap::End};

/// What a stop came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The signal that began it.
    pub(crate) trigger: Signal,
    /// How long it took in all.
    pub(crate) took: Duration,
    /// How long the status command took, and what came of it.
    pub(crate) status_command: Option<(Duration, Outcome)>,
    /// How long the drain took, and why it ended, where that is not its length.
    pub(crate) drain: Option<(Duration, String)>,
    /// How long the stop command took, and what came of it.
    pub(crate) stop_command: Option<(Duration, Outcome)>,
    /// The signal that was delivered, and how long after it the program ended.
    pub(crate) delivered: Option<(Signal, Duration)>,
    /// Whether the time was over, so that the program was killed.
    pub(crate) killed: bool,
    /// How the program ended; nothing if it outlived even KILL.
    pub(crate) app: Option<End>,
    /// How many processes were waited for after the program's end, and how long.
    pub(crate) stragglers: Option<(usize, Duration)>,
    /// Whether the time was over for some of them, so that they were killed.
    pub(crate) stragglers_killed: bool,
    /// What the init exits with.
    pub(crate) code: u8,
}
