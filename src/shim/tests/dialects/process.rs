//! An init as a process under test. Nothing that it started outlives the value.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
};

use nix::libc;

use super::printer;
use crate::proc::{PATIENCE, descendants, status};
pub(crate) use crate::proc::{children, send, wait_for};

/// The shim under another name, as a container's image would have it.
pub(crate) fn shim(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dialects");
        fs::create_dir_all(&folder).unwrap();
        for name in ["dumb-init", "tini"] {
            // Another run of the tests may be doing the same.
            let made = folder.join(format!("{name}.{}", std::process::id()));
            symlink(env!("CARGO_BIN_EXE_fermata-shim"), &made).unwrap();
            fs::rename(made, folder.join(name)).unwrap();
        }
        folder
    });
    folder.join(name)
}

/// A command for an init, called by its bare name and with none of its variables set.
pub(crate) fn init(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(shim(name));
    command.arg0(name).args(words).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The variables that the inits read.
pub(crate) const VARIABLES: [&str; 6] = [
    "DUMB_INIT_DEBUG",
    "DUMB_INIT_SETSID",
    "TINI_SUBREAPER",
    "TINI_KILL_PROCESS_GROUP",
    "TINI_VERBOSITY",
    "POSIXLY_CORRECT",
];

/// The same init as the first process of a PID namespace of its own.
pub(crate) fn as_pid_1(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(shim(name)).args(words).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end: its exit code, output and error.
pub(crate) fn call(command: &mut Command) -> (i32, String, String) {
    let (code, output, error) = call_for_bytes(command);
    (code, String::from_utf8(output).unwrap(), String::from_utf8(error).unwrap())
}

/// The same, for output that may be anything.
pub(crate) fn call_for_bytes(command: &mut Command) -> (i32, Vec<u8>, Vec<u8>) {
    let mut child = Tree(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let read = |mut stream: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let output = read(Box::new(child.0.stdout.take().unwrap()));
    let error = read(Box::new(child.0.stderr.take().unwrap()));
    let status = wait_for(&format!("the end of {command:?}"), || child.0.try_wait().unwrap());
    let code = status.code().unwrap_or_else(|| panic!("{command:?}: {status}"));
    (code, output.join().unwrap(), error.join().unwrap())
}

/// A process that does not outlive the value, and neither does what it started.
struct Tree(Child);

impl Tree {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.0.try_wait().ok().flatten().is_none() {
            // Stopped ones end by KILL too.
            for pid in descendants(self.pid()) {
                send(pid, libc::SIGKILL);
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A process that runs, with its output as lines.
pub(crate) struct Running {
    tree: Tree,
    lines: Receiver<String>,
    error: thread::JoinHandle<String>,
}

impl Running {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_on(command, Stdio::piped(), Stdio::piped())
    }

    /// Starts a command that writes elsewhere.
    pub(crate) fn start_on(command: &mut Command, output: Stdio, error: Stdio) -> Self {
        let mut tree = Tree(command.stdout(output).stderr(error).spawn().unwrap());
        let (sender, lines) = channel();
        if let Some(output) = tree.0.stdout.take().map(BufReader::new) {
            thread::spawn(move || {
                output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        let stream = tree.0.stderr.take();
        let error = thread::spawn(move || {
            let mut text = String::new();
            let _ = stream.map(|mut stream| stream.read_to_string(&mut text));
            text
        });
        Self { tree, lines, error }
    }

    /// Starts an init with the program that prints signals below it, and waits until that is ready.
    pub(crate) fn printer(command: &mut Command) -> Self {
        printer::ask(command.args(printer::words()));
        let running = Self::start(command);
        running.until(printer::READY);
        running
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.tree.pid()
    }

    /// The pid of its only child.
    pub(crate) fn program(&self) -> i32 {
        wait_for("a child", || children(self.pid()).first().copied())
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for a line"),
            Err(RecvTimeoutError::Disconnected) => panic!("the output has ended"),
        }
    }

    /// Waits for a line of its output, and returns what came with it.
    pub(crate) fn until(&self, expected: &str) {
        while !self.line().contains(expected) {}
    }

    /// Takes a line if there is one, and says whether there is none because all writers are gone.
    pub(crate) fn has_ended_output(&self) -> bool {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(_) => false,
            Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => panic!("the output does not end"),
        }
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn ends(&mut self) -> i32 {
        wait_for("the end", || self.tree.0.try_wait().unwrap()).code().unwrap()
    }

    /// Ends all below it, waits for its own end, and returns what it said on standard error.
    pub(crate) fn error(mut self) -> String {
        for pid in descendants(self.pid()) {
            send(pid, libc::SIGKILL);
        }
        self.ends();
        self.error.join().unwrap()
    }
}

/// Waits until a process is in a state, as `/proc` writes it: `T` for stopped.
pub(crate) fn wait_for_state(pid: i32, state: &str) {
    wait_for(&format!("{pid} to be {state}"), || {
        status(pid, "State").is_some_and(|seen| seen.starts_with(state)).then_some(())
    });
}

/// Waits until a process is neither stopped nor gone.
pub(crate) fn wait_until_it_goes_on(pid: i32) {
    wait_for(&format!("{pid} to go on"), || {
        status(pid, "State").is_some_and(|seen| seen.starts_with(['R', 'S'])).then_some(())
    });
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The process group and the session of a process.
pub(crate) fn group_and_session(pid: i32) -> (i32, i32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<i32> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .skip(2)
        .take(2)
        .map(|n| n.parse().unwrap())
        .collect();
    (fields[0], fields[1])
}

/// Runs a closure in the child, between the fork and the execution.
pub(crate) fn before_exec(command: &mut Command, act: impl Fn() + Send + Sync + 'static) {
    #[expect(unsafe_code, reason = "only a few calls are safe there")]
    // SAFETY: all that the tests do there is to call the system.
    unsafe {
        command.pre_exec(move || {
            act();
            Ok(())
        });
    }
}
