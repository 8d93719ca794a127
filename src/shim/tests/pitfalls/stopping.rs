//! The stop sequence: pitfalls 39 to 41, 49 and 50.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::shim::{PLACES, Place, Shim, all_have_ended, command, in_time, send, status, wait_for};

/// A program that ends with 3 when it is told.
const APP: &str = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.01; done";

/// The lines that the shim said, without its name, and with each length of time as `N`.
pub(crate) fn lines(error: &str) -> Vec<String> {
    let number = |line: &str| {
        let mut shown = String::new();
        let mut rest = line;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits =
                rest[at..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len() - at);
            let (before, after) = (&rest[..at], &rest[at + digits..]);
            let number = &rest[at..at + digits];
            shown.push_str(before);
            shown.push_str(if number.contains('.') && after.starts_with('s') { "N" } else { number });
            rest = after;
        }
        shown + rest
    };
    error.lines().map(|line| number(line.strip_prefix("fermata-shim: ").unwrap_or(line))).collect()
}

#[test]
fn the_post_mortems_sequence_works_word_for_word() {
    for place in PLACES {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let stand_in = |name: &str, script: &str| {
            use std::os::unix::fs::PermissionsExt;
            let file = folder.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        // The application serves until its stop command comes, and would end by any signal.
        stand_in(
            "app",
            "echo $$ > pid; trap 'echo app USR1 >> trace; exit 1' USR1; echo serving; while [ ! -e stopped ]; do sleep 0.01; done; echo app ends >> trace; exit 2",
        );
        stand_in("passenger-status", "echo status >> trace; echo 'Requests in queue: 0'");
        stand_in(
            "passenger",
            "echo \"passenger $* after $(($(date +%s%N) / 1000000 - $(cat began))) ms\" >> trace; touch stopped",
        );
        let line = "--rewrite 15:10 --drain 2s --status-command passenger-status ; --stop-command passenger stop --port 5000 ; --exit-code 0 -- app";
        let mut command = command(place, line.split(' '));
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        command.current_dir(folder.path()).env("PATH", path);
        let shim = Shim::start(&mut command, place);
        shim.says("serving\n");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        fs::write(folder.path().join("began"), now.to_string()).unwrap();
        shim.signal(15);
        let (code, output, error) = shim.finish();
        assert_eq!(code, 0, "{error}");
        assert_eq!(output, "serving\nRequests in queue: 0\n");
        let trace = fs::read_to_string(trace).unwrap();
        let trace: Vec<&str> = trace.lines().collect();
        assert_eq!((trace[0], trace[2]), ("status", "app ends"), "{trace:?}");
        let after =
            trace[1].strip_prefix("passenger stop --port 5000 after ").unwrap().trim_end_matches(" ms");
        assert!((2000..5000).contains(&after.parse::<u32>().unwrap()), "{trace:?}");
        // The app may end before the command that has told it to.
        let lines: Vec<_> =
            lines(&error).into_iter().filter(|line| !line.starts_with("waiting for")).collect();
        assert_eq!(
            lines,
            [
                "TERM: stopping: status command passenger-status, drain 2s, stop command passenger stop --port 5000",
                "status command Ns exit 0",
                "drain of 2s begins",
                "drain over after Ns",
                "running stop command: passenger stop --port 5000",
                "stop command Ns exit 0",
                "TERM: stopped in Ns: status command Ns exit 0, drain Ns, stop command Ns exit 0, app exited with 2; exit 0",
            ]
        );
    }
}

#[test]
fn pitfall_39_a_status_command_that_hangs_is_killed_and_the_stop_goes_on() {
    for place in PLACES {
        in_time(Duration::from_secs(3), || hanging_status_command(place));
    }
}

fn hanging_status_command(place: Place) -> Duration {
    // A quarter of the budget is its time.
    let flags = [
        "--budget",
        "4s",
        "--status-command",
        "sh",
        "-c",
        "sleep 600 & echo $$ $! $(cut -d' ' -f5 /proc/self/stat); wait",
        ";",
    ];
    let shim = Shim::script(place, &flags, APP);
    shim.says("up\n");
    let began = Instant::now();
    shim.signal(15);
    shim.says("told\n");
    let took = began.elapsed();
    let (code, output, error) = shim.finish();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert_eq!(code, 3, "its end is not the program's: {error}");
    assert!(lines(&error).iter().any(|line| line == "status command Ns timed out"), "{error}");
    let words: Vec<i32> = output.lines().nth(1).unwrap().split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(words[0], words[2], "it has a group of its own");
    if place == Place::Subreaper {
        for pid in &words[..2] {
            wait_for("its group to be gone", || status(*pid, "State").is_none().then_some(()));
        }
    }
    took
}

#[test]
fn pitfall_39_whatever_comes_of_the_status_command_the_stop_goes_on() {
    for (words, said) in [
        (&["sh", "-c", "exit 5"][..], "status command Ns exit 5"),
        (&["sh", "-c", "kill -9 $$"], "status command Ns ended by KILL"),
        (&["/no/such/command"], "status command Ns cannot be run (no such file or directory)"),
        (&["/etc"], "status command Ns cannot be run (permission denied)"),
    ] {
        let flags = [&["--status-command"], words, &[";"]].concat();
        let shim = Shim::script(Place::Subreaper, &flags, APP);
        shim.says("up\n");
        shim.signal(15);
        let (code, _, error) = shim.finish();
        assert_eq!((code, lines(&error)[1].as_str()), (3, said), "{error}");
    }
}

#[test]
fn pitfall_40_the_stop_command_runs_where_the_container_was_started_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let print = "pwd; echo \"$MARK\"; cat; umask; grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let mut command = command(
        Place::Pid1,
        ["--stop-command", "sh", "-c", print, ";", "--budget", "4s", "--", "sh", "-c", APP],
    );
    command.current_dir(folder.path()).env("MARK", "the \u{e9} environment");
    let plain = std::process::Command::new("sh")
        .args(["-c", print])
        .stdin(Stdio::null())
        .current_dir(folder.path())
        .env("MARK", "the \u{e9} environment")
        .output()
        .unwrap();
    let shim = Shim::start(&mut command, Place::Pid1);
    shim.says("up\n");
    shim.signal(15);
    let (code, output, error) = shim.finish();
    assert_eq!(output, format!("up\n{}told\n", String::from_utf8(plain.stdout).unwrap()), "{error}");
    // It worked and the program went on, which is given the signal when the command's time is over.
    assert_eq!(code, 3);
    let last = lines(&error).pop().unwrap_or_default();
    assert!(last.contains("stop command Ns exit 0, TERM Ns, app exited with 3"), "{error}");
}

#[test]
fn pitfall_40_a_stop_command_that_fails_or_hangs_is_made_good_by_the_signal() {
    // One that has the init stop again: that changes nothing.
    let again = "kill -TERM $PPID; sleep 0.2; kill -TERM $PPID; exit 6";
    for (budget, words, said) in [
        ("30s", &["sh", "-c", "exit 5"][..], "stop command Ns exit 5"),
        ("30s", &["/no/such/command"], "stop command Ns cannot be run (no such file or directory)"),
        ("3s", &["sleep", "600"], "stop command Ns timed out"),
        ("30s", &["sh", "-c", again], "stop command Ns exit 6"),
    ] {
        for place in PLACES {
            let flags = [&["--budget", budget, "--stop-command"], words, &[";"]].concat();
            let shim = Shim::script(place, &flags, APP);
            shim.says("up\n");
            shim.signal(15);
            let (code, output, error) = shim.finish();
            assert_eq!((code, output.as_str()), (3, "up\ntold\n"), "{error}");
            assert_eq!(lines(&error)[2..4], [said, "sending TERM to the program"], "{error}");
        }
    }
}

#[test]
fn pitfall_41_the_budget_is_never_overrun_and_a_plan_that_needs_more_is_told_at_the_start() {
    for place in PLACES {
        in_time(SOON_AFTER_IT, || used_up_budget(place));
    }
}

/// A budget of two seconds, and one for what is measured beside it.
const SOON_AFTER_IT: Duration = Duration::from_secs(3);

fn used_up_budget(place: Place) -> Duration {
    let script = "trap 'echo told' TERM; echo up; sleep 600 & while :; do wait; done";
    let shim = Shim::script(place, &["--drain", "60s", "--budget", "2s"], script);
    shim.says("up\n");
    shim.logs("warning: --drain 1m leaves no time of --budget 2s: the drain will be cut short\n");
    let below = crate::shim::descendants(shim.pid());
    let began = Instant::now();
    shim.signal(15);
    let (code, output, error) = shim.finish();
    let took = began.elapsed();
    assert_eq!((code, output.as_str()), (137, "up\ntold\n"), "{error}");
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    // A killed program gets a second to go, in which it may not have had a processor: then it is late, and this turn does not
    // count.
    assert!(error.contains("killed at the end of the budget, app "), "{error}");
    assert!(took >= SOON_AFTER_IT || error.contains("app ended by KILL; exit 137"), "{error}");
    all_have_ended(&below);
    took
}

/// `sh -c "server"`, the post-mortem's second failure: the shell ends at once, and the server is what serves.
#[test]
fn a_server_behind_a_shell_is_told_once_and_gets_its_time() {
    for (place, scope) in PLACES.into_iter().zip(["group", "child"]) {
        let server = "import signal, sys, time
told = []
for number in (signal.SIGTERM, signal.SIGQUIT): signal.signal(number, lambda number, frame: told.append(int(number)))
print('up', flush=True)
while not told: time.sleep(0.01)
time.sleep(7)
print('told', told, flush=True)";
        let script = format!("python3 -c \"{server}\"; true");
        let flags = ["--signal-scope", scope, "--rewrite", "TERM:QUIT", "--budget", "20s"];
        let words = flags.into_iter().chain(["--", "sh", "-c", &script]);
        let shim = Shim::run(place, words);
        shim.says("up\n");
        shim.signal(15);
        let (code, output, error) = shim.finish();
        assert_eq!((code, output.as_str()), (131, "up\ntold [3]\n"), "the shell ended by QUIT: {error}");
        assert!(lines(&error).last().unwrap().contains("app ended by QUIT"), "{error}");
    }
}

#[test]
fn a_range_ends_when_traffic_has_stopped() {
    // Nothing listens in a network of its own.
    let mut command = std::process::Command::new("unshare");
    command.args([
        "--net",
        "--",
        crate::shim::SHIM,
        "run",
        "--drain",
        "1s..60s",
        "--quiet",
        "1s",
        "--",
        "sh",
        "-c",
        APP,
    ]);
    let shim = Shim::start(command.stdin(Stdio::null()), Place::Subreaper);
    shim.says("up\n");
    shim.signal(15);
    let (code, _, error) = shim.finish();
    assert_eq!(code, 3);
    assert!(error.contains("(nothing listens), TERM 0."), "{error}");
}

#[test]
fn pitfall_49_who_ends_the_program_by_hand_is_told_apart_from_a_stop() {
    // The kernel's end of a program that takes too much memory, or somebody's in the container.
    for place in PLACES {
        let shim = Shim::script(place, &["--drain", "60s", "--exit-code", "0"], APP);
        shim.says("up\n");
        send(shim.program(), 9);
        let (code, _, error) = shim.finish();
        assert_eq!((code, error.as_str()), (137, ""), "no drain, no map, nothing to say");
    }
    // A stop signal by hand from inside is a stop.
    let shim = Shim::script(
        Place::Pid1,
        &["--exit-code", "0"],
        "trap 'exit 3' TERM; kill -TERM 1; while :; do sleep 0.01; done",
    );
    assert_eq!(shim.finish().0, 0);
}

#[test]
fn pitfall_50_it_is_silent_until_the_stop_and_its_lines_are_whole() {
    for place in PLACES {
        let script = "trap 'exit 3' TERM; echo up; (exit 4) & while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2; done";
        let words = [
            "--drain",
            "1s",
            "--status-command",
            "sh",
            "-c",
            "while kill -0 $PPID; do echo bbbbbbbbbbbbbbbb >&2; done & sleep 0.2",
            ";",
        ];
        let shim = Shim::script(place, &words, script);
        shim.says("up\n");
        shim.signal(12 + 16);
        shim.signal(15);
        let (code, _, error) = shim.finish();
        assert_eq!(code, 3);
        let others = |line: &&str| !line.starts_with("fermata-shim: ");
        for line in error.lines().filter(others) {
            assert!(
                line.bytes().all(|b| b == b'a') || line.bytes().all(|b| b == b'b') || line.contains("kill"),
                "{line}"
            );
        }
        let first = error.lines().find(|line| !others(line)).unwrap();
        assert!(first.starts_with("fermata-shim: TERM: stopping: "), "{first}");
        assert_eq!(error.lines().filter(|line| line.contains(": stopped in ")).count(), 1);
    }
    let (code, output, error) = Shim::script(Place::Subreaper, &[], "(exit 1) & exit 0").finish();
    assert_eq!((code, output.as_str(), error.as_str()), (0, "", ""));
}

#[test]
fn verbose_says_each_signal_and_each_process() {
    let shim = Shim::script(
        Place::Subreaper,
        &["-v", "--rewrite", "USR1:USR2,HUP:0"],
        "trap 'exit 3' TERM; trap : USR2; (true &); echo up; while :; do sleep 0.05; done",
    );
    shim.says("up\n");
    shim.signal(10);
    shim.logs("fermata-shim: USR1 becomes USR2\nfermata-shim: sent USR2 to the program\n");
    shim.signal(1);
    shim.logs("fermata-shim: HUP is dropped\n");
    shim.signal(15);
    let (_, _, error) = shim.finish();
    assert!(error.starts_with("fermata-shim: started \"sh\" as "), "{error}");
    assert!(error.contains(": exit 0\n") && error.contains("fermata-shim: reaped the program, "), "{error}");
}
