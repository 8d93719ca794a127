//! The static program in a root that holds nothing but it, as in the image that `make images` builds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "harness/skip.rs"]
mod skip;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Builds the program as the image has it, but without the optimisation that takes so long.
fn build() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--package", "fermata-shim"]);
    cargo.args(["--target", &target, "--target-dir"]).arg(&folder).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Without a target of its own, the flag would hit what runs at build time too.
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join(target).join("debug/fermata-shim")
}

/// Runs words in a root, with `/proc` and nothing else, as PID 1.
fn run_in(root: &Path, words: &[&str]) -> Output {
    let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "sh", "-c", script]).arg(root).args(words);
    command.output().unwrap()
}

#[test]
fn the_static_program_needs_nothing_of_the_image() {
    if !nix::unistd::Uid::effective().is_root() {
        return skip::skip("root is needed to change the root");
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("proc")).unwrap();
    fs::create_dir_all(root.join("volume")).unwrap();
    fs::copy(build(), root.join("fermata-shim")).unwrap();

    let version = concat!("fermata-shim ", env!("CARGO_PKG_VERSION"), "\n");
    let shown = run_in(&root, &["/fermata-shim", "--version"]);
    assert_eq!(
        String::from_utf8(shown.stdout).unwrap(),
        version,
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );

    let installed = run_in(&root, &["/fermata-shim", "install", "/volume"]);
    assert!(installed.status.success(), "{installed:?}");
    let copy = root.join("volume/fermata-shim");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o555);

    // The copy, as the init of itself.
    let words = ["/volume/fermata-shim", "run", "--", "/volume/fermata-shim", "--version"];
    let shown = run_in(&root, &words);
    assert_eq!((shown.status.code(), String::from_utf8(shown.stdout).unwrap().as_str()), (Some(0), version));

    let missing = run_in(&root, &["/fermata-shim", "run", "--", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");

    let drained =
        run_in(&root, &["/fermata-shim", "drain", "--drain", "1s", "--", "/fermata-shim", "--version"]);
    assert_eq!(
        (drained.status.code(), String::from_utf8(drained.stdout).unwrap().as_str()),
        (Some(0), version)
    );
}
