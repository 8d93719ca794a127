//! `fermata-shim install DIR`, as an init container runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "harness/skip.rs"]
mod skip;

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::{
    sys::stat::{Mode, umask},
    unistd::Uid,
};

const SHIM: &str = env!("CARGO_BIN_EXE_fermata-shim");

fn install(folder: &Path) -> Command {
    let mut command = Command::new(SHIM);
    command.arg("install").arg(folder);
    command
}

fn assert_silent_success(output: &Output) {
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// Asserts that it failed, and returns the one line that it said.
fn said(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    line.strip_prefix("fermata-shim: ").unwrap_or_else(|| panic!("{line}")).trim_end().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a test that needs root can run; if not, that is said.
fn is_root(why: &str) -> bool {
    let root = Uid::effective().is_root();
    if !root {
        skip::skip(&format!("root is needed {why}"));
    }
    root
}

#[test]
fn the_copy_is_the_program_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&install(folder.path()).output().unwrap());
    let copy = folder.path().join("fermata-shim");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(SHIM).unwrap());
    assert_eq!(names(folder.path()), ["fermata-shim"]);
    let version = |program: &Path| Command::new(program).arg("--version").output().unwrap();
    assert_eq!(version(&copy), version(Path::new(SHIM)));
    assert!(version(&copy).status.success());
}

#[test]
fn its_mode_is_0555_whatever_the_umask() {
    for mask in [0o000, 0o022, 0o077, 0o777] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = install(folder.path());
        #[expect(unsafe_code, reason = "the umask is set between fork and exec")]
        // SAFETY: umask is one system call.
        unsafe {
            command.pre_exec(move || {
                umask(Mode::from_bits_truncate(mask));
                Ok(())
            });
        }
        assert_silent_success(&command.output().unwrap());
        let mode = fs::metadata(folder.path().join("fermata-shim")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o555, "umask {mask:o}");
    }
}

#[test]
fn it_can_be_done_again_while_the_first_copy_runs() {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&install(folder.path()).output().unwrap());
    let copy = folder.path().join("fermata-shim");
    let before = fs::metadata(&copy).unwrap().ino();
    let mut running = Command::new(&copy).args(["drain", "--drain", "1h"]).spawn().unwrap();
    let again = install(folder.path()).output().unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    assert_silent_success(&again);
    assert_ne!(fs::metadata(&copy).unwrap().ino(), before, "it is replaced, never written over");
    assert_eq!(names(folder.path()), ["fermata-shim"]);
}

#[test]
fn a_copy_can_install_itself_elsewhere() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_silent_success(&install(first.path()).output().unwrap());
    let mut copy = Command::new(first.path().join("fermata-shim"));
    assert_silent_success(&copy.arg("install").arg(second.path()).output().unwrap());
    assert_eq!(fs::read(second.path().join("fermata-shim")).unwrap(), fs::read(SHIM).unwrap());
}

#[test]
fn leftovers_and_links_in_its_way_are_replaced_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join("fermata-shim")).unwrap();
    // What a killed try leaves behind has the number of a process in its name, which comes again: in most containers
    // it is 1. So every number that the next process can get is taken.
    let mut command = Command::new("sh");
    let script = "ln -s victim \".fermata-shim.$$\" && exec \"$0\" install .";
    let output = command.args(["-c", script, SHIM]).current_dir(folder.path()).output().unwrap();
    assert_silent_success(&output);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(folder.path().join("fermata-shim").symlink_metadata().unwrap().is_file());
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, ["fermata-shim", "victim"]);
}

#[test]
fn several_at_once_each_as_process_1_do_not_trip_over_each_other() {
    if !is_root("to be process 1") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = |_| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", SHIM, "install"]).arg(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = (0..8).map(start).collect();
    for one in all {
        assert_silent_success(&one.wait_with_output().unwrap());
    }
    assert_eq!(names(folder.path()), ["fermata-shim"]);
    assert_eq!(fs::read(folder.path().join("fermata-shim")).unwrap(), fs::read(SHIM).unwrap());
}

#[test]
fn a_folder_that_is_not_there_or_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let why = said(&install(&missing).output().unwrap());
    assert_eq!(why, format!("{}: No such file or directory (os error 2)", missing.display()));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(said(&install(&file).output().unwrap()), format!("{}: it is no directory", file.display()));
    let taken = folder.path().join("fermata-shim");
    fs::create_dir(&taken).unwrap();
    let why = said(&install(folder.path()).output().unwrap());
    assert_eq!(why, format!("{}: Is a directory (os error 21)", taken.display()));
    assert_eq!(names(folder.path()).len(), 2, "nothing is left behind");
}

#[test]
fn any_user_can_install_into_a_volume_that_all_may_write() {
    if !is_root("to become somebody else") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let volume = place.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(0o777)).unwrap();
    // Where the build folder is closed to others, the program has to be somewhere else.
    let program = place.path().join("program");
    // Copied by another process: if this one had it open for writing, so would what a parallel test starts at that moment, and a
    // file that somebody can write is not executed (ETXTBSY).
    assert_silent_success(&Command::new("cp").arg(SHIM).arg(&program).output().unwrap());
    fs::set_permissions(&program, Permissions::from_mode(0o555)).unwrap();
    let mut command = Command::new(&program);
    assert_silent_success(&command.arg("install").arg(&volume).uid(65_532).gid(65_532).output().unwrap());
    let installed = fs::metadata(volume.join("fermata-shim")).unwrap();
    assert_eq!((installed.uid(), installed.mode() & 0o7777), (65_532, 0o555));

    fs::set_permissions(&volume, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    let why = said(&command.arg("install").arg(&volume).uid(1_000).gid(1_000).output().unwrap());
    let target = volume.join("fermata-shim");
    assert_eq!(
        why,
        format!(
            "{}: Permission denied (os error 13); the user that installs needs the right to write there",
            target.display()
        )
    );
}

#[test]
fn a_volume_that_is_full_or_closed_is_told_apart() {
    if !is_root("to mount a volume") {
        return;
    }
    for (options, why) in [
        ("size=64k", "No space left on device (os error 28); the volume needs room for the program"),
        (
            "ro",
            "Read-only file system (os error 30); the volume must be mounted writable in the container that installs",
        ),
        ("noexec", "is mounted noexec; what is installed there can be executed by nobody"),
    ] {
        let volume = tempfile::tempdir().unwrap();
        // The mount is gone with its namespace.
        let script = "mount -t tmpfs -o \"$2\" none \"$1\" && \"$0\" install \"$1\"; code=$?; ls -A \"$1\"; exit $code";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, SHIM]).arg(volume.path()).arg(options);
        let line = said(&command.output().unwrap());
        assert!(line.starts_with(volume.path().to_str().unwrap()) && line.contains(why), "{options}: {line}");
    }
}

#[test]
fn a_wrong_command_line_exits_2_and_says_what_is_accepted() {
    for (words, why) in [
        (&[][..], "install: has no folder; use the folder"),
        (&[""], "install: \"\" is no folder; use the folder"),
        (&["--force"], "install: \"--force\" is no folder; use the folder"),
        (&["/a", "/b"], "install: \"/b\" is too much; use the folder"),
    ] {
        let output = Command::new(SHIM).arg("install").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
    let help = Command::new(SHIM).args(["install", "--help"]).output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"Copy this program"), "{help:?}");
}
