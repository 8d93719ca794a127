//! The programs that run below an init: this executable itself, with a word that no person uses.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{SigSet, Signal},
    time::{ClockId, clock_gettime},
};

/// The word.
const BELOW: &str = "below-an-init";
/// Tells the time at which it gets USR1, until something ends it.
pub(super) const CLOCK: [&str; 2] = [BELOW, "clock"];
/// Leaves processes to the init, says how many of them there still are, and ends with [`EXIT_CODE`].
pub(super) const ORPHANS: &[&str] = &[BELOW, "orphans"];
/// Starts processes and does not wait for them.
const PARENT: [&str; 2] = [BELOW, "parent"];

/// What no init would make up.
pub(super) const EXIT_CODE: u8 = 42;

/// How many processes one parent leaves behind.
const BROOD: usize = 50;

/// How long the init has to reap the last ones.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does what the command line says, if that is for a program below an init.
#[must_use]
pub(crate) fn play() -> Option<anyhow::Result<ExitCode>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [BELOW, "clock"] => Some(clock()),
        [BELOW, "orphans", count] => Some(orphans(count)),
        [BELOW, "parent", count] => Some(parent(count)),
        _ => None,
    }
}

/// The monotonic clock, which is one for all processes.
///
/// # Errors
///
/// When there is none.
pub(super) fn now() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

fn clock() -> anyhow::Result<ExitCode> {
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGUSR1);
    awaited.thread_block()?;
    let mut output = io::stdout().lock();
    loop {
        let now = u64::try_from(now()?.as_nanos())?;
        output.write_all(&now.to_le_bytes())?;
        output.flush()?;
        awaited.wait()?;
    }
}

fn orphans(count: &str) -> anyhow::Result<ExitCode> {
    // Whatever the init passes on, this is not about it.
    SigSet::all().thread_block()?;
    let count: usize = count.parse()?;
    println!("ready");
    let mut left = count;
    while left > 0 {
        let brood = left.min(BROOD);
        let status = Command::new(env::current_exe()?).args(PARENT).arg(brood.to_string()).status()?;
        if !status.success() {
            bail!("a parent ended with {status}");
        }
        left -= brood;
    }
    // It is only counted when the storm is over.
    io::stdin().read_to_end(&mut Vec::new())?;
    let begun = Instant::now();
    let left = loop {
        let left = others()?;
        if left == 0 || begun.elapsed() > PATIENCE {
            break left;
        }
        thread::sleep(Duration::from_millis(10));
    };
    println!("{left}");
    Ok(ExitCode::from(EXIT_CODE))
}

/// The processes of this namespace but for the init and this one.
fn others() -> anyhow::Result<usize> {
    let numbers = fs::read_dir("/proc").context("failed to read /proc")?.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
    });
    Ok(numbers.count().saturating_sub(2))
}

/// Leaves its children to the init by not waiting for them.
fn parent(count: &str) -> anyhow::Result<ExitCode> {
    for _ in 0..count.parse()? {
        Command::new("/bin/true").stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    }
    Ok(ExitCode::SUCCESS)
}
