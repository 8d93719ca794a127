//! What cannot be run on a machine is counted, and never passes for a success or hides a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn counted(script: &str) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/count-skips.sh"))
        .args(["sh", "-c", script])
        .output()
        .unwrap()
}

#[test]
fn what_is_skipped_is_counted_with_its_reason() {
    let output = counted(
        "echo 'SKIPPED: no node: root'; echo ok; echo 'test a ... SKIPPED: no node: root' >&2; echo 'SKIPPED: no nginx'",
    );
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let (said, summary) = shown.split_once("\n\n").unwrap();
    assert!(said.contains("ok") && said.contains("SKIPPED: no nginx"), "{shown}");
    let lines: Vec<&str> = summary.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        ["skipped: 2, each with how often it was said, and why", "2 no node: root", "1 no nginx"],
    );
}

#[test]
fn a_failure_stays_one() {
    let output = counted("echo failed >&2; exit 101");
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("\nskipped: nothing\n"), "{output:?}");
}
