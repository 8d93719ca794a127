//! Where the programs come from, with a `go` that only pretends, so that nothing is built.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

/// Takes a moment to "build", so that two of them at once would be seen.
const WORKING_GO: &str = r#"#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
while [ "$1" != -o ]; do shift; done
folder=$2
shift 2
sleep 0.2
for package in "$@"; do
    echo "$package" | tee -a "$BUILDS" >&2
    # As Go does: after the last part that is no major version.
    program=$folder/$(basename "${package%/v[0-9]}")
    printf '#!/bin/sh\n' >"$program"
    chmod +x "$program"
done
"#;

const BROKEN_GO: &str = r#"#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
echo "go: something deep down is wrong" >&2
exit 1
"#;

const OLD_GO: &str = r#"#!/bin/sh
echo "go: go.mod requires go >= 1.26.0 (running go 1.20; GOTOOLCHAIN=local)" >&2
exit 1
"#;

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(go: Option<&str>) -> anyhow::Result<Self> {
        let machine = Self { folder: tempfile::tempdir()? };
        fs::create_dir(machine.path("bin"))?;
        if let Some(go) = go {
            Self::executable(&machine.path("bin"), "go", go)?;
        }
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn executable(folder: &Path, name: &str, content: &str) -> anyhow::Result<()> {
        let path = folder.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// `fermata-test-cluster assets` with this machine's `go` alone.
    fn assets(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fermata-test-cluster"));
        command
            .arg("assets")
            .env_clear()
            .env("HOME", self.folder.path())
            .env("BUILDS", self.path("builds"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.path("builds")).unwrap_or_default().lines().count()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn two_processes_at_once_build_each_program_once_and_a_third_builds_nothing() -> anyhow::Result<()> {
    let machine = Machine::new(Some(WORKING_GO))?;
    let both = [machine.assets().spawn()?, machine.assets().spawn()?];
    let [one, other] = both.map(Child::wait_with_output);
    let (one, other) = (one?, other?);
    assert!(one.status.success() && other.status.success(), "{}{}", stderr(&one), stderr(&other));
    assert_eq!(one.stdout, other.stdout);
    assert_eq!(machine.builds(), 6);

    let third = machine.assets().output()?;
    assert_eq!((stderr(&third), machine.builds()), (String::new(), 6));
    let folder = String::from_utf8(third.stdout)?;
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut found: Vec<String> = fs::read_dir(folder.trim())?.flatten().map(name).collect();
    found.sort();
    assert_eq!(found, [".lock", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]);
    Ok(())
}

#[test]
fn the_cache_can_be_put_elsewhere() -> anyhow::Result<()> {
    let machine = Machine::new(Some(WORKING_GO))?;
    let output = machine.assets().env("XDG_CACHE_HOME", machine.path("elsewhere")).output()?;
    let folder = String::from_utf8(output.stdout)?;
    let expected = machine.path("elsewhere/fermata/assets/v1.");
    assert!(folder.starts_with(expected.to_str().context("expected UTF-8")?), "{folder}");
    Ok(())
}

#[test]
fn what_go_says_of_a_failed_build_is_shown() -> anyhow::Result<()> {
    let output = Machine::new(Some(BROKEN_GO))?.assets().output()?;
    assert!(!output.status.success());
    let error = stderr(&output);
    assert!(
        error.contains("failed to build kube-apiserver, kube-controller-manager, kubectl v1."),
        "{error}"
    );
    assert!(error.contains("something deep down is wrong"), "{error}");
    Ok(())
}

#[test]
fn without_go_the_error_tells_both_ways_out() -> anyhow::Result<()> {
    let machine = Machine::new(None)?;
    let output = machine.assets().env("PATH", machine.path("bin")).output()?;
    let error = stderr(&output);
    for words in ["no `go` on the PATH", "1.26", "https://go.dev/dl", "KUBEBUILDER_ASSETS"] {
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
    Ok(())
}

#[test]
fn an_old_go_is_told_what_is_needed() -> anyhow::Result<()> {
    let error = stderr(&Machine::new(Some(OLD_GO))?.assets().output()?);
    for words in ["needs Go 1.26", "running go 1.20", "https://go.dev/dl"] {
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
    Ok(())
}

#[test]
fn a_folder_of_envtest_is_used_and_only_what_it_does_not_have_is_built() -> anyhow::Result<()> {
    let machine = Machine::new(Some(WORKING_GO))?;
    let envtest = machine.path("envtest");
    fs::create_dir(&envtest)?;
    for name in ["etcd", "kube-apiserver", "kubectl"] {
        Machine::executable(&envtest, name, "#!/bin/sh\n")?;
    }
    let output = machine.assets().env("KUBEBUILDER_ASSETS", &envtest).output()?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), envtest.to_string_lossy());
    // The controller manager and the two Helms.
    assert_eq!(machine.builds(), 3);
    Ok(())
}

#[test]
fn a_folder_without_the_programs_is_named() -> anyhow::Result<()> {
    let machine = Machine::new(None)?;
    let output = machine.assets().env("KUBEBUILDER_ASSETS", machine.path("empty")).output()?;
    let error = stderr(&output);
    for words in ["KUBEBUILDER_ASSETS", "empty", "no executable etcd", "unset it"] {
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
    Ok(())
}
