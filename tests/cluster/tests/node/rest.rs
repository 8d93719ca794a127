//! What there is of a node on the machine, from outside of it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fermata_test_cluster::{
    Node,
    wait::{self, Seen},
};

/// What the kubelet sets on the machine that it is on: no namespace has these of its own.
const TUNABLES: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// How the machine is set. A node leaves that alone, while it runs as well as afterwards.
pub(crate) fn tunables() -> Vec<(&'static str, Option<String>)> {
    TUNABLES.map(|name| (name, fs::read_to_string(Path::new("/proc/sys").join(name)).ok())).to_vec()
}

/// By what the parts of one node are known, whatever becomes of the node.
pub(crate) struct Rest {
    scratch: PathBuf,
    cgroups: Vec<PathBuf>,
    /// The inode numbers of its namespaces, which no others have while anybody holds them open.
    namespaces: Vec<(&'static str, u64)>,
}

impl Rest {
    pub(crate) fn of(node: &Node) -> Self {
        Self::in_scratch(node.scratch().path())
    }

    pub(crate) fn in_scratch(scratch: &Path) -> Self {
        let cgroups = fs::read_to_string(scratch.join("cgroups")).unwrap();
        let init = fs::read_to_string(scratch.join("init")).unwrap();
        let init = init.split(' ').next().unwrap();
        let namespaces = ["net", "mnt", "pid"]
            .map(|kind| (kind, fs::metadata(format!("/proc/{init}/ns/{kind}")).unwrap().ino()));
        Self {
            scratch: scratch.to_owned(),
            cgroups: cgroups.lines().map(PathBuf::from).collect(),
            namespaces: namespaces.to_vec(),
        }
    }

    /// Each thing that is still there. A network, with its devices, is there for as long as a process is in it; so are
    /// mounts.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let scratch = self.scratch.display().to_string();
        if self.scratch.exists() {
            left.push(format!("folder {scratch}"));
        }
        left.extend(
            self.cgroups
                .iter()
                .filter(|folder| folder.exists())
                .map(|folder| format!("cgroup {}", folder.display())),
        );
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        left.extend(
            mounts.lines().filter(|line| line.contains(&scratch)).map(|line| format!("mount {line}")),
        );
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            if id == std::process::id() {
                continue;
            }
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            // It has ended, and waits for whoever reaps orphans on this machine.
            if status.lines().any(|line| line.starts_with("State:\tZ")) {
                continue;
            }
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&scratch) && !line.contains("remove-scratch") {
                left.push(format!("process {id} {line}"));
            }
            for (kind, inode) in &self.namespaces {
                let namespace = fs::metadata(entry.path().join("ns").join(kind));
                if namespace.is_ok_and(|namespace| namespace.ino() == *inode) {
                    left.push(format!("{kind} namespace of process {id} {line}"));
                }
            }
        }
        left
    }

    pub(crate) async fn until_nothing_is_left(&self, bound: Duration) -> anyhow::Result<()> {
        wait::until("all of the node to be gone", bound, async || {
            let left = self.left();
            Ok(if left.is_empty() { Seen::Yes(()) } else { Seen::NotYet(left.join("\n")) })
        })
        .await
    }
}
