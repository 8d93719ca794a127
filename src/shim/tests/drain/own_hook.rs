//! The drain of a fixed length, and the container's own hook behind it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::hook::{Hook, shim};

#[test]
fn a_fixed_drain_takes_its_time_and_says_so() {
    assert_eq!(Hook::start("--drain 1s").outcome().ended_after(1_000), "its fixed length");
}

#[test]
fn no_drain_and_no_hook_is_nothing() {
    let outcome = Hook::start("").outcome();
    assert_eq!((outcome.status.code(), outcome.output.as_str(), outcome.error.as_str()), (Some(0), "", ""));
}

#[test]
fn a_stop_signal_ends_the_hook_at_once() {
    let hook = Hook::start("--drain 1h -- /bin/true");
    wait_until_asleep(&hook);
    hook.signal(Signal::SIGTERM);
    let outcome = hook.outcome();
    assert_eq!(outcome.status.signal(), Some(15), "{outcome:?}");
}

#[test]
fn pitfall_23_being_stopped_does_not_move_the_end() {
    let mut hook = Hook::start("--drain 3s");
    wait_until_asleep(&hook);
    hook.signal(Signal::SIGSTOP);
    let until = Duration::from_millis(1_500);
    std::thread::sleep(until.saturating_sub(hook.running_for()));
    assert!(hook.is_running());
    hook.signal(Signal::SIGCONT);
    hook.outcome().ended_after(3_000);
}

#[test]
fn pitfall_23_being_stopped_past_the_end_ends_it_at_once() {
    let hook = Hook::start("--drain 1s..2s");
    wait_until_asleep(&hook);
    hook.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(2_500).saturating_sub(hook.running_for()));
    hook.signal(Signal::SIGCONT);
    hook.outcome().ended_after(2_500);
}

#[test]
fn the_hook_takes_the_place_of_the_drain() {
    let script = r#"echo "$$|$0|$1|$2|$FERMATA_TEST|$(pwd)|$(umask)|$(cat)""#;
    let mut command = shim();
    command.args(["--drain", "0s", "--", "sh", "-c", script, "-x", "--drain", ";"]);
    command.current_dir("/usr/bin").env("FERMATA_TEST", "a b");
    let hook = Hook::start_command(&mut command);
    let id = hook.id();
    let outcome = hook.outcome();
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert_eq!(outcome.output, format!("{id}|-x|--drain|;|a b|/usr/bin|{}|\n", umask()));
    assert_eq!(outcome.error, "");
}

#[test]
fn the_exit_code_is_the_hooks() {
    let mut command = shim();
    let outcome = Hook::start_command(command.args(["--", "sh", "-c", "exit 42"])).outcome();
    assert_eq!(outcome.status.code(), Some(42));
    let mut command = shim();
    let outcome = Hook::start_command(command.args(["--", "sh", "-c", "kill -QUIT $$"])).outcome();
    assert_eq!(outcome.status.signal(), Some(3));
}

#[test]
fn pitfall_4_what_cannot_be_executed_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "echo hello").unwrap();
    for (program, code) in [
        ("/nonexistent/hook", 127),
        ("no-such-hook-anywhere", 127),
        ("/etc", 126),
        (plain.to_str().unwrap(), 126),
    ] {
        let outcome = Hook::start(&format!("-- {program}")).outcome();
        assert_eq!(outcome.status.code(), Some(code), "{outcome:?}");
        assert!(
            outcome.error.starts_with("fermata-shim: ") && outcome.error.contains(program),
            "{outcome:?}"
        );
        assert_eq!(outcome.error.matches('\n').count(), 1, "{outcome:?}");
    }
}

#[test]
fn pitfall_11_signals_are_as_they_were_inherited() {
    const PIPE: u64 = 1 << (13 - 1);
    let status = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"];
    let own = |words: &[&str]| {
        let mut plain = Command::new(words[0]);
        let plain = Hook::start_command(plain.args(&words[1..]).args(status)).outcome();
        let mut drained = Command::new(words[0]);
        let shim = env!("CARGO_BIN_EXE_fermata-shim");
        let drained = drained.args(&words[1..]).args([shim, "drain", "--"]).args(status);
        let drained = Hook::start_command(drained).outcome();
        assert_eq!(plain.output, drained.output, "{words:?}");
        drained.output
    };
    let ignored = |signals: &str| {
        let mask = signals.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap()
    };
    assert_eq!(ignored(&own(&["env"])) & PIPE, 0);
    assert_eq!(ignored(&own(&["env", "--ignore-signal=PIPE"])) & PIPE, PIPE);
    own(&["env", "--block-signal=USR1"]);
}

#[test]
fn pitfall_10_no_file_of_ours_reaches_the_hook() {
    let files = ["ls", "/proc/self/fd"];
    let plain = Hook::start_command(Command::new(files[0]).args(&files[1..])).outcome();
    let mut drained = shim();
    let drained = Hook::start_command(drained.args(["--drain", "0s..1s", "--quiet", "0s", "--"]).args(files));
    assert_eq!(plain.output, drained.outcome().output);
}

#[test]
fn words_need_not_be_utf_8() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let mut command = shim();
    command.args(["--", "printf", "%s"]).arg(OsStr::from_bytes(b"caf\xe9"));
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"caf\xe9"[..]));
}

#[test]
fn a_request_is_made_behind_the_drain() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/quit?now", listener.local_addr().unwrap());
    for (answer, code, said) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, String::new()),
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            1,
            format!("fermata-shim: GET {url}: the answer is 503 Service Unavailable\n"),
        ),
    ] {
        let mut command = shim();
        let hook = Hook::start_command(command.args(["--http-get", &url, "--http-header", "X-Why: bye"]));
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        drop(stream);
        let request = String::from_utf8(request).unwrap();
        assert!(
            request.starts_with("GET /quit?now HTTP/1.1\r\n") && request.contains("X-Why: bye\r\n"),
            "{request}"
        );
        let outcome = hook.outcome();
        assert_eq!((outcome.status.code(), outcome.error), (Some(code), said));
    }
}

#[test]
fn a_wrong_flag_is_named_and_exits_2() {
    for (line, said) in [
        ("--drain 60s..5s", "--drain: \"60s..5s\" is a range that goes down"),
        ("--drian 5s", "\"--drian\" is no flag of it"),
        ("--http-get ftp://x/", "--http-get: \"ftp://x/\" is no URL of http"),
    ] {
        let outcome = Hook::start(line).outcome();
        assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
        assert!(outcome.error.contains(said) && outcome.error.contains("; use "), "{outcome:?}");
    }
}

/// Waits until the hook sleeps, which it does only in its drain.
fn wait_until_asleep(hook: &Hook) {
    let stack = format!("/proc/{}/syscall", hook.id());
    let status = format!("/proc/{}/status", hook.id());
    loop {
        assert!(hook.running_for() < Duration::from_secs(20), "the hook never sleeps");
        let asleep = std::fs::read_to_string(&status).unwrap().contains("State:\tS");
        // clock_nanosleep or nanosleep; without the right to look, being asleep is what counts.
        let where_it_sleeps = std::fs::read_to_string(&stack).unwrap_or_default();
        let number = where_it_sleeps.split(' ').next().unwrap_or_default();
        let sleeps =
            [nix::libc::SYS_clock_nanosleep, nix::libc::SYS_nanosleep].map(|number| number.to_string());
        if asleep && (where_it_sleeps.is_empty() || sleeps.iter().any(|sleep| sleep == number)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn umask() -> String {
    let mut shell = Command::new("sh");
    String::from_utf8(shell.args(["-c", "umask"]).output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn its_name_may_be_anything_with_the_right_subcommand() {
    let mut command = shim();
    let outcome = Hook::start_command(command.arg0("/fermata/shim").args(["--", "true"])).outcome();
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
}
