//! The directory in which everything of one run lives, and which is gone when the run is.
//!
//! A drop guard would not run after `kill -9`, and would remove files under processes that are still ending. So a
//! small shell waits at the end of a pipe whose write end is held by the harness and by each process that uses the
//! directory. When the last of them is gone, however it went, the pipe closes and the shell removes the directory.

use std::{
    fs,
    os::{
        fd::AsFd as _,
        unix::{
            fs::{DirBuilderExt as _, PermissionsExt as _},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{sync::watch, time::timeout};

/// How long the removal may take once all users of the directory are gone.
const REMOVAL_BOUND: Duration = Duration::from_secs(20);

/// Removes the directory when the pipe closes, and before it the cgroups that its file `cgroups` lists, a folder a
/// line: the kernel keeps a cgroup until somebody removes it.
const REMOVE: &str = include_str!("scratch.sh");

/// A directory that is removed once this value and all processes that use it are gone.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    hold: ChildStdin,
    removed: watch::Receiver<bool>,
}

impl Scratch {
    /// Makes a new directory under the system's directory for temporary files.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or there is no `/bin/sh`.
    pub fn create() -> anyhow::Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("fermata-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("failed to make a scratch directory; is TMPDIR writable?")?
            .keep();
        Self::watch_over(path)
    }

    /// Uses the given directory, which has to be absent or empty since it is removed in the end.
    ///
    /// # Errors
    ///
    /// When the directory holds something, cannot be made, or there is no `/bin/sh`.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("failed to make the scratch directory {}", path.display()))?;
        let mut entries = fs::read_dir(&path)
            .with_context(|| format!("failed to read the scratch directory {}", path.display()))?;
        ensure!(
            entries.next().is_none(),
            "the scratch directory {} is not empty, and would be removed in the end; name an empty or absent one",
            path.display()
        );
        Self::watch_over(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives up the directory and waits until its last user is gone and it has been removed.
    ///
    /// # Errors
    ///
    /// When that does not happen in time: a process that uses the directory, or is in one of the cgroups, is still there.
    pub async fn remove(self) -> anyhow::Result<()> {
        let Self { path, hold, mut removed } = self;
        drop(hold);
        timeout(REMOVAL_BOUND, removed.wait_for(|removed| *removed)).await.ok();
        let cgroups = fs::read_to_string(path.join("cgroups")).unwrap_or_default();
        let left: Vec<&str> = cgroups.lines().filter(|folder| Path::new(folder).exists()).collect();
        ensure!(left.is_empty(), "these cgroups could not be removed: {}", left.join(", "));
        ensure!(!path.exists(), "{} could not be removed: a process still uses it", path.display());
        Ok(())
    }

    /// A handle that keeps the directory for as long as a child process has it open.
    pub(crate) fn hold(&self) -> anyhow::Result<Stdio> {
        Ok(Stdio::from(self.hold.as_fd().try_clone_to_owned()?))
    }

    /// A path in the directory for a log of this name that no other log has.
    pub(crate) fn new_log(&self, name: &str) -> anyhow::Result<PathBuf> {
        let mut number = 1;
        loop {
            let file = if number == 1 { format!("{name}.log") } else { format!("{name}-{number}.log") };
            let path = self.path.join(file);
            match fs::File::create_new(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).context(format!("failed to create {}", path.display())),
            }
        }
    }

    fn watch_over(path: PathBuf) -> anyhow::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", REMOVE, "remove-scratch"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("failed to start /bin/sh")?;
        let hold = shell.stdin.take().context("expected a pipe to the remover")?;
        let (done, removed) = watch::channel(false);
        thread::spawn(move || {
            // Whatever the shell's status was, the directory tells what it did.
            shell.wait().ok();
            done.send(true).ok();
        });
        Ok(Self { path, hold, removed })
    }
}
