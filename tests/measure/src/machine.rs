//! What the figures were measured on and with; no names of hosts or paths.

use std::{fs, path::Path, process::Command, thread::available_parallelism};

use serde::{Deserialize, Serialize};

use crate::process_use::field;

/// The machine and the versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    date: String,
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    /// Over the last minute before the run: above nought, something else was running.
    load_average: String,
    rust: String,
    fermata: String,
    commit: String,
}

impl Machine {
    /// Looks around.
    #[must_use]
    pub fn look(fermata: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpus, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            cpu: cpu.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cores: available_parallelism().map_or(1, usize::from),
            memory_gib: field(&memory, "MemTotal:")
                .map_or(0.0, |kibibytes| f64::from(kibibytes) / 1024.0 / 1024.0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: load.split_ascii_whitespace().next().unwrap_or("unknown").to_owned(),
            rust: first_line(Command::new("rustc").arg("--version")),
            fermata: first_line(Command::new(fermata).arg("--version")),
            commit: first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        }
    }

    /// Whether the two had the same machine, compiler and Fermata, so that their figures may be put together.
    #[must_use]
    pub fn has_versions_of(&self, other: &Self) -> bool {
        fn versions(of: &Machine) -> [&str; 5] {
            [&of.cpu, &of.kernel, &of.rust, &of.fermata, &of.commit]
        }
        versions(self) == versions(other)
    }

    /// Processor and memory, in a few words.
    #[must_use]
    pub fn in_short(&self) -> String {
        format!("{} cores, {:.0} GiB", self.cores, self.memory_gib)
    }

    /// The table of the report.
    #[must_use]
    pub fn markdown(&self, kubernetes: Option<&str>) -> String {
        let Self { date, cpu, cores, memory_gib, kernel, load_average, rust, fermata, commit } = self;
        format!(
            "| | |\n\
             |---|---|\n\
             | date | {date} |\n\
             | processor | {cpu}, {cores} cores |\n\
             | memory | {memory_gib:.0} GiB |\n\
             | kernel | Linux {kernel} |\n\
             | load average at the start | {load_average} |\n\
             | versions | {fermata} (commit {commit}), {rust}, Kubernetes {} |\n",
            kubernetes.unwrap_or("not used")
        )
    }
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}
