//! A hook that runs.

use std::{
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// After which a test gives up.
const DEADLINE: Duration = Duration::from_mins(5);

/// A hook that runs. It is killed if the test does not wait for its end.
pub(crate) struct Hook {
    child: Child,
    started: Instant,
}

/// What became of a hook.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) error: String,
    pub(crate) taken: Duration,
}

impl Hook {
    /// Starts `fermata-shim drain` with these words, which have blanks between them.
    pub(crate) fn start(words: &str) -> Self {
        Self::start_command(shim().args(words.split_ascii_whitespace()))
    }

    /// Starts a command that is or becomes a hook.
    pub(crate) fn start_command(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        Self { child: command.spawn().unwrap(), started }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn running_for(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the end.
    pub(crate) fn outcome(mut self) -> Outcome {
        while self.is_running() {
            assert!(self.started.elapsed() < DEADLINE, "the hook does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let taken = self.started.elapsed();
        let (mut output, mut error) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        Outcome { status: self.child.wait().unwrap(), output, error, taken }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Asserts a drain without complaint of at least so many milliseconds, and returns why it has ended: that tells
    /// more about its end than a clock does on a machine with other things to do.
    pub(crate) fn ended_after(&self, least: u64) -> &str {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        assert_eq!(self.status.signal(), None);
        assert!(self.taken >= Duration::from_millis(least), "{least} ms: {self:?}");
        let line =
            self.error.strip_prefix("fermata-shim: drained for ").unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!(line.matches('\n').count(), 1, "one line: {self:?}");
        line.trim_end().split_once(": ").unwrap().1
    }
}

/// The program, as the kubelet's runtime would start it for a preStop hook.
pub(crate) fn shim() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fermata-shim"));
    command.arg("drain");
    command
}
