//! The namespaces and cgroups of one node.
//!
//! Process 1 of the node's PID namespace stands for all of it: when it ends, the kernel ends every process inside, and
//! with the last of them go the mounts and the network. What the kernel keeps are cgroups, which the scratch directory
//! lists and its remover takes away.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, ensure};

use super::forward::Forward;
use crate::{
    network,
    process::{Process, Program},
    scratch::Scratch,
    wait::{self, Seen},
};

const OUTSIDE: &str = include_str!("outside.sh");
const INSIDE: &str = include_str!("inside.sh");

/// Moves a program into the node's cgroups, which entering the namespaces does not.
const JOIN: &str = include_str!("join.sh");

/// How long the namespaces may take to be furnished.
const FURNISH_BOUND: Duration = Duration::from_secs(20);

/// How long the kernel may take to end all that is inside.
const END_BOUND: Duration = Duration::from_secs(20);

/// The node's namespaces, held open by the process that it is made of.
#[derive(Debug)]
pub(crate) struct Enclosure {
    process: Process,
    /// The process id of the node's process 1, as seen from outside.
    init: u32,
    snapshotter: String,
}

impl Enclosure {
    /// Makes them.
    pub(crate) async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        ensure!(
            !scratch.path().starts_with("/run") && !scratch.path().starts_with("/var/lib"),
            "the node has its own /run and /var/lib, and cannot use {}; set TMPDIR to a folder elsewhere",
            scratch.path().display()
        );
        let name = scratch.path().file_name().context("expected the scratch directory to have a name")?;
        let process = Process::start(
            scratch,
            Program {
                name: "namespaces".to_owned(),
                path: "/bin/sh".into(),
                args: vec![
                    "-c".to_owned(),
                    OUTSIDE.to_owned(),
                    "node".to_owned(),
                    INSIDE.to_owned(),
                    scratch.path().display().to_string(),
                    name.to_string_lossy().into_owned(),
                    format!("{}/{}", network::NODE_ADDRESS, network::NODE_PREFIX),
                    network::GATEWAY.to_owned(),
                ],
                env: Vec::new(),
                // There is nobody who would do anything on TERM.
                grace: Duration::ZERO,
            },
        )?;
        let ready = scratch.path().join("init");
        let (init, snapshotter) = wait::until("the node's namespaces", FURNISH_BOUND, async || {
            process.check_running()?;
            let Ok(text) = std::fs::read_to_string(&ready) else {
                return Ok(Seen::NotYet(process.log_tail()));
            };
            let (init, snapshotter) = text.trim().split_once(' ').context("expected two words")?;
            Ok(Seen::Yes((init.parse()?, snapshotter.to_owned())))
        })
        .await?;
        Ok(Self { process, init, snapshotter })
    }

    /// The process id of the node's process 1, as seen from outside.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// Which of containerd's snapshotters works here.
    pub(crate) fn snapshotter(&self) -> &str {
        &self.snapshotter
    }

    /// Fails when the namespaces are gone.
    pub(crate) fn check_running(&self) -> anyhow::Result<()> {
        self.process.check_running()
    }

    /// The program with the node's network, and else as it would be outside.
    ///
    /// It becomes the program itself, so that signals to it work.
    pub(crate) fn in_network(&self, program: Program) -> Program {
        entering(program, vec![format!("--net=/proc/{}/ns/net", self.init), "--".to_owned()])
    }

    /// The program with all of the node's namespaces. A signal reaches `nsenter` only; such a program ends with the
    /// node.
    pub(crate) fn in_all(&self, program: Program) -> Program {
        let mut enter = self.enter();
        enter.extend(["--", "/bin/sh", "-c", JOIN, "join"].map(str::to_owned));
        entering(program, enter)
    }

    /// A command line that runs another inside.
    pub(crate) fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("nsenter");
        command.args(self.enter()).arg("--").arg(program).kill_on_drop(true);
        command
    }

    /// Makes an address of the node's network reachable from here.
    pub(crate) fn forward(&self, to: SocketAddr) -> anyhow::Result<Forward> {
        Forward::open(self.init, to)
    }

    /// Ends all that is inside, and waits until it is gone.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.process.stop().await?;
        // The kernel ends process 1 when `unshare` is gone, and lets it go when it has seen to all others. Then it is at
        // most a zombie, for whoever reaps orphans on this machine.
        let status = format!("/proc/{}/status", self.init);
        wait::until("the node's processes to end", END_BOUND, async || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let state = status.lines().find_map(|line| line.strip_prefix("State:"));
            Ok(match state.map(str::trim) {
                Some(state) if !state.starts_with(['Z', 'X']) => Seen::NotYet(state.to_owned()),
                _ => Seen::Yes(()),
            })
        })
        .await
    }

    fn enter(&self) -> Vec<String> {
        let mut args = vec![format!("--target={}", self.init)];
        args.extend(["--net", "--mount", "--pid", "--cgroup", "--ipc", "--uts"].map(str::to_owned));
        args
    }
}

/// The program, by way of `nsenter` with these arguments.
fn entering(program: Program, mut enter: Vec<String>) -> Program {
    enter.push(program.path.display().to_string());
    enter.extend(program.args);
    Program { path: "nsenter".into(), args: enter, ..program }
}
