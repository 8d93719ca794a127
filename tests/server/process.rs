//! The program itself, as a process.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
};

use fermata::tls::files::PairFiles;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Trust, eventually};

thread_local! {
    /// The folders of this thread's test, removed when the thread ends.
    static FOLDERS: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

/// A new folder, for as long as the test runs.
pub(crate) fn scratch() -> PathBuf {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().to_owned();
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    path
}

/// `fermata serve`, on free ports, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) trust: Trust,
}

fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fermata"));
    command.args(["serve", "--log-format", "json"]);
    for option in ["--listen", "--admin-listen"] {
        if !options.contains(&option) {
            command.args([option, "127.0.0.1:0"]);
        }
    }
    for variable in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "POD_NAMESPACE", "FERMATA_LOG"] {
        command.env_remove(variable);
    }
    command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts it with a certificate of its own.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[])
    }

    /// The same, with variables in its environment.
    pub(crate) fn start_with(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let (process, lines) = Self::start_logging(options, environment);
        // The pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        process
    }

    /// The same, with what it logs from now on for the caller to read, or not.
    pub(crate) fn start_logging(
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> (Self, Lines<BufReader<ChildStderr>>) {
        let authority = scratch().join("ca.pem");
        let mut command = command(options);
        command.args(["--tls-self-signed", "--tls-ca-out"]).arg(&authority).envs(environment.iter().copied());
        Self::begin(command, || fs::read_to_string(authority).unwrap())
    }

    /// Starts it with a certificate from files, which that authority has signed.
    pub(crate) fn start_with_files(
        files: &PairFiles,
        authority: &str,
    ) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut command = command(&[]);
        command.arg("--tls-cert").arg(&files.certificate).arg("--tls-key").arg(&files.key);
        Self::begin(command, || authority.to_owned())
    }

    fn begin(
        mut command: Command,
        authority: impl FnOnce() -> String,
    ) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "serving")
            .expect("it has ended before it served");
        let address = |name: &str| serving[name].as_str().unwrap().parse().unwrap();
        let trust = Trust::in_authorities([authority().as_str()]);
        (Self { child, address: address("reviews"), admin: address("admin"), trust }, lines)
    }

    /// Starts it where it cannot start, and gives back what it says.
    pub(crate) fn fails(options: &[&str]) -> String {
        let output = command(options).output().unwrap();
        // 4 for the operator's file, 5 for the rest.
        assert!(matches!(output.status.code(), Some(4 | 5)), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address, &self.trust).unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
