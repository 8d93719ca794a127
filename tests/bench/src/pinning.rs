//! Which processor core does what.
//!
//! A server that is measured on one core must have that core to itself, and the generator another. `taskset` does
//! that without unsafe code; where there is none (it is a Linux program) the run goes on, and the report says so.

use std::{
    fs,
    path::PathBuf,
    process::{self, Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// Where servers and generator run.
#[derive(Clone, Debug)]
pub(crate) enum Pinning {
    /// Each on a core of its own.
    Cores {
        /// The servers' core.
        server: usize,
        /// The generator's core.
        generator: usize,
        /// All cores that this process may use, as `taskset` writes them.
        all: String,
    },
    /// Wherever the kernel puts them.
    Free {
        /// Why.
        why: &'static str,
    },
}

/// The generator on its own core; dropping this lets it use all cores again.
#[derive(Debug)]
pub(crate) struct PinnedGenerator<'a>(&'a Pinning);

impl Pinning {
    /// Finds out what is possible here.
    #[must_use]
    pub(crate) fn find() -> Self {
        let taskset =
            Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !taskset.is_ok_and(|status| status.success()) {
            return Self::Free { why: "there is no taskset" };
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let all = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        match cores(all)[..] {
            [server, generator, ..] => Self::Cores { server, generator, all: all.trim().to_owned() },
            _ => Self::Free { why: "there is only one core" },
        }
    }

    /// The command line that runs a server on the servers' core.
    #[must_use]
    pub(crate) fn server_command(&self, program: PathBuf, args: Vec<String>) -> (PathBuf, Vec<String>) {
        let Self::Cores { server, .. } = self else {
            return (program, args);
        };
        // It replaces itself with the program, so the process id stays the same.
        let mut pinned = vec!["--cpu-list".to_owned(), server.to_string(), program.display().to_string()];
        pinned.extend(args);
        (PathBuf::from("taskset"), pinned)
    }

    /// Moves this process to the generator's core.
    ///
    /// # Errors
    ///
    /// When `taskset` fails.
    pub(crate) fn pin_generator(&self) -> anyhow::Result<PinnedGenerator<'_>> {
        if let Self::Cores { generator, .. } = self {
            move_this_process(&generator.to_string())?;
        }
        Ok(PinnedGenerator(self))
    }

    /// For the report.
    #[must_use]
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Cores { .. } => {
                "The server is pinned to one core by `taskset`, the generator to another.".to_owned()
            }
            Self::Free { why } => format!("Neither the server nor the generator is pinned to a core: {why}."),
        }
    }
}

impl Drop for PinnedGenerator<'_> {
    fn drop(&mut self) {
        if let Pinning::Cores { all, .. } = self.0
            && let Err(error) = move_this_process(all)
        {
            eprintln!("the generator stays on its core: {error:#}");
        }
    }
}

fn move_this_process(cores: &str) -> anyhow::Result<()> {
    let output = Command::new("taskset")
        .args(["--all-tasks", "--pid", "--cpu-list", cores, &process::id().to_string()])
        .output()
        .context("failed to run taskset")?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The numbers in a list such as `0-3,8`.
fn cores(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(from.parse::<usize>().ok()?..=to.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_is_read() {
        assert_eq!(cores("\t0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(cores("5"), [5]);
        assert_eq!(cores(""), [0_usize; 0]);
    }
}
