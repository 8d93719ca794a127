//! What becomes of a signal that comes while an init starts.

use std::{
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;

use super::contender::Contender;

/// After the start, it comes within this time.
const WITHIN: Duration = Duration::from_millis(5);

/// If the program still runs so long after the signal, that was lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// The outcome.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct EarlySignals {
    sent: usize,
    lost: u32,
}

impl EarlySignals {
    /// How many were lost.
    pub(super) fn lost(&self) -> f64 {
        self.lost.into()
    }

    /// For the report.
    pub(super) fn in_words(&self) -> String {
        format!("{} of {}", self.lost, self.sent)
    }
}

/// Starts an init over a program that does nothing, and sends TERM at a time after the start that is spread evenly.
///
/// # Errors
///
/// When an init does not start.
pub(super) fn early_signals(init: &Contender, times: usize) -> anyhow::Result<EarlySignals> {
    let mut lost = 0;
    for time in 0..times {
        let delay = WITHIN * u32::try_from(time)? / u32::try_from(times)?;
        // What is lost ends with its input.
        let mut running =
            init.over(Path::new("cat"), &[]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let started = Instant::now();
        // To sleep would be too coarse.
        while started.elapsed() < delay {}
        kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGTERM)?;
        if !ends(&mut running)? {
            lost += 1;
            running.kill()?;
        }
        drop(running.stdin.take());
        running.wait()?;
    }
    Ok(EarlySignals { sent: times, lost })
}

fn ends(running: &mut Child) -> anyhow::Result<bool> {
    let signalled = Instant::now();
    while signalled.elapsed() < PATIENCE {
        if running.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(running.try_wait()?.is_some())
}
