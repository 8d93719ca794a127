//! A server under the shim. Nothing of it outlives the value.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fermata_stop_plan::Signal;
use nix::{sys::signal, unistd::Pid};

use crate::site::{PATIENCE, Site};

/// A server under the shim.
pub(crate) struct Running<'a> {
    site: &'a Site,
    shim: Child,
}

impl<'a> Running<'a> {
    /// Starts `fermata-shim run FLAGS -- COMMAND`, and waits until the server is ready.
    pub(crate) fn start(
        site: &'a Site,
        flags: &[&str],
        command: &[String],
        ready: impl Fn(&Site) -> bool,
    ) -> Self {
        // Some servers open standard error again, and write at a place of their own.
        let log = File::options().create(true).append(true).open(site.path("log")).unwrap();
        let shim = Command::new(env!("CARGO_BIN_EXE_fermata-shim"))
            .arg("run")
            .args(flags)
            .arg("--")
            .args(command)
            .current_dir(site.path("."))
            // Not all clean up behind them.
            .env("TMPDIR", site.path("."))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { site, shim };
        let deadline = Instant::now() + PATIENCE;
        while !ready(site) {
            let ended = running.shim.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended at its start: {ended:?}\n{}", site.log());
            assert!(Instant::now() < deadline, "{command:?} does not get ready\n{}", site.log());
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// Sends the shim a signal, as the runtime does.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.shim.id().try_into().unwrap());
        let signal = signal::Signal::try_from(i32::from(signal.number())).unwrap();
        signal::kill(pid, signal).unwrap();
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.shim.try_wait().unwrap().is_none()
    }

    /// Waits for the end, and returns the exit code and the shim's last line.
    pub(crate) fn ends(&mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.shim.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the shim does not end\n{}", self.site.log());
            thread::sleep(Duration::from_millis(10));
        };
        let log = self.site.log();
        let last = log.lines().rfind(|line| line.starts_with("fermata-shim: "));
        (status.code().unwrap(), last.unwrap_or_default().to_owned())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.shim.kill();
        let _ = self.shim.wait();
        // What is killed may have been making another process at that moment.
        for _ in 0..100 {
            let left = self.site.processes();
            if left.is_empty() {
                return;
            }
            for (pid, _) in left {
                let _ = signal::kill(Pid::from_raw(pid), signal::Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
