//! What a node needs of the machine, all of it named at once.

use std::{fs, path::Path, process::Command};

use anyhow::bail;

use super::{image, programs::CNI_FOLDERS};

/// Programs, each with the Debian package that has it.
const PROGRAMS: [(&str, &str); 8] = [
    ("awk", "mawk"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("runc", "runc"),
    ("unshare", "util-linux"),
];

/// Says whether a node can be started here.
///
/// # Errors
///
/// When it cannot, with all that is missing and where it is to be had.
pub fn check() -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("a node needs Linux");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("a node needs root: it makes namespaces, mounts and cgroups of its own");
    }
    let mut missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(program, package)| format!("{program} (Debian and Ubuntu: {package})"))
        .collect();
    if !CNI_FOLDERS.iter().any(|folder| Path::new(folder).join("ptp").is_file()) {
        missing.push("the CNI plugins (Debian and Ubuntu: containernetworking-plugins)".to_owned());
    }
    if let Err(error) = image::static_busybox() {
        missing.push(error.to_string());
    }
    if !missing.is_empty() {
        bail!(
            "a node needs {}; on Debian and Ubuntu, `make node-packages` installs all of it",
            missing.join(", ")
        );
    }
    if !has_cgroups() {
        bail!("a node needs a cgroup file system under /sys/fs/cgroup that it may write to");
    }
    if let Some(why) = why_no_namespaces() {
        bail!("a node needs to make namespaces and mounts, which root may not do here: {why}");
    }
    Ok(())
}

/// Root in a container without privileges is root by name alone.
fn why_no_namespaces() -> Option<String> {
    let output = Command::new("unshare")
        .args(["--cgroup", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"])
        .args(["sh", "-c", "mount --make-rprivate / && mount -t proc proc /proc"])
        .output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Looks in the usual folders, which need not all be in an ordinary user's PATH.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

fn has_cgroups() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(2);
        let is_cgroup = words.next().is_some_and(|kind| kind.starts_with("cgroup"));
        is_cgroup && words.next().is_some_and(|options| options.split(',').any(|option| option == "rw"))
    })
}
