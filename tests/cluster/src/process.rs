//! Child processes that cannot outlive the harness, not even after `kill -9`.
//!
//! A drop guard does not run when the harness is killed, and the kernel's parent-death signal belongs to a thread
//! rather than to a process and needs unsafe code. A pipe needs neither: each program runs under a small shell that
//! holds the read end, and the kernel closes the write end when the harness is gone. The same pipe carries the
//! signals to send, so nothing here ever sends a signal to a process id that could have been given to somebody else.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use tokio::{sync::watch, time::timeout};

use crate::scratch::Scratch;

const SUPERVISE: &str = include_str!("supervise.sh");

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 20;

/// What the supervisor itself needs after its program is gone.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Names the process in errors, and its log file.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables in addition to the harness's own.
    pub env: Vec<(String, String)>,
    /// How long it has to end after TERM, before KILL.
    pub grace: Duration,
}

/// A signal that can be passed on to a running program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in good order.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// SIGINT. Programs are started with it ignored, as is usual for background processes of a shell; one that
    /// installs a handler gets it all the same.
    Interrupt,
    /// SIGKILL: end now.
    Kill,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Hangup => "HUP",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A running program under supervision. Dropping it ends the program.
#[derive(Debug)]
pub struct Process {
    name: String,
    id: u32,
    log: PathBuf,
    grace: Duration,
    /// `None` once the program was told to end.
    orders: Mutex<Option<ChildStdin>>,
    exit_code: watch::Receiver<Option<i32>>,
}

impl Process {
    /// Starts a program with its output going to a log file in the scratch directory.
    ///
    /// # Errors
    ///
    /// When the supervisor cannot be started. A program that cannot be executed ends with exit code 126 or 127.
    pub fn start(scratch: &Scratch, program: Program) -> anyhow::Result<Self> {
        let Program { name, path, args, env, grace } = program;
        let log = scratch.new_log(&name)?;
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISE, "supervise"])
            .arg(&log)
            .arg((grace.as_millis() / 100).to_string())
            .arg(&path)
            .args(args)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(scratch.hold()?)
            // Ctrl-C is for the harness, which then ends its processes in the right order.
            .process_group(0)
            .spawn()
            .context("failed to start /bin/sh")?;
        let orders = supervisor.stdin.take();
        let report = supervisor.stdout.take().context("expected a pipe from the supervisor")?;
        let mut line = String::new();
        BufReader::new(report).read_line(&mut line)?;
        let id = line.trim().parse().with_context(|| format!("failed to start {name}: {}", tail(&log)))?;

        let (exited, exit_code) = watch::channel(None);
        thread::spawn(move || {
            let code = supervisor.wait().map_or(-1, code_of);
            exited.send(Some(code)).ok();
        });
        Ok(Self { name, id, log, grace, orders: Mutex::new(orders), exit_code })
    }

    /// The name it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program's own process id, for looking at it. To signal it, use [`Process::signal`].
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The file that takes its standard output and standard error.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All that it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// The last lines of its log, for an error message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    ///
    /// When it is already gone or was told to end.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        // The pipe alone would not tell: its reader may be gone a moment later than the program.
        let sent = self.exit_code().is_none()
            && orders.as_mut().is_some_and(|orders| writeln!(orders, "{}", signal.name()).is_ok());
        if !sent {
            bail!("failed to send {} to {}, which has ended", signal.name(), self.name);
        }
        Ok(())
    }

    /// Its exit code if it has ended, as a shell counts: 128 and the signal's number for death by a signal.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        *self.exit_code.borrow()
    }

    /// Waits until it has ended by itself or by a signal, and gives its exit code.
    pub async fn exited(&self) -> i32 {
        let mut exit_code = self.exit_code.clone();
        exit_code.wait_for(Option::is_some).await.ok().and_then(|code| *code).unwrap_or(-1)
    }

    /// Ends it (TERM, then KILL when its grace has passed) and gives its exit code.
    ///
    /// # Errors
    ///
    /// When it is still there after all that.
    pub async fn stop(&self) -> anyhow::Result<i32> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        timeout(self.grace + SUPERVISOR_MARGIN, self.exited())
            .await
            .with_context(|| format!("{} (process {}) did not end, not even by KILL", self.name, self.id))
    }

    /// Does something that makes sense only while the program runs.
    ///
    /// # Errors
    ///
    /// When it ends meanwhile, or had ended before; with the end of its log.
    pub async fn while_running<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            code = self.exited() => Err(self.ended_early(code)),
            done = work => Ok(done),
        }
    }

    /// Fails, with the end of the log, when it has ended although it should be running.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn check_running(&self) -> anyhow::Result<()> {
        match self.exit_code() {
            None => Ok(()),
            Some(code) => Err(self.ended_early(code)),
        }
    }

    fn ended_early(&self, code: i32) -> anyhow::Error {
        anyhow!("{} ended early with exit code {code}; {}", self.name, self.log_tail())
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(-1)
}

fn read(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(log: &Path) -> String {
    let text = read(log);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    format!("last lines of {}:\n{}", log.display(), shown.join("\n"))
}
