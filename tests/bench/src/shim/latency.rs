//! How long a signal takes through an init.

use std::{
    env,
    io::Read as _,
    process::{Child, ChildStdout, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{child, contender::Contender};
use crate::measured::{Latency, Measured};

/// How many signals an init gets before it is another's turn.
const TURN: usize = 100;

/// What lies between two signals, so that the program waits again.
const PAUSE: Duration = Duration::from_micros(200);

/// An init over a program that tells when it gets a signal.
struct Clock {
    init: Child,
    told: ChildStdout,
}

/// The latencies of each init.
///
/// # Errors
///
/// When an init does not start.
pub(super) fn latencies(contenders: &[Contender], signals: usize) -> anyhow::Result<Vec<Latency>> {
    let mut clocks = contenders.iter().map(Clock::start).collect::<anyhow::Result<Vec<_>>>()?;
    let mut measured = contenders.iter().map(|_| Measured::new()).collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..signals.div_ceil(TURN) {
        for (clock, measured) in clocks.iter_mut().zip(&mut measured) {
            for _ in 0..TURN.min(signals) {
                measured.record(clock.signal()?);
            }
        }
    }
    Ok(measured.iter().map(Measured::latency).collect())
}

impl Clock {
    fn start(init: &Contender) -> anyhow::Result<Self> {
        let mut command = init.over(&env::current_exe()?, &child::CLOCK);
        let mut init = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let told = init.stdout.take().context("there is a pipe")?;
        let mut clock = Self { init, told };
        // The first time is that at which it is ready.
        clock.time()?;
        Ok(clock)
    }

    /// Sends a signal, and says how long it was under way.
    fn signal(&mut self) -> anyhow::Result<Duration> {
        thread::sleep(PAUSE);
        let sent = child::now()?;
        kill(Pid::from_raw(self.init.id().cast_signed()), Signal::SIGUSR1)?;
        Ok(self.time()?.saturating_sub(sent))
    }

    fn time(&mut self) -> anyhow::Result<Duration> {
        let mut nanoseconds = [0; 8];
        self.told.read_exact(&mut nanoseconds).context("the program below the init has ended")?;
        Ok(Duration::from_nanos(u64::from_le_bytes(nanoseconds)))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // It passes the signal on to the program below, and ends with it.
        let _ = kill(Pid::from_raw(self.init.id().cast_signed()), Signal::SIGTERM);
        let _ = self.init.wait();
    }
}
