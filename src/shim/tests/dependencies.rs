//! What the program is made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, process::Command};

/// A program that runs as PID 1 in other people's containers takes in five packages, by name, and no more.
#[test]
fn the_tree_of_dependencies_is_these_five() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "fermata-shim", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--target", "all"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let expected = ["bitflags", "cfg-if", "fermata-shim", "fermata-stop-plan", "libc", "nix"];
    assert_eq!(names, BTreeSet::from(expected), "{tree}");
}
