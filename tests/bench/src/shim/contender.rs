//! An init that is measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

/// An init, and the words before the program that it is to run.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    name: &'static str,
    program: PathBuf,
    words: &'static [&'static str],
}

impl Contender {
    /// The shim.
    pub(super) fn shim(program: &Path) -> Self {
        Self { name: "fermata-shim", program: program.to_owned(), words: &["run", "--"] }
    }

    /// One that is installed.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub(super) fn installed(name: &'static str, words: &'static [&'static str]) -> anyhow::Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let program = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        let program = program.with_context(|| {
            format!("{name} is not installed, and the shim is measured against it (Debian: apt install dumb-init tini)")
        })?;
        Ok(Self { name, program, words })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Its file.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The init over a program, as a child of this process. What it says of its end is not wanted.
    pub(super) fn over(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.words).arg(program).args(args).stderr(Stdio::null());
        command
    }

    /// The init over a program, as PID 1 of a namespace: the child of what is started here.
    pub(super) fn as_pid_1(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
        command.arg(&self.program).args(self.words).arg(program).args(args);
        command
    }
}
