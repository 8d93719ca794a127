//! What users of dumb-init rely on: all that its own tests pin, in our words.

use std::{fs, process::Command};

use super::process::{
    Running, as_pid_1, call, children, group_and_session, init, is_alive, send, wait_for, wait_for_state,
    wait_until_it_goes_on,
};

/// Every signal up to 31 that can be passed on and suspends nobody.
fn passed_on() -> impl Iterator<Item = i32> {
    (1..=31).filter(|signal| ![9, 17, 19, 20, 21, 22].contains(signal))
}

/// Both modes: signals for the group, and for the program alone.
const MODES: [&[&str]; 2] = [&[], &["-c"]];

fn dumb_init(words: &[&str]) -> Command {
    init("dumb-init", words)
}

#[test]
fn every_signal_is_passed_on_one_at_a_time() {
    for mode in MODES {
        let running = Running::printer(&mut dumb_init(mode));
        for signal in passed_on().chain(34..=64) {
            running.signal(signal);
            assert_eq!(running.line(), signal.to_string(), "{mode:?}");
        }
    }
}

#[test]
fn the_end_of_a_child_is_not_passed_on() {
    let running = Running::printer(&mut dumb_init(&[]));
    running.signal(17);
    running.signal(1);
    assert_eq!(running.line(), "1");
}

#[test]
fn signals_are_rewritten_once_and_dropped_by_0() {
    for mode in MODES {
        let with = |rewrites: &[&str]| {
            let words: Vec<&str> =
                mode.iter().copied().chain(rewrites.iter().flat_map(|rewrite| ["-r", rewrite])).collect();
            Running::printer(&mut dumb_init(&words))
        };
        for (rewrites, sent_and_seen) in [
            (&["15:2"][..], &[(15, 2), (3, 3), (18, 18), (2, 2)][..]),
            (&["15:2", "2:15", "3:3"], &[(15, 2), (3, 3), (2, 15)]),
            (&["1:31", "31:1"], &[(1, 31), (31, 1)]),
            // Quirks of sscanf that command lines out there rely on without knowing it.
            (&[" 15: 3", "+2:1junk"], &[(15, 3), (2, 1)]),
        ] {
            let running = with(rewrites);
            for &(sent, seen) in sent_and_seen {
                running.signal(sent);
                assert_eq!(running.line(), seen.to_string(), "{rewrites:?}");
            }
        }
        let running = with(&["15:3", "2:0", "28:0"]);
        for (dropped, sent, seen) in [(2, 15, "3"), (28, 1, "1")] {
            running.signal(dropped);
            running.signal(sent);
            assert_eq!(running.line(), seen);
        }
    }
}

#[test]
fn a_suspended_job_stops_as_a_whole_and_goes_on_as_one() {
    let running = Running::printer(&mut dumb_init(&[]));
    for signal in [20, 21, 22] {
        running.signal(signal);
        wait_for_state(running.program(), "T");
        wait_for_state(running.pid(), "T");
        running.signal(18);
        assert_eq!(running.line(), "18");
        wait_until_it_goes_on(running.pid());
    }
}

#[test]
fn alone_the_program_gets_the_suspending_signal_itself() {
    for (mode, sent_and_seen) in [
        (&["-c"][..], [(20, "20"), (21, "21"), (22, "22")]),
        // A rewrite of the user's counts for a group too, and the init stops all the same.
        (&["-r", "20:1", "-r", "21:15", "-r", "22:2"], [(20, "1"), (21, "15"), (22, "2")]),
    ] {
        let running = Running::printer(&mut dumb_init(mode));
        for (sent, seen) in sent_and_seen {
            running.signal(sent);
            assert_eq!(running.line(), seen);
            wait_for_state(running.pid(), "T");
            running.signal(18);
            assert_eq!(running.line(), "18");
            wait_until_it_goes_on(running.pid());
        }
    }
}

#[test]
fn the_program_leads_a_session_unless_told_otherwise() {
    let running = Running::printer(&mut dumb_init(&[]));
    let program = running.program();
    assert_eq!(group_and_session(program), (program, program));
    for command in [&mut dumb_init(&["--single-child"]), dumb_init(&[]).env("DUMB_INIT_SETSID", "0")] {
        let running = Running::printer(command);
        assert_eq!(group_and_session(running.program()), group_and_session(running.pid()));
    }
}

/// A shell that waits for another one, so that there is somebody besides the program.
const TWO: &str = "trap 'exit 0' TERM; sh -c 'trap \"echo told; exit 0\" TERM; echo ready; for i in $(seq 3000); do sleep 0.01; done' & \
                   wait; wait";

#[test]
fn the_whole_group_hears_of_a_signal() {
    let mut running = Running::start(&mut dumb_init(&["sh", "-c", TWO]));
    running.until("ready");
    running.signal(15);
    assert_eq!(running.line(), "told");
    // Told again when the program ends, it may say so again.
    while !running.has_ended_output() {}
    assert_eq!(running.ends(), 0);
}

#[test]
fn alone_the_program_hears_of_a_signal() {
    for command in
        [&mut dumb_init(&["-c", "sh", "-c", TWO]), dumb_init(&["sh", "-c", TWO]).env("DUMB_INIT_SETSID", "0")]
    {
        let mut running = Running::start(command);
        running.until("ready");
        let other = wait_for("the other shell", || children(running.program()).first().copied());
        running.signal(15);
        // The init does not clean up either: the other one goes on until it is told.
        assert_eq!(running.ends(), 0);
        let alive = is_alive(other);
        send(other, 15);
        assert!(alive);
        assert_eq!(running.line(), "told");
        assert!(running.has_ended_output());
    }
}

#[test]
fn what_the_program_leaves_in_its_group_gets_term_as_it_is_rewritten() {
    const LEAVES: &str = "sh -c 'trap \"echo TERM; exit\" TERM; trap \"echo USR1; exit\" USR1; echo ready; for i in $(seq 3000); do sleep 0.01; done' & \
         read go";
    for (rewrite, told) in [("1:1", "TERM"), ("15:10", "USR1"), ("15:0", "nothing")] {
        let mut command = dumb_init(&["-r", rewrite, "sh", "-c", LEAVES]);
        let (input, hold) = std::io::pipe().unwrap();
        let mut running = Running::start(command.stdin(input));
        // The command holds the reading end, and nobody else may.
        drop(command);
        running.until("ready");
        let other = wait_for("the other shell", || children(running.program()).first().copied());
        drop(hold);
        // `read` fails at the end of its input.
        assert_eq!(running.ends(), 1, "{rewrite}");
        if told == "nothing" {
            assert!(is_alive(other));
            send(other, 15);
            assert_eq!(running.line(), "TERM");
        } else {
            assert_eq!(running.line(), told);
        }
        assert!(running.has_ended_output());
    }
}

#[test]
fn exit_codes_are_the_programs_and_128_and_more_for_signals() {
    for mode in MODES {
        let code = |script: &str| call(dumb_init(mode).args(["sh", "-c", script])).0;
        for expected in [0, 1, 2, 32, 64, 127, 128, 254, 255] {
            assert_eq!(code(&format!("exit {expected}")), expected);
        }
        for signal in [1, 3, 9, 11, 15, 34, 64] {
            assert_eq!(code(&format!("ulimit -c 0; kill -{signal} $$")), 128 + signal);
        }
    }
}

#[test]
fn a_command_that_cannot_be_run_ends_it_as_in_a_shell() {
    for (command, code, why) in [
        ("/doesnotexist", 127, "No such file or directory"),
        ("doesnotexist", 127, "No such file or directory"),
        ("", 127, "No such file or directory"),
        ("/etc/passwd/x", 127, "Not a directory"),
        ("/etc", 126, "Permission denied"),
        ("/etc/passwd", 126, "Permission denied"),
    ] {
        for words in [
            &[command][..],
            &["--", command],
            &["-c", command],
            &["--single-child", "--", command],
            &["-r1:2", command],
        ] {
            let message = format!("[dumb-init] {command}: {why}\n");
            assert_eq!(call(&mut dumb_init(words)), (code, String::new(), message), "{words:?}");
        }
    }
}

#[test]
fn the_init_leaves_the_directory_and_the_program_stays() {
    for mode in MODES {
        let script = "readlink /proc/$PPID/cwd /proc/$$/cwd";
        let here = fs::canonicalize("/usr/bin").unwrap();
        let (code, output, _) = call(dumb_init(mode).args(["sh", "-c", script]).current_dir(&here));
        assert_eq!((code, output), (0, format!("/\n{}\n", here.display())));
    }
}

/// What was said, with the program's pid as N.
fn said(mut command: Command, code: i32) -> String {
    let (seen, output, error) =
        call(command.args(["sh", "-c", "echo $$; eval \"$0\""]).arg(format!("exit {code}")));
    assert_eq!(seen, code);
    error.replace(&format!("PID {}", output.trim()), "PID N")
}

#[test]
fn what_is_done_is_said_where_it_is_asked_for() {
    const END: &str = "\
[dumb-init] Received signal 17.
[dumb-init] A child with PID N exited with exit status 3.
[dumb-init] Forwarded signal 15 to children.
[dumb-init] Child exited with status 3. Goodbye.
";
    const START: &str = "\
[dumb-init] Unable to detach from controlling tty (errno=25 Inappropriate ioctl for device).
[dumb-init] Child spawned with PID N.
[dumb-init] Unable to attach to controlling tty (errno=25 Inappropriate ioctl for device).
[dumb-init] setsid complete.
";
    let alone = format!("[dumb-init] Child spawned with PID N.\n{END}");
    let environment = |debug, setsid| {
        let mut command = dumb_init(&[]);
        command.env("DUMB_INIT_DEBUG", debug).env("DUMB_INIT_SETSID", setsid);
        said(command, 3)
    };
    for verbose in ["-v", "--verbose", "--verb"] {
        assert_eq!(said(dumb_init(&[verbose]), 3), format!("{START}{END}"));
        for single in ["-c", "--single-child", "--s"] {
            assert_eq!(said(dumb_init(&[verbose, single]), 3), alone);
        }
    }
    assert_eq!(environment("1", ""), format!("[dumb-init] Running in debug mode.\n{START}{END}"));
    assert_eq!(
        environment("1", "0"),
        format!("[dumb-init] Running in debug mode.\n[dumb-init] Not running in setsid mode.\n{alone}")
    );
    assert_eq!(environment("0", "0"), "");
    assert_eq!(environment("", ""), "");
    let cleaned = END.replace("Forwarded", "Translating signal 15 to 3.\n[dumb-init] Forwarded");
    let cleaned = cleaned.replace("signal 15 to children", "signal 3 to children");
    assert_eq!(
        said(dumb_init(&["-vc", "-r15:3"]), 3),
        format!("[dumb-init] Child spawned with PID N.\n{cleaned}")
    );
}

#[test]
fn each_signal_is_said_with_what_became_of_it() {
    let running = Running::printer(&mut dumb_init(&["-v", "-r", "15:10", "-r", "2:0", "-r3:3"]));
    for (sent, seen) in [(1, "1"), (15, "10"), (3, "3"), (34, "34")] {
        running.signal(sent);
        assert_eq!(running.line(), seen);
    }
    running.signal(2);
    running.signal(20);
    wait_for_state(running.pid(), "T");
    running.signal(18);
    assert_eq!(running.line(), "18");
    let error = running.error();
    let (_, signals) = error.split_once("setsid complete.\n").unwrap();
    let (signals, end) = signals.split_once("[dumb-init] Suspending self due to TTY signal.\n").unwrap();
    assert_eq!(
        signals,
        "\
[dumb-init] Received signal 1.
[dumb-init] Forwarded signal 1 to children.
[dumb-init] Received signal 15.
[dumb-init] Translating signal 15 to 10.
[dumb-init] Forwarded signal 10 to children.
[dumb-init] Received signal 3.
[dumb-init] Translating signal 3 to 3.
[dumb-init] Forwarded signal 3 to children.
[dumb-init] Received signal 34.
[dumb-init] Forwarded signal 34 to children.
[dumb-init] Received signal 2.
[dumb-init] Translating signal 2 to 0.
[dumb-init] Not forwarding signal 0 to children (ignored).
[dumb-init] Received signal 20.
[dumb-init] Translating signal 20 to 19.
[dumb-init] Forwarded signal 19 to children.
"
    );
    assert!(
        end.contains("[dumb-init] Received signal 18.\n[dumb-init] Forwarded signal 18 to children.\n"),
        "{end}"
    );
    assert!(end.contains(" was terminated by signal 9.\n"), "{end}");
}

#[test]
fn as_pid_1_it_reaps_and_passes_on() {
    // A zombie is in /proc too: in the end there are the init and the shell, and nobody else.
    let script =
        "sh -c 'sh -c \"echo orphan\" & exit 0'; until set -- /proc/[0-9]*; [ $# = 2 ]; do :; done; exit 7";
    let (code, output, _) = call(&mut as_pid_1("dumb-init", &["sh", "-c", script]));
    assert_eq!((code, output.as_str()), (7, "orphan\n"));
    let mut running = Running::start(&mut as_pid_1(
        "dumb-init",
        &["sh", "-c", "trap 'exit 9' TERM; echo ready; for i in $(seq 3000); do sleep 0.01; done"],
    ));
    running.until("ready");
    send(running.program(), 15);
    assert_eq!(running.ends(), 9);
}

#[test]
fn the_program_begins_with_nothing_ignored_or_blocked() {
    let script = "trap '' HUP INT TERM; exec \"$0\" \"$@\"";
    let shim = super::process::shim("dumb-init");
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(shim).args(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    let (_, output, _) = call(&mut command);
    let sets: Vec<u64> = output
        .lines()
        .map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap())
        .collect();
    // libc keeps 32 and 33 to itself, so that nobody can set them.
    assert_eq!(sets.iter().map(|set| set & !(0b11 << 31)).collect::<Vec<_>>(), [0, 0], "{output}");
}

#[test]
fn a_closed_standard_input_is_nobodys_end() {
    let mut command = dumb_init(&["sh", "-c", "[ -e /proc/self/fd/0 ] || echo closed"]);
    super::process::before_exec(&mut command, || {
        let _ = nix::unistd::close(0);
    });
    assert_eq!(call(&mut command), (0, "closed\n".into(), String::new()));
}
