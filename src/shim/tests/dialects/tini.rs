//! What users of tini rely on: all that its own tests pin, in our words.

use std::{process::Command, thread};

use super::process::{
    Running, as_pid_1, before_exec, call, children, group_and_session, init, is_alive, send, wait_for,
};

fn tini(words: &[&str]) -> Command {
    init("tini", words)
}

const WARNING: &str = "\
Tini is not running as PID 1 and isn't registered as a child subreaper.
Zombie processes will not be re-parented to Tini, so zombie reaping won't work.
To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child subreaper, or run Tini as PID 1.
";

/// Output and error, with the init's pid as P and the program's as N. The script's first word must be `echo $$ $PPID;`.
fn said(command: &mut Command) -> (i32, String, String) {
    let (code, output, error) = call(command);
    let line = output.lines().find(|line| !line.starts_with('[')).unwrap_or_default().to_owned();
    let mut numbers = line.split(' ');
    let [program, init] = [numbers.next().unwrap(), numbers.next().unwrap()];
    let hide = |text: &str| {
        text.replace(&format!("{line}\n"), "")
            .replace(&format!("tini ({init})"), "tini (P)")
            .replace(&format!("pid '{program}'"), "pid 'N'")
            .replace(&format!("pid: '{program}'"), "pid: 'N'")
    };
    (code, hide(&output), hide(&error))
}

#[test]
fn each_of_the_256_exit_codes_passes_and_can_be_made_0() {
    let halves = [0..=127_u32, 128..=255].map(|codes| {
        thread::spawn(move || {
            for code in codes {
                let (code, exit) = (code.to_string(), format!("exit {code}"));
                assert_eq!(call(&mut tini(&["-s", "-e", &code, "--", "sh", "-c", &exit])).0, 0);
                assert_eq!(call(&mut tini(&["-s", "--", "sh", "-c", &exit])).0.to_string(), code);
            }
        })
    });
    for half in halves {
        half.join().unwrap();
    }
    // All but one, without the `--` that only POSIX's order makes unnecessary.
    for code in [0, 1, 2, 126, 143, 255] {
        let others: Vec<String> =
            (0..256).filter(|other| *other != code).map(|other| format!("-e{other}")).collect();
        let mut command = tini(&[]);
        command.args(others).env("POSIXLY_CORRECT", "1").args(["sh", "-c", &format!("exit {code}")]);
        assert_eq!(call(&mut command).0, code);
    }
    assert_eq!(call(&mut tini(&["-s", "-e", "143", "--", "sh", "-c", "kill -TERM $$"])).0, 0);
}

#[test]
fn an_end_by_a_signal_is_128_and_more() {
    for signal in [1, 9, 10, 11, 12, 15, 64] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        assert_eq!(call(&mut tini(&["-s", "--", "sh", "-c", &script])).0, 128 + signal);
        if ![11, 64].contains(&signal) {
            let mut running =
                Running::start(&mut tini(&["-s", "--", "sh", "-c", "echo ready; exec sleep 60"]));
            running.until("ready");
            send(if signal == 9 { running.program() } else { running.pid() }, signal);
            assert_eq!(running.ends(), 128 + signal);
        }
    }
}

#[test]
fn it_warns_where_it_cannot_reap() {
    let script = ["--", "sh", "-c", "echo $$ $PPID"];
    let warned = (0, String::new(), format!("[WARN  tini (P)] {WARNING}"));
    let silent = (0, String::new(), String::new());
    assert_eq!(said(&mut tini(&script)), warned);
    assert_eq!(said(tini(&script).env("TINI_VERBOSITY", "1")), warned);
    assert_eq!(said(tini(&script).env("TINI_VERBOSITY", "0")), silent);
    assert_eq!(said(tini(&["-s"]).args(script)), silent);
    assert_eq!(said(tini(&script).env("TINI_SUBREAPER", "")), silent);
    assert_eq!(said(as_pid_1("tini", &[]).args(script)), silent);
    // Whoever executed it may have made it one.
    let mut command = tini(&script);
    before_exec(&mut command, || nix::sys::prctl::set_child_subreaper(true).unwrap());
    assert_eq!(said(&mut command), silent);
}

/// Leaves an orphan, waits until it is reaped, and says whose it was.
const LEAVES_AN_ORPHAN: &str = "orphan=$(sh -c 'sleep 0.05 >&- & echo $!'); \
                                while [ -e /proc/$orphan ]; do sleep 0.01; done; echo $orphan";

#[test]
fn it_reaps_orphans_and_says_so_where_it_is_asked_to() {
    let script = ["--", "sh", "-c", LEAVES_AN_ORPHAN];
    for (words, place) in [(&["-s"][..], "subreaper"), (&[], "pid 1")] {
        let command = |more: &[&str]| {
            let mut command = if place == "pid 1" { as_pid_1("tini", words) } else { tini(words) };
            command.args(more).args(script);
            command
        };
        let (code, _, error) = call(&mut command(&[]));
        assert_eq!((code, error.as_str()), (0, ""), "{place}");
        let (code, orphan, error) = call(&mut command(&["-w"]));
        let (start, end) = error.split_once(')').unwrap();
        assert_eq!(code, 0);
        assert!(start.starts_with("[WARN  tini ("), "{error}");
        assert_eq!(end, format!("] Reaped zombie process with pid={orphan}"));
    }
}

#[test]
fn levels_say_more_and_more() {
    let script = ["-s", "--", "sh", "-c", "echo $$ $PPID; exit 3"];
    let info = [
        "[INFO  tini (P)] Spawned child process 'sh' with pid 'N'",
        "[INFO  tini (P)] Main child exited normally (with status '3')",
    ];
    let debug = ["[DEBUG tini (P)] Received SIGCHLD", "[DEBUG tini (P)] Reaped child with pid: 'N'"];
    let trace =
        ["[TRACE tini (P)] Registered as child subreaper", "[TRACE tini (P)] Exiting: child has exited"];
    for (option, variable, expected) in [
        ("-s", "2", vec![info[0], info[1]]),
        ("-v", "2", vec![info[0], info[1]]),
        ("-vv", "3", vec![info[0], debug[0], debug[1], info[1]]),
        ("-vvv", "4", vec![trace[0], info[0], debug[0], debug[1], info[1], trace[1]]),
    ] {
        let expected: String = expected.iter().flat_map(|line| [line, "\n"]).collect();
        let by_variable = said(tini(&script).env("TINI_VERBOSITY", variable));
        assert_eq!(by_variable, (3, expected.clone(), String::new()));
        if option != "-s" {
            assert_eq!(said(tini(&[option]).args(script)), (3, expected, String::new()));
        }
    }
    let (_, output, _) = call(tini(&["-svv", "--", "sh", "-c", "kill -KILL $$"]).env("LC_ALL", "C"));
    assert!(output.contains("Main child exited with signal (with signal 'Killed')\n"), "{output}");
}

#[test]
fn every_signal_is_passed_on_but_those_about_ones_own_faults() {
    let running = Running::printer(&mut tini(&["-s", "--"]));
    let kept = [4, 5, 6, 7, 8, 11, 31, 21, 22];
    for signal in (1..=64).filter(|signal| ![9, 17, 19, 32, 33].contains(signal)) {
        running.signal(signal);
        if !kept.contains(&signal) {
            assert_eq!(running.line(), signal.to_string());
        }
    }
}

/// A program that does not die of USR1 while one below it does.
const OTHER_DIES_OF_USR1: &str = "trap : USR1; sh -c 'echo ready; exec sleep 60' & wait; wait $!; echo $?";

#[test]
fn a_group_hears_of_a_signal_where_it_is_asked_to() {
    let script = ["sh", "-c", OTHER_DIES_OF_USR1];
    for command in [
        tini(&["-s", "-g", "--"]).args(script),
        tini(&["-s", "--"]).args(script).env("TINI_KILL_PROCESS_GROUP", ""),
    ] {
        let mut running = Running::start(command);
        running.until("ready");
        running.signal(10);
        assert_eq!(running.line(), "138");
        assert_eq!(running.ends(), 0);
    }
    let running = Running::start(tini(&["-s", "--"]).args(script));
    running.until("ready");
    let other = wait_for("the other one", || children(running.program()).first().copied());
    running.signal(10);
    running.signal(16);
    wait_for("the end of the program", || children(other).is_empty().then_some(()));
    // Nobody else ends it.
    let alive = is_alive(other);
    send(other, 9);
    assert!(alive);
}

#[test]
fn the_program_leads_a_group_in_the_same_session() {
    let running = Running::printer(&mut tini(&["-s", "--"]));
    let program = running.program();
    let (_, session) = group_and_session(running.pid());
    assert_eq!(group_and_session(program), (program, session));
}

#[test]
fn signal_actions_and_mask_are_the_callers() {
    use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
    let mut command = tini(&["-s", "--", "cat", "/proc/self/status"]);
    before_exec(&mut command, || {
        for ignored in [Signal::SIGTTOU, Signal::SIGSEGV, Signal::SIGINT, Signal::SIGPIPE, Signal::SIGCHLD] {
            #[expect(unsafe_code, reason = "nix cannot know that an action is no function")]
            // SAFETY: it is none.
            unsafe {
                signal(ignored, SigHandler::SigIgn).unwrap();
            }
        }
        let blocked = SigSet::from_iter([Signal::SIGTTIN, Signal::SIGILL, Signal::SIGTERM]);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None).unwrap();
    });
    let (_, output, _) = call(&mut command);
    let set = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(name)).unwrap();
        let bits = u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap();
        (1..32).filter(|signal| bits >> (signal - 1) & 1 == 1).collect::<Vec<_>>()
    };
    assert_eq!(set("SigBlk"), [4, 15, 21], "{output}");
    assert_eq!(set("SigIgn"), [2, 11, 13, 17, 22], "{output}");
}

#[test]
fn the_parents_end_is_told_where_it_is_asked_for() {
    // The shell waits for its input, so that it is there when tini asks to be told of its end.
    let script = "\"$0\" -s -p SIGUSR1 -- \"$@\" & read go";
    let mut command = Command::new("sh");
    let (input, hold) = std::io::pipe().unwrap();
    command.args(["-c", script]).arg(super::process::shim("tini")).stdin(input);
    let running = Running::printer(&mut command);
    drop(command);
    let init = running.program();
    let printer = wait_for("the program", || children(init).first().copied());
    drop(hold);
    assert_eq!(running.line(), "10");
    send(printer, 9);
    assert!(running.has_ended_output());
}

#[test]
fn a_command_that_cannot_be_run_is_a_fatal_message() {
    for (command, code, why) in [
        ("/doesnotexist", 127, "No such file or directory"),
        ("doesnotexist", 127, "No such file or directory"),
        ("/etc", 126, "Permission denied"),
        ("/etc/passwd", 126, "Permission denied"),
    ] {
        let (seen, output, error) = call(&mut tini(&["-s", command]));
        assert_eq!((seen, output.as_str()), (code, ""));
        let (start, end) = error.split_once(')').unwrap();
        assert!(start.starts_with("[FATAL tini ("), "{error}");
        assert_eq!(end, format!("] exec {command} failed: {why}\n"));
    }
}

#[test]
fn the_directory_is_everybodys() {
    let mut command = tini(&["-s", "--", "sh", "-c", "readlink /proc/$PPID/cwd /proc/$$/cwd"]);
    assert_eq!(call(command.current_dir("/proc")), (0, "/proc\n/proc\n".into(), String::new()));
}

#[test]
fn a_closed_standard_input_is_nobodys_end() {
    let mut command = tini(&["-s", "--", "sh", "-c", "[ -e /proc/self/fd/0 ] || echo closed"]);
    before_exec(&mut command, || {
        let _ = nix::unistd::close(0);
    });
    assert_eq!(call(&mut command), (0, "closed\n".into(), String::new()));
}

#[test]
fn what_is_asked_for_goes_to_output_and_mistakes_to_error() {
    let (code, help, error) = call(&mut tini(&["-h"]));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(
        help.starts_with(
            "tini (tini version 0.19.0)\nUsage: tini [OPTIONS] PROGRAM -- [ARGS] | --version\n\n"
        )
    );
    assert_eq!(call(&mut tini(&["--version"])), (0, "tini version 0.19.0\n".into(), String::new()));
    assert_eq!(call(&mut tini(&[])), (1, String::new(), help.clone()));
    let unknown = format!("tini: invalid option -- 'x'\n{help}");
    assert_eq!(call(&mut tini(&["-x", "true"])), (1, String::new(), unknown));
    let (code, license, _) = call(&mut tini(&["-l"]));
    assert_eq!(code, 0);
    assert!(license.contains("Apache License, Version 2.0"));
}
