//! Shell scripts made of sleeps and what surrounds them, and what a real shell makes of them.

use std::process::Command;

use proptest::{collection, prelude::*, sample::select};

/// A script of a few words, separators and lines; many of them are mistakes.
pub(crate) fn script() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(&["sleep 15", "sleep 5", "sleep 1 2", "exec sleep 4", "/bin/sleep 3", "sleep '7'", "sleep"][..]),
        3 => select(&[";", "&&", "||", "\n", ";;", "|", " & ", "#", " # ", "\r\n"][..]),
        2 => select(&["true", ":", "exit", "exit 0", "set -e", "false", "echo x", "exit 1", " ", "$X"][..]),
    ];
    collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// How many seconds `/bin/sh` is asked to sleep for by a script, or `None` if the shell refuses it.
pub(crate) fn asked_for(script: &str) -> Option<u32> {
    // The shell finds a function before any program, and `exec` and `/bin/sleep` need a word in their place.
    let recorded = script.replace("/bin/sleep", "sleep").replace("exec sleep", "sleep_and_end");
    let prelude = "sleep() { [ $# -gt 0 ] && for n in \"$@\"; do echo $n; done; }; sleep_and_end() { sleep \"$@\"; exit; }\n";
    let output =
        Command::new("/bin/sh").args(["-c", &format!("{prelude}{recorded}")]).output().expect("a shell");
    if !output.stderr.is_empty() {
        return None;
    }
    let seconds = String::from_utf8(output.stdout).ok()?;
    seconds.lines().map(|line| line.parse::<u32>().ok()).sum::<Option<u32>>()
}
