//! Side by side with the originals: the same words to both, and the same answers from both, byte for byte.
//!
//! They are the packages `dumb-init` and `tini` of Debian, and any build with glibc. Where one is not installed its
//! tests say so and prove nothing. What is pinned in the other files of this test needs no original.

use std::{
    env,
    ffi::OsString,
    os::unix::{ffi::OsStringExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::{
    prelude::{Strategy, prop},
    prop_oneof,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::process::{VARIABLES, call_for_bytes, shim};

/// The original, or nothing if it is not installed.
fn original(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_original(file));
    if found.is_none() {
        crate::skip::skip(&format!("{name} is not installed, so that nothing is compared with it"));
    }
    found
}

/// Whether a file is of the version whose dialect we speak, and not ours.
fn is_original(file: &Path) -> bool {
    let Ok(output) = Command::new(file).arg("--version").output() else { return false };
    let said = [output.stdout, output.stderr].concat();
    said.starts_with(b"dumb-init v1.2.5\n") || said.starts_with(b"tini version 0.19.0")
}

/// What a call came to.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: i32,
    output: String,
    error: String,
}

/// Environment variables of a call.
type Variables<'a> = &'a [(&'a str, &'a str)];

fn ask(init: &Path, name: &str, path: &str, words: &[OsString], variables: Variables<'_>) -> Answer {
    let mut command = Command::new(init);
    command.arg0(name).args(words).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.env("PATH", path).env("LC_ALL", "C").envs(variables.iter().copied());
    let (code, output, error) = call_for_bytes(&mut command);
    // What is no UTF-8 stays apart.
    let text = |bytes: Vec<u8>| {
        without_pids(&bytes.escape_ascii().to_string().replace("\\n", "\n").replace("\\'", "'"))
    };
    Answer { code, output: text(output), error: text(error) }
}

/// A text with N in the place of every pid.
fn without_pids(text: &str) -> String {
    let mut seen = String::new();
    let mut rest = text;
    let starts = ["PID ", "tini (", "pid '", "pid: '", "pid="];
    while let Some((at, start)) = starts.iter().filter_map(|start| Some((rest.find(start)?, start))).min() {
        let (before, after) = rest.split_at(at + start.len());
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        seen.push_str(before);
        seen.push_str(if digits > 0 { "N" } else { "" });
        rest = &after[digits..];
    }
    seen + rest
}

/// Lines in any order: the originals' child and parent race each other, and their output is buffered.
fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The answer of dumb-init with the one difference that is meant: 127 for a command that is not there.
fn as_shells_end(mut answer: Answer) -> Answer {
    if answer.code == 2 && answer.error.contains(": No such file or directory\n") {
        answer.code = 127;
        answer.error = answer.error.replace("status 2.", "status 127.");
    }
    answer
}

const PATH: &str = "/usr/bin:/bin";

/// A `PATH` on which nothing is found, so that words from anywhere can do no harm.
const NOTHING: &str = "/nonexistent";

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

/// Command lines of dumb-init that end before anything runs, or run something harmless.
const DUMB_INIT: &[&[&str]] = &[
    &[],
    &["-h"],
    &["--help"],
    &["--h"],
    &["--he", "-x"],
    &["-V"],
    &["--version"],
    &["--vers"],
    &["--ver"],
    &["--v"],
    &["--ver=1"],
    &["--verb"],
    &["--verbose"],
    &["--verbose=1", "true"],
    &["--help=", "true"],
    &["--s", "true"],
    &["--single-child"],
    &["--single", "true"],
    &["--single-child-mode", "true"],
    &["--=", "true"],
    &["--=x"],
    &["--", "true"],
    &["--"],
    &["-"],
    &["-", "true"],
    &["---", "true"],
    &["---help"],
    &["--yolo", "/bin/true"],
    &["--yolo=1"],
    &["-x"],
    &["-cx", "true"],
    &["-xc", "true"],
    &["-:"],
    &["-;"],
    &["-?"],
    &["-W", "foo"],
    &["-c-"],
    &["-ccc", "true"],
    &["-ch"],
    &["-cV"],
    &["-hV"],
    &["-Vh"],
    &["-c", "sh", "-c", "exit 3"],
    &["sh", "-c", "exit 3"],
    &["sh", "-v", "-c", "exit 4"],
    &["true", "--help"],
    &["--", "sh", "-c", "exit 5"],
    &["-c", "--", "--", "true"],
    &["-r"],
    &["-r", ""],
    &["-r", "echo", "oh,", "hi"],
    &["-r", "herp", "true"],
    &["-r", "herp:derp", "true"],
    &["-r", "15", "true"],
    &["-r", "15:", "true"],
    &["-r", ":3", "true"],
    &["-r", "15::12", "true"],
    &["-r", "15:derp", "true"],
    &["-r", "15 :3", "true"],
    &["-r", "15:12", "-r"],
    &["-r", "15:12", "-r", "echo"],
    &["-r", "15:12", "-r", "0", "echo"],
    &["-r", "15:12", "-r", "1:32", "echo"],
    &["-r", "0:1", "true"],
    &["-r", "-1:1", "true"],
    &["-r", "1:-1", "true"],
    &["-r", "32:1", "true"],
    &["-r", "TERM:QUIT", "true"],
    &["-r", "0x0f:3", "true"],
    &["-r", "99999999999999999999:3", "true"],
    &["-r", "18446744073709551631:3", "true"],
    &["-r", "4294967311:3", "true"],
    &["-r", "-4294967281:3", "true"],
    &["-r", "15:4294967296", "true"],
    &["-r", " 15: 3", "true"],
    &["-r", "\u{b}\t\n\r15:3", "true"],
    &["-r", "+15:+3", "true"],
    &["-r", "+ 15:3", "true"],
    &["-r", "15:3junk", "true"],
    &["-r", "15:0", "true"],
    &["-r", "015:003", "true"],
    &["-r15:3", "true"],
    &["-r=15:3", "true"],
    &["-r--", "true"],
    &["-r", "--", "true"],
    &["-cr15:3", "true"],
    &["-cr", "15:3", "true"],
    &["--rewrite", "15:3", "true"],
    &["--rewrite=15:3", "true"],
    &["--rew=15:3", "true"],
    &["--r", "15:3", "true"],
    &["--rewrite=", "true"],
    &["--rewrite"],
    &["--rew"],
    &["--rewrites=15:3", "true"],
    &["sh", "-c", "ulimit -c 0; kill -TERM $$"],
    &["sh", "-c", "ulimit -c 0; kill -SEGV $$"],
    &["-r15:0", "sh", "-c", "kill -9 $$"],
    &["sh", "-c", "grep -E '^Sig(Blk|Cgt)' /proc/self/status"],
];

#[test]
fn dumb_init_answers_as_the_original() {
    let Some(original) = original("dumb-init") else { return };
    for line in DUMB_INIT {
        for variables in [&[][..], &[("DUMB_INIT_SETSID", "0"), ("DUMB_INIT_DEBUG", "0")]] {
            let line = words(line);
            let [theirs, ours] =
                [&original, &shim("dumb-init")].map(|init| ask(init, "dumb-init", PATH, &line, variables));
            assert_eq!(ours, as_shells_end(theirs), "{line:?} {variables:?}");
        }
    }
    for name in ["/usr/bin/dumb-init", "./dumb-init", "dumb-init"] {
        let [theirs, ours] =
            [&original, &shim("dumb-init")].map(|init| ask(init, name, PATH, &words(&["-x"]), &[]));
        assert_eq!(ours, theirs);
    }
    let line = [OsString::from_vec(b"-\xff".to_vec())];
    let [theirs, ours] = [&original, &shim("dumb-init")].map(|init| ask(init, "dumb-init", PATH, &line, &[]));
    assert_eq!(ours, theirs);
}

#[test]
fn dumb_init_says_what_the_original_says() {
    let Some(original) = original("dumb-init") else { return };
    for line in [
        &["-v", "sh", "-c", "exit 3"][..],
        &["-vc", "sh", "-c", "exit 3"],
        &["-vc", "-r15:3", "true"],
        &["-v", "-r", "15:0", "true"],
        &["-v", "sh", "-c", "kill -9 $$"],
        // To the init's own signals, too.
        &["-v", "sh", "-c", "trap 'exit 4' HUP; kill -HUP $PPID; while :; do :; done"],
        &["-vc", "-r1:2", "sh", "-c", "trap 'exit 4' INT; kill -HUP $PPID; while :; do :; done"],
        &["-vc", "-r1:0", "sh", "-c", "kill -HUP $PPID; sleep 0.1"],
    ] {
        for variables in
            [&[][..], &[("DUMB_INIT_DEBUG", "1")], &[("DUMB_INIT_DEBUG", "1"), ("DUMB_INIT_SETSID", "0")]]
        {
            let line = words(line);
            let [theirs, ours] =
                [&original, &shim("dumb-init")].map(|init| ask(init, "dumb-init", PATH, &line, variables));
            assert_eq!((ours.code, &ours.output), (theirs.code, &theirs.output), "{line:?} {variables:?}");
            assert_eq!(sorted(&ours.error), sorted(&theirs.error), "{line:?} {variables:?}");
        }
    }
}

/// Command lines of tini.
const TINI: &[&[&str]] = &[
    &[],
    &["-h"],
    &["-h", "x"],
    &["x", "-h"],
    &["-sh"],
    &["-hx"],
    &["--version"],
    &["--version", "x"],
    &["-s", "--version"],
    &["--help"],
    &["--"],
    &["-"],
    &["-x"],
    &["-sx", "true"],
    &["-?"],
    &["-:"],
    &["true"],
    &["-s", "true"],
    &["-s", "--", "true"],
    &["-ss", "true"],
    &["-sgw", "true"],
    &["-s", "sh", "-c", "exit 3"],
    &["-s", "--", "sh", "-c", "exit 3"],
    &["sh", "-s", "--", "-c", "exit 3"],
    &["-s", "sh", "--", "-c", "exit 3"],
    &["-p"],
    &["-p", "SIGKILL"],
    &["-p", "SIGKILL", "-s", "true"],
    &["-pSIGTERM", "-s", "true"],
    &["-spSIGTERM", "true"],
    &["-p", "KILL", "true"],
    &["-p", "9", "true"],
    &["-p", "sigkill", "true"],
    &["-p", "SIGIO", "true"],
    &["-p", "SIGPOLL", "true"],
    &["-p", "SIGPWR", "true"],
    &["-p", "SIGSTKFLT", "true"],
    &["-p", "SIGSYS", "-s", "true"],
    &["-p", "SIGCHLD", "-s", "true"],
    &["-p", "SIGRTMIN", "true"],
    &["-p", "", "true"],
    &["-e"],
    &["-e", "", "-s", "true"],
    &["-e", "3", "-s", "--", "sh", "-c", "exit 3"],
    &["-e3", "-s", "--", "sh", "-c", "exit 3"],
    &["-e", " +3", "-s", "--", "sh", "-c", "exit 3"],
    &["-e", "03", "-s", "--", "sh", "-c", "exit 3"],
    &["-e", "4", "-s", "--", "sh", "-c", "exit 3"],
    &["-e", "-0", "-s", "true"],
    &["-e", "-1", "-s", "true"],
    &["-e", "256", "-s", "true"],
    &["-e", "3x", "-s", "true"],
    &["-e", "3 ", "-s", "true"],
    &["-e", "x", "-h"],
    &["-e", "99999999999999999999", "-s", "true"],
    &["-e", "143", "-s", "--", "sh", "-c", "kill -TERM $$"],
    &["-s", "--", "sh", "-c", "kill -KILL $$"],
    &["/doesnotexist"],
    &["-s", "/doesnotexist"],
    &["-s", "doesnotexist", "x"],
    &["-s", "/etc"],
    &["-s", "/etc/passwd"],
    &["-s", ""],
    &["-s", "--", "sh", "-c", "readlink /proc/$PPID/cwd; grep -E '^Sig(Blk|Ign)' /proc/self/status"],
];

#[test]
fn tini_answers_as_the_original() {
    let Some(original) = original("tini") else { return };
    for line in TINI {
        for variables in [
            &[][..],
            &[("POSIXLY_CORRECT", "")],
            &[("TINI_VERBOSITY", "0"), ("TINI_KILL_PROCESS_GROUP", "")],
            &[("TINI_SUBREAPER", "")],
        ] {
            let line = words(line);
            let [theirs, ours] =
                [&original, &shim("tini")].map(|init| ask(init, "tini", PATH, &line, variables));
            assert_eq!(ours, theirs, "{line:?} {variables:?}");
        }
    }
    for name in ["/usr/bin/tini", "./tini-static", "tini"] {
        let [theirs, ours] =
            [&original, &shim("tini")].map(|init| ask(init, name, PATH, &words(&["-x"]), &[]));
        assert_eq!(ours, theirs);
    }
}

#[test]
fn tini_says_what_the_original_says() {
    let Some(original) = original("tini") else { return };
    // The original looks at its children once a second, and says so at the highest level.
    let without_looks = |text: &str| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("No child to ")).collect();
        sorted(&lines.join("\n"))
    };
    for line in [
        &["-v", "-s", "--", "sh", "-c", "exit 3"][..],
        &["-vv", "-s", "--", "sh", "-c", "exit 3"],
        &["-vvv", "-s", "--", "sh", "-c", "exit 3"],
        &["-vvvvv", "-s", "-w", "--", "sh", "-c", "kill -9 $$"],
        &["-vv", "-s", "--", "sh", "-c", "trap 'exit 4' HUP; kill -HUP $PPID; while :; do :; done"],
    ] {
        let line = words(line);
        let [theirs, ours] = [&original, &shim("tini")].map(|init| ask(init, "tini", PATH, &line, &[]));
        assert_eq!((ours.code, &ours.error), (theirs.code, &theirs.error), "{line:?}");
        assert_eq!(sorted(&ours.output), without_looks(&theirs.output), "{line:?}");
    }
}

/// Words that look like options, from pieces that mean something and from bytes that do not. No slash is among them,
/// and `PATH` leads nowhere, so that none is a program.
fn option_like(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<OsString>> {
    let piece = prop::sample::select(pieces).prop_map(OsString::from);
    let letters = prop::collection::vec(prop::sample::select(&b"-=:vVhcrxsgwe15 \xff"[..]), 0..5);
    let word = prop_oneof![3 => piece, 1 => letters.prop_map(OsString::from_vec)];
    prop::collection::vec(word, 0..6)
}

fn compare(
    lines: &impl Strategy<Value = Vec<OsString>>,
    variables: &'static [Variables<'static>],
    answers: impl Fn(&[OsString], Variables<'_>) -> [Answer; 2],
) {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let strategy = (lines, prop::sample::select(variables));
    let result = TestRunner::new(config).run(&strategy, |(line, variables)| {
        let [theirs, ours] = answers(&line, variables);
        if ours == theirs {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("{line:?} {variables:?}\nours:   {ours:?}\ntheirs: {theirs:?}")))
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn dumb_init_understands_whatever_the_original_understands() {
    let Some(original) = original("dumb-init") else { return };
    let pieces = &[
        "-v",
        "-c",
        "-h",
        "-V",
        "-r",
        "-vc",
        "-vr",
        "-cr15:3",
        "-r15:3",
        "15:3",
        " 15: 3",
        "15:3x",
        "0:1",
        "--",
        "-",
        "--verb",
        "--ver",
        "--v=",
        "--version",
        "--help",
        "--rew",
        "--rewrite=1:2",
        "--r",
        "--single-child",
        "--s=1",
        "--=",
        "xyz",
        "",
    ];
    compare(
        &option_like(pieces),
        &[
            &[],
            &[("DUMB_INIT_DEBUG", "1")],
            &[("DUMB_INIT_SETSID", "0")],
            &[("DUMB_INIT_DEBUG", "1"), ("DUMB_INIT_SETSID", "0")],
        ],
        |line, variables| {
            let mut theirs = as_shells_end(ask(&original, "dumb-init", NOTHING, line, variables));
            let mut ours = ask(&shim("dumb-init"), "dumb-init", NOTHING, line, variables);
            for answer in [&mut theirs, &mut ours] {
                if answer.error.contains("Child spawned") {
                    answer.error = sorted(&answer.error);
                }
            }
            [theirs, ours]
        },
    );
}

#[test]
fn tini_understands_whatever_the_original_understands() {
    let Some(original) = original("tini") else { return };
    let pieces = &[
        "-v",
        "-s",
        "-g",
        "-w",
        "-h",
        "-e",
        "-e3",
        "-sg",
        "-swe",
        "3",
        "-p",
        "SIGTERM",
        "-pSIGHUP",
        "KILL",
        "--",
        "-",
        "--version",
        "--help",
        "xyz",
        "",
        "256",
        "-vv",
    ];
    compare(
        &option_like(pieces),
        &[&[], &[("POSIXLY_CORRECT", "1")], &[("TINI_SUBREAPER", "")], &[("TINI_VERBOSITY", "0")]],
        |line, variables| {
            [&original, &shim("tini")].map(|init| {
                let mut answer = ask(init, "tini", NOTHING, line, variables);
                if answer.error.contains("] exec ") {
                    // What the original had buffered is said by both its processes, or by neither.
                    answer.output.clear();
                }
                answer
            })
        },
    );
}

#[test]
fn pids_are_hidden_and_nothing_else() {
    let seen = without_pids("[WARN  tini (12)] pid=3 PID 4. 5 pid: '6'");
    assert_eq!(seen, "[WARN  tini (N)] pid=N PID N. 5 pid: 'N'");
}
