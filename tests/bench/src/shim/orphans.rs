//! Processes that are left to an init, in silence and in a storm of signals.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;

use super::{child, contender::Contender};

/// The signals of a storm: none of them is about the init itself.
const STORM: [Signal; 5] =
    [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGURG, Signal::SIGALRM];

/// What came of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Orphans {
    count: usize,
    /// Those that nobody has reaped, zombies included.
    left: u32,
    /// Whether the init has told how its program had ended.
    exit_code_kept: bool,
    /// How long the signals took to send, if there were any.
    sending_s: f64,
    /// Until the last one was reaped.
    reaped_s: f64,
}

impl Orphans {
    /// How many were left, and the program itself if its end was lost.
    pub(super) fn left(&self) -> f64 {
        f64::from(self.left) + if self.exit_code_kept { 0.0 } else { 1.0 }
    }

    /// How long the signals took to send.
    pub(super) fn sending_s(&self) -> f64 {
        self.sending_s
    }

    /// For the report.
    pub(super) fn in_words(&self) -> String {
        let code = if self.exit_code_kept { "" } else { ", and the exit code" };
        format!("{} of {}{code}", self.left, self.count)
    }
}

/// Leaves processes to an init.
///
/// # Errors
///
/// When it does not start, or does not end.
pub(super) fn reap(init: &Contender, count: usize) -> anyhow::Result<Orphans> {
    storm(init, 0, count)
}

/// Leaves processes to an init that gets so many signals within a second.
///
/// # Errors
///
/// When it does not start, or does not end.
pub(super) fn storm(init: &Contender, signals: usize, count: usize) -> anyhow::Result<Orphans> {
    let number = count.to_string();
    let mut command = init.as_pid_1(&env::current_exe()?, &[child::ORPHANS, &[number.as_str()]].concat());
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("unshare")?;
    let mut lines = BufReader::new(running.stdout.take().context("there is a pipe")?).lines();
    let mut line = || lines.next().context("the program below the init has ended")?.context("a line");
    ensure!(line()? == "ready", "the program below says something else");
    let started = Instant::now();
    if signals > 0 {
        send(pid_1_below(&running)?, signals)?;
    }
    let sending_s = if signals > 0 { started.elapsed().as_secs_f64() } else { 0.0 };
    // It counts when there is no more input.
    drop(running.stdin.take());
    let left = line()?.parse()?;
    let status = running.wait()?;
    Ok(Orphans {
        count,
        left,
        exit_code_kept: status.code() == Some(child::EXIT_CODE.into()),
        sending_s,
        reaped_s: started.elapsed().as_secs_f64(),
    })
}

/// Sends signals spread over a second.
fn send(init: Pid, signals: usize) -> anyhow::Result<()> {
    const BATCHES: usize = 1_000;
    let started = Instant::now();
    for batch in 0..BATCHES {
        for signal in 0..signals / BATCHES {
            kill(init, STORM[signal % STORM.len()]).context("the init has ended in the storm")?;
        }
        let due = Duration::from_secs(1) * u32::try_from(batch + 1)? / u32::try_from(BATCHES)?;
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    Ok(())
}

/// The init, as it is numbered here: the one child of `unshare`.
fn pid_1_below(unshare: &Child) -> anyhow::Result<Pid> {
    let id = unshare.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    match children.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [init] => Ok(Pid::from_raw(init.parse()?)),
        _ => bail!("unshare has the children {children:?}, not one"),
    }
}
