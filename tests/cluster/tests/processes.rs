//! What was started is gone when its starter is, however that ended.

#![cfg(target_os = "linux")]

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use fermata_test_cluster::{
    Scratch,
    process::{Process, Program, Signal},
    wait::{self, Seen},
};

const BOUND: Duration = Duration::from_secs(30);

fn shell(script: &str, grace: Duration) -> Program {
    Program {
        name: "program".to_owned(),
        path: "/bin/sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        grace,
    }
}

/// The command lines of all living processes that name a path.
fn processes_naming(path: &Path) -> Vec<String> {
    let path = path.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&path))
        .collect()
}

fn is_alive(id: u32) -> bool {
    // A zombie has no command line any more.
    fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
}

async fn log_shows(process: &Process, text: &str) -> anyhow::Result<()> {
    wait::until(&format!("{text:?} in the log"), BOUND, async || {
        let log = process.log();
        Ok(if log.contains(text) { Seen::Yes(()) } else { Seen::NotYet(log) })
    })
    .await
}

#[tokio::test]
async fn output_and_exit_code_are_kept() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let process = Process::start(&scratch, shell("echo $GREETING; echo there >&2; exit 3", BOUND))?;
    assert_eq!(process.exited().await, 3);
    assert_eq!(process.log(), "hello\nthere\n");
    let error = process.check_running().err().context("expected an error")?.to_string();
    assert!(error.contains("exit code 3") && error.contains("there"), "{error}");
    assert!(process.signal(Signal::Terminate).is_err());
    scratch.remove().await
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let program = Program { path: "/no/such/program".into(), ..shell("", BOUND) };
    let process = Process::start(&scratch, program)?;
    assert_eq!(process.exited().await, 127);
    assert!(process.log().contains("/no/such/program"), "{}", process.log());
    scratch.remove().await
}

#[tokio::test]
async fn signals_reach_the_program_and_not_only_its_supervisor() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let script =
        "trap 'echo one' HUP; trap 'echo two; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let process = Process::start(&scratch, shell(script, BOUND))?;
    log_shows(&process, "ready").await?;
    process.signal(Signal::Hangup)?;
    log_shows(&process, "one").await?;
    assert_eq!(process.exit_code(), None);
    process.signal(Signal::Terminate)?;
    assert_eq!(process.exited().await, 7);
    scratch.remove().await
}

#[tokio::test]
async fn a_program_that_ignores_term_is_killed_after_its_grace() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let process = Process::start(&scratch, shell(script, Duration::from_millis(300)))?;
    log_shows(&process, "ready").await?;
    assert_eq!(process.stop().await?, 128 + 9);
    assert!(!is_alive(process.id()));
    scratch.remove().await
}

#[tokio::test]
async fn the_scratch_directory_stays_until_its_last_user_is_gone() -> anyhow::Result<()> {
    let scratch = Scratch::create()?;
    let path = scratch.path().to_owned();
    let script = "trap 'sleep 0.5; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let process = Process::start(&scratch, shell(script, BOUND))?;
    log_shows(&process, "ready").await?;
    let id = process.id();
    drop(scratch);
    drop(process);
    wait::until("the scratch directory to be removed", BOUND, async || {
        if path.exists() {
            return Ok(Seen::NotYet("it is there".to_owned()));
        }
        assert!(!is_alive(id), "the directory went before the process that used it");
        Ok(Seen::Yes(()))
    })
    .await
}

#[tokio::test]
async fn after_kill_9_of_the_harness_nothing_is_left() -> anyhow::Result<()> {
    let outer = Scratch::create()?;
    let inner = outer.path().join("control-plane");
    let harness = Process::start(
        &outer,
        Program {
            name: "up".to_owned(),
            path: env!("CARGO_BIN_EXE_fermata-test-cluster").into(),
            args: vec!["up".to_owned(), format!("--scratch={}", inner.display())],
            env: Vec::new(),
            grace: BOUND,
        },
    )?;
    wait::until("the control plane to be up", Duration::from_secs(90), async || {
        harness.check_running()?;
        let log = harness.log();
        Ok(if log.contains("Ctrl-C stops it") { Seen::Yes(()) } else { Seen::NotYet(log) })
    })
    .await?;
    for program in ["etcd", "kube-apiserver", "kube-controller-manager"] {
        let running = processes_naming(&inner);
        assert!(running.iter().any(|line| line.contains(program)), "{program} is not among {running:?}");
    }

    harness.signal(Signal::Kill)?;
    assert_eq!(harness.exited().await, 128 + 9);
    wait::until("all processes and files of the control plane to be gone", BOUND, async || {
        let left = processes_naming(&inner);
        Ok(if left.is_empty() && !inner.exists() { Seen::Yes(()) } else { Seen::NotYet(left.join("\n")) })
    })
    .await?;
    outer.remove().await
}

#[tokio::test]
async fn term_ends_a_start_that_is_under_way() -> anyhow::Result<()> {
    let outer = Scratch::create()?;
    let inner = outer.path().join("control-plane");
    let harness = Process::start(
        &outer,
        Program {
            name: "up".to_owned(),
            path: env!("CARGO_BIN_EXE_fermata-test-cluster").into(),
            args: vec!["up".to_owned(), format!("--scratch={}", inner.display())],
            env: Vec::new(),
            grace: BOUND,
        },
    )?;
    wait::until("the first process", Duration::from_secs(90), async || {
        harness.check_running()?;
        let started = inner.join("kube-apiserver.log").exists();
        Ok(if started { Seen::Yes(()) } else { Seen::NotYet(harness.log()) })
    })
    .await?;
    harness.signal(Signal::Terminate)?;
    assert_eq!(harness.exited().await, 130, "{}", harness.log());
    wait::until("all processes and files of the control plane to be gone", BOUND, async || {
        let left = processes_naming(&inner);
        Ok(if left.is_empty() && !inner.exists() { Seen::Yes(()) } else { Seen::NotYet(left.join("\n")) })
    })
    .await?;
    outer.remove().await
}
