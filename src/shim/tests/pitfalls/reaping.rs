//! Children that end, and what the init makes of it: pitfalls 29 to 38.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    shim::{
        PLACES, Place, SHIM, Shim, all_have_ended, children, command, descendants, in_time, send, status,
        wait_for,
    },
    stopping::lines,
};

#[test]
fn pitfall_29_ten_thousand_orphans_are_reaped() {
    for place in PLACES {
        let script = "i=0; while [ $i -lt 10000 ]; do (: & ); i=$((i+1)); done; echo made; read line; exit 0";
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = command(place, ["--", "sh", "-c", script]);
        command.stdin(reader);
        let mut shim = Shim::start(&mut command, place);
        drop(command);
        let pid = shim.pid();
        let program = shim.program();
        let before: u64 = kilobytes(pid);
        shim.says("made\n");
        wait_for("all orphans to be reaped", || (children(pid) == [program]).then_some(()));
        let after = kilobytes(pid);
        assert!(after < before + 300, "{before} kB grew to {after} kB");
        drop(writer);
        assert_eq!(shim.ends(), 0);
    }
}

fn kilobytes(pid: i32) -> u64 {
    status(pid, "VmRSS").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A daemon, as Passenger starts nginx: out of the program's group and session, and a child of the init's.
const DAEMON: &str = "import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        def end(*_):
            time.sleep(1)
            os.write(1, b'daemon ended\\n')
            os._exit(0)
        signal.signal(15, end)
        os.write(1, b'daemon up\\n')
        while True: time.sleep(0.01)
    os._exit(0)
signal.signal(15, lambda *_: os._exit(7))
os.wait()
os.write(1, b'program up\\n')
while True: time.sleep(0.01)";

#[test]
fn pitfall_30_a_daemon_that_the_program_left_ends_by_term_before_the_stop_is_over() {
    for place in PLACES {
        in_time(Duration::from_secs(2), || daemon_that_was_left(place));
    }
}

fn daemon_that_was_left(place: Place) -> Duration {
    // Whoever waited for all of it would be given up.
    let shim = Shim::run(place, ["--budget", "2m", "--", "python3", "-c", DAEMON]);
    shim.says("daemon up\n");
    shim.says("program up\n");
    let began = Instant::now();
    shim.signal(15);
    let (code, output, error) = shim.finish();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert_eq!(code, 7);
    assert!(output.ends_with("daemon ended\n"), "{output}");
    assert!(error.contains("app exited with 7, 1 process left "), "{error}");
    took
}

#[test]
fn pitfall_31_a_process_that_left_the_group_is_waited_for_and_then_killed() {
    for place in PLACES {
        // It ends by nothing but KILL.
        let script = "python3 -c 'import os, signal, time
os.setsid()
signal.signal(15, lambda *_: os.write(1, b\"told\\n\"))
os.write(1, b\"up\\n\")
while True: time.sleep(1)' & trap 'exit 8' TERM; while :; do sleep 0.01; done";
        let shim = Shim::script(place, &["--budget", "2s"], script);
        shim.says("up\n");
        let below = descendants(shim.pid());
        shim.signal(15);
        let (code, output, error) = shim.finish();
        assert_eq!((code, output.as_str()), (8, "up\ntold\n"), "{error}");
        all_have_ended(&below);
        assert!(error.contains("1 process left "), "{error}");
    }
}

#[test]
fn an_end_that_nobody_asked_for_waits_for_nobody() {
    let script = "python3 -c 'import os, time
os.setsid()
os.write(1, b\"%d\\n\" % os.getpid())
time.sleep(600)' & read line; exit 5";
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(Place::Subreaper, ["sh", "-c", script]);
    command.stdin(reader);
    let mut shim = Shim::start(&mut command, Place::Subreaper);
    drop(command);
    shim.says("\n");
    let left: i32 = shim.output().trim().parse().unwrap();
    drop(writer);
    assert_eq!(shim.ends(), 5);
    assert!(status(left, "State").is_some(), "as with any init that is not PID 1");
    send(left, 9);
}

#[test]
fn pitfall_32_the_programs_code_is_reported_whoever_ends_with_it() {
    for place in PLACES {
        for _ in 0..50 {
            let script = "(sh -c 'exit 1' &) ; (sh -c 'exit 2' &) ; sh -c 'exit 3' & kill -9 $! & exit 42";
            let (code, _, _) = Shim::script(place, &[], script).finish();
            assert_eq!(code, 42);
        }
    }
    // All of them wait for the init at once: it is stopped while they end.
    let shim =
        Shim::script(Place::Subreaper, &["--verbose"], "(sleep 0.2 &); (sleep 0.2 &); sleep 0.2; exit 42");
    let pid = shim.pid();
    wait_for("the orphans", || (children(pid).len() == 3).then_some(()));
    send(pid, 19);
    let ended = |pid: &i32| status(*pid, "State").is_some_and(|state| state.starts_with('Z'));
    wait_for("all to end", || children(pid).iter().all(ended).then_some(()));
    send(pid, 18);
    let (code, _, error) = shim.finish();
    assert_eq!(code, 42, "{error}");
    assert_eq!(error.matches("reaped ").count(), 3, "{error}");
}

#[test]
fn pitfall_33_exit_codes_pass_and_signals_are_128_and_their_number() {
    for code in [0, 1, 2, 126, 127, 128, 143, 255] {
        for place in PLACES {
            assert_eq!(Shim::script(place, &["--exit-code", "7"], &format!("exit {code}")).finish().0, code);
        }
    }
    for signal in [1, 2, 3, 6, 9, 11, 13, 15, 34, 64] {
        let script = format!("import os; os.kill(os.getpid(), {signal})");
        let mut command = command(
            Place::Subreaper,
            [
                "python3",
                "-c",
                &format!(
                    "import signal; signal.signal(13, signal.SIG_DFL); signal.signal(2, signal.SIG_DFL); {script}"
                ),
            ],
        );
        let mut shim = Shim::start(&mut command, Place::Subreaper);
        assert_eq!(shim.ends(), 128 + signal);
    }
}

#[test]
fn pitfall_33_a_stop_reports_the_code_that_is_asked_for() {
    for (codes, reported) in [("app", 3), ("0", 0), ("3:0,4:1", 0), ("4:1", 3), ("255", 255)] {
        let script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done";
        let mut shim = Shim::script(Place::Subreaper, &["--exit-code", codes], script);
        shim.says("up");
        shim.signal(15);
        assert_eq!(shim.ends(), reported, "{codes}");
    }
}

#[test]
fn pitfall_34_a_program_that_is_stopped_has_not_ended() {
    for place in PLACES {
        let script = "trap 'exit 9' USR1; echo up; while :; do sleep 0.01; done";
        let mut shim = Shim::script(place, &[], script);
        shim.says("up");
        let program = shim.program();
        for _ in 0..20 {
            send(program, 19);
            wait_for("the program to stop", || {
                status(program, "State").filter(|state| state.starts_with('T'))
            });
            assert!(
                status(shim.pid(), "State").is_some_and(|state| !state.starts_with('T')),
                "without a terminal it goes on"
            );
            send(program, 18);
            thread::sleep(Duration::from_millis(2));
        }
        send(program, 10);
        assert_eq!(shim.ends(), 9);
    }
}

#[test]
fn pitfall_35_a_stranger_is_neither_signalled_nor_reaped() {
    let mut stranger = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    let mut shim = Shim::script(
        Place::Subreaper,
        &["--budget", "1s"],
        "trap '' TERM; (sleep 601 &); echo up; while :; do sleep 0.01; done",
    );
    shim.says("up");
    let below = descendants(shim.pid());
    shim.signal(15);
    assert_eq!(shim.ends(), 137);
    all_have_ended(&below);
    assert_eq!(stranger.try_wait().unwrap(), None);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    // Orphans come to it and not to the PID 1 of a Pod that shares its processes.
    let shim = Shim::script(Place::Subreaper, &[], "(sh -c 'sleep 600' &); echo up; sleep 600");
    shim.says("up");
    wait_for("the orphan", || (children(shim.pid()).len() == 2).then_some(()));
}

#[test]
fn pitfall_36_inits_below_inits_pass_one_signal_once() {
    let echo = "trap 'echo told' USR2; trap 'echo ended; exit 4' TERM; echo up; while :; do sleep 0.01; done";
    for chain in [
        &["dumb-init", "tini", "-s", "--"][..],
        &[SHIM, "run", "--"],
        &[SHIM, "run", "--rewrite", "TERM:TERM", "--", SHIM, "run"],
    ] {
        for place in PLACES {
            let words =
                ["--rewrite", "USR1:USR2", "--"].iter().chain(chain).copied().chain(["sh", "-c", echo]);
            let shim = Shim::run(place, words);
            shim.says("up\n");
            shim.signal(10);
            shim.says("told\n");
            shim.signal(15);
            let (code, output, error) = shim.finish();
            assert_eq!((code, output.as_str()), (4, "up\ntold\nended\n"), "{place:?} {chain:?}: {error}");
        }
    }
}

#[test]
fn pitfall_37_the_end_of_the_program_cuts_the_drain() {
    for place in PLACES {
        in_time(Duration::from_secs(1), || program_that_ends_in_the_drain(place));
    }
}

fn program_that_ends_in_the_drain(place: Place) -> Duration {
    let script = "echo up; read line; exit 3";
    let (reader, writer) = std::io::pipe().unwrap();
    let words = ["--drain", "60s", "--stop-command", "echo", "stop", ";", "--", "sh", "-c", script];
    let mut command = command(place, words);
    command.stdin(reader);
    let shim = Shim::start(&mut command, place);
    drop(command);
    shim.says("up");
    shim.signal(15);
    shim.logs("drain of 1m begins");
    let ended = Instant::now();
    drop(writer);
    let (code, output, error) = shim.finish();
    let took = ended.elapsed();
    assert_eq!((code, output.as_str()), (3, "up\n"), "no stop command for what has ended: {error}");
    assert!(error.contains("drain over after "), "{error}");
    assert!(error.contains(" (the program ended), app exited with 3; exit 3"), "{error}");
    took
}

#[test]
fn pitfall_38_without_a_process_for_the_stop_command_the_signal_is_delivered() {
    // A user of nobody else's, who may have two processes: the shim and its program.
    let script = "ulimit -u 2; exec setpriv --reuid 64998 --clear-groups \"$0\" run --stop-command true ';' -- python3 -c \"$1\"";
    let program = "import os, signal, time; signal.signal(15, lambda *_: os._exit(6)); os.write(1, b'up\\n')\nwhile True: time.sleep(0.01)";
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let copy = folder.path().join("fermata-shim");
    // By another process, for what is open for writing in this one is so in what parallel tests start (ETXTBSY).
    assert!(Command::new("cp").arg(SHIM).arg(&copy).status().unwrap().success());
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(&copy).arg(program).stdin(Stdio::null()).env("PATH", "/usr/bin:/bin");
    let shim = Shim::start(&mut command, Place::Subreaper);
    shim.says("up");
    shim.signal(15);
    let (code, _, error) = shim.finish();
    assert_eq!(code, 6, "{error}");
    let said = "stop command Ns gets no process (there are too many)";
    assert!(lines(&error).iter().any(|line| line.contains(said)), "{error}");
    assert!(error.contains("sending TERM"), "{error}");
}
