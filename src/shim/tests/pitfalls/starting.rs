//! From the shim's start to the program's: pitfalls 1 to 15.

use std::{
    ffi::OsString,
    fs,
    os::fd::OwnedFd,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::shim::{PLACES, Place, SHIM, Shim, children, comm, command, send, status, wait_for};

#[test]
fn a_program_runs_gets_its_stop_signal_and_its_exit_code_is_reported() {
    for place in PLACES {
        let shim =
            Shim::script(place, &[], "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.01; done");
        shim.says("up");
        shim.signal(15);
        let (code, output, error) = shim.finish();
        assert_eq!((code, output.as_str()), (3, "up\ntold\n"), "{place:?}: {error}");
        assert!(error.contains("fermata-shim: TERM: stopped in "), "{error}");
        assert!(error.trim_end().ends_with("app exited with 3; exit 3"), "{error}");
    }
}

/// A number below `limit` that differs from one turn to the next and is the same in every run.
fn scattered(turn: u64, limit: u64) -> u64 {
    (turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33) % limit
}

#[test]
fn pitfall_1_a_stop_signal_right_after_the_start_always_ends_it() {
    for turn in 0..1000 {
        let scope = if turn % 2 == 0 { "child" } else { "group" };
        let mut command = command(Place::Subreaper, ["--signal-scope", scope, "--", "sleep", "600"]);
        let mut shim = command.stderr(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(shim.id()).unwrap();
        thread::sleep(Duration::from_micros(scattered(turn, 5000)));
        send(pid, 15);
        let ended = wait_for(&format!("the end after turn {turn}"), || shim.try_wait().unwrap());
        // 143 from the program, or the signal itself before there was an init.
        assert!(ended.code().is_none_or(|code| code == 143), "{ended:?}");
    }
}

#[test]
fn pitfall_1_as_pid_1_a_stop_signal_counts_from_when_signals_are_held_back() {
    for turn in 0..150 {
        let scope = if turn % 2 == 0 { "child" } else { "group" };
        let mut shim = Shim::run(Place::Pid1, ["--signal-scope", scope, "--", "sleep", "600"]);
        let pid = shim.pid();
        // Either they are, or they were, and it waits for them: the kernel then shows what is held back as let
        // through.
        wait_for("signals to be held back", || {
            let held = status(pid, "SigBlk")?.starts_with("ffffff");
            (held || !children(pid).is_empty()).then_some(())
        });
        thread::sleep(Duration::from_micros(scattered(turn, 1500)));
        send(pid, 15);
        assert_eq!(shim.ends(), 143, "turn {turn}");
    }
}

#[test]
fn pitfall_2_a_stop_signal_between_fork_and_group_waits_for_the_program() {
    let mut caught = 0;
    for _ in 0..3000 {
        let mut command = command(Place::Subreaper, ["--signal-scope", "group", "--", "sleep", "600"]);
        let mut shim = command.stderr(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(shim.id()).unwrap();
        let child = wait_for("the fork", || children(pid).first().copied());
        // Caught before it is its program, and held there while the stop signal comes.
        send(child, 19);
        send(pid, 15);
        // If it is its program already, the stop makes it go on to hear the signal.
        wait_for("the child to stop or to end", || match status(child, "State") {
            Some(state) => state.starts_with(['T', 'Z']).then_some(()),
            None => Some(()),
        });
        let stopped = status(child, "State").is_some_and(|state| state.starts_with('T'));
        if stopped && comm(child).as_deref() == Some("fermata-shim") {
            caught += 1;
            thread::sleep(Duration::from_millis(5));
            assert_eq!(shim.try_wait().unwrap(), None, "the signal must wait");
        }
        send(child, 18);
        let ended = wait_for("the end", || shim.try_wait().unwrap());
        assert_eq!(ended.code(), Some(143));
        if caught == 3 {
            return;
        }
    }
    panic!("the moment between fork and execution was caught {caught} times of 3");
}

#[test]
fn pitfall_3_there_is_no_handler_that_could_take_a_signal_from_the_program() {
    for place in PLACES {
        let shim = Shim::run(place, ["sleep", "600"]);
        let program = shim.program();
        assert_eq!(status(shim.pid(), "SigCgt").unwrap(), "0000000000000000");
        let mut plain = Command::new("sleep").arg("600").spawn().unwrap();
        let plain_pid = i32::try_from(plain.id()).unwrap();
        for field in ["SigCgt", "SigBlk", "SigIgn"] {
            assert_eq!(status(program, field), status(plain_pid, field), "{field} as without a shim");
        }
        plain.kill().unwrap();
        plain.wait().unwrap();
    }
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn pitfall_4_a_command_that_cannot_be_executed_gives_126_or_127_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    write(Path::new(&file("mode")), b"#!/bin/sh\n", 0o644);
    write(Path::new(&file("interpreter")), b"#!/no/such/sh -e\n", 0o755);
    write(Path::new(&file("windows")), b"#!/bin/sh\r\n", 0o755);
    // The header of a program for another machine.
    let mut elf = fs::read(SHIM).unwrap();
    elf.truncate(4096);
    elf[18..20].copy_from_slice(&[0xf3, 0]);
    write(Path::new(&file("machine")), &elf, 0o755);
    let path = std::env::var("PATH").unwrap();
    let cases = [
        ("no-such-command".into(), 127, format!("it is in no folder of PATH ({path})")),
        (file("none"), 127, "there is no such file".into()),
        (file("mode/x"), 127, "a part of its path is no directory".into()),
        (file("interpreter"), 127, "its interpreter /no/such/sh is missing".into()),
        (file("windows"), 127, "its interpreter /bin/sh\\r is missing".into()),
        (file("mode"), 126, "it is not executable, or its filesystem is mounted noexec".into()),
        (file(""), 126, "it is a directory".into()),
        (file("machine"), 126, "it is no program for this machine".into()),
    ];
    for (program, code, reason) in cases {
        for place in PLACES {
            let (ended, output, error) = Shim::run(place, ["--", &program]).finish();
            assert_eq!((ended, output.as_str()), (code, ""), "{program}: {error}");
            assert_eq!(error, format!("fermata-shim: cannot run {program:?}: {reason}\n"));
        }
    }
}

#[test]
fn pitfall_4_a_program_that_is_being_written_gives_126() {
    let folder = tempfile::tempdir().unwrap();
    let busy = folder.path().join("busy");
    fs::copy("/bin/true", &busy).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&busy).unwrap();
    let (code, _, error) = Shim::run(Place::Subreaper, [&busy]).finish();
    assert_eq!(code, 126);
    assert!(error.ends_with("somebody is writing to it\n"), "{error}");
    drop(writer);
}

#[test]
fn pitfall_5_a_script_without_an_interpreter_is_the_shells_as_for_execvp() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    write(&script, b"echo \"$0 $1 $#\"\n", 0o755);
    let (code, output, _) =
        Shim::run(Place::Subreaper, [script.as_os_str(), "a b".as_ref(), "c".as_ref()]).finish();
    assert_eq!((code, output), (0, format!("{} a b 2\n", script.display())));
}

#[test]
fn pitfall_6_words_behind_the_command_are_the_commands() {
    for (line, expected) in [
        (&["echo", "--drain", "-v", "--", ";"][..], "--drain -v -- ;\n"),
        (&["--", "echo", "--", "a"], "-- a\n"),
        (&["--verbose", "--", "echo", "-n"], ""),
    ] {
        let (code, output, _) = Shim::run(Place::Subreaper, line).finish();
        assert_eq!((code, output.as_str()), (0, expected), "{line:?}");
    }
    let (code, _, error) = Shim::run(Place::Subreaper, ["--", "-x"]).finish();
    assert_eq!(code, 127, "{error}");
    assert!(error.starts_with("fermata-shim: cannot run \"-x\": "), "{error}");
}

#[test]
fn pitfall_6_a_wrong_command_line_names_flag_value_and_what_is_accepted() {
    let see = "\nsee fermata-shim --help\n";
    for (line, message) in [
        (
            &[][..],
            "command: \"\" is missing; use the flags of fermata-shim run --help, then -- and a command",
        ),
        (
            &["--"],
            "command: \"\" is missing; use the flags of fermata-shim run --help, then -- and a command",
        ),
        (
            &["--", ""],
            "command: \"\" is the empty string; use the flags of fermata-shim run --help, then -- and a command",
        ),
        (
            &["--drian", "5s", "x"],
            "run: \"--drian\" is no flag of it; use the flags of fermata-shim run --help, then -- and a command",
        ),
        (
            &["--drain", "x", "y"],
            "--drain: \"x\" is not a duration; use a duration such as 15s, or a range such as 5s..60s",
        ),
        (
            &["--trigger", "KILL", "x"],
            "--trigger: \"KILL\" is a signal that never comes as one; use any but KILL, STOP and CHLD",
        ),
        (
            &["--stop-command", "a", "x"],
            "--stop-command: the command is not closed by a `;` of its own; use the words of a command and then `;` as a word of its own",
        ),
    ] {
        let (code, output, error) = Shim::run(Place::Subreaper, line).finish();
        assert_eq!((code, output.as_str()), (2, ""), "{line:?}");
        assert_eq!(error, format!("fermata-shim: {message}{see}"));
    }
}

#[test]
fn pitfall_7_a_command_is_searched_in_the_containers_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::create_dir(folder.path().join("denied")).unwrap();
    write(&folder.path().join("bin/tool"), b"#!/bin/sh\necho found\n", 0o755);
    write(&folder.path().join("denied/tool"), b"#!/bin/sh\necho wrong\n", 0o644);
    for (path, program, code) in [
        ("/none:bin", "tool", 0),
        ("denied:bin", "tool", 0),
        ("denied:/none", "tool", 126),
        ("bin", "./bin/tool", 0),
        ("", "bin/tool", 0),
        ("/none", "tool", 127),
    ] {
        let mut command = command(Place::Subreaper, [program]);
        command.env("PATH", path).current_dir(folder.path());
        let (ended, output, error) = Shim::start(&mut command, Place::Subreaper).finish();
        assert_eq!(ended, code, "{path} {program}: {error}");
        assert_eq!(output, if code == 0 { "found\n" } else { "" });
    }
    // An empty entry is the current directory, and without PATH the system's folders are searched.
    let mut empty = command(Place::Subreaper, ["tool"]);
    empty.env("PATH", "/none:").current_dir(folder.path().join("bin"));
    assert_eq!(Shim::start(&mut empty, Place::Subreaper).finish().0, 0);
    let mut unset = command(Place::Subreaper, ["echo", "found"]);
    unset.env_remove("PATH");
    assert_eq!(Shim::start(&mut unset, Place::Subreaper).finish().1, "found\n");
}

#[test]
fn pitfall_8_arguments_and_environment_arrive_byte_for_byte() {
    // As large as the kernel takes: 1.5 MB in all, 128 kB less one in one argument, bytes that are no text.
    let mut words = vec![OsString::from("cat"), "/proc/self/cmdline".into()];
    let bytes: Vec<u8> = (1..=255).collect();
    words.extend([OsString::new(), OsString::from_vec(bytes.clone()), "x".repeat(128 * 1024 - 1).into()]);
    words.extend((0..14).map(|_| OsString::from("y".repeat(100_000))));
    let mut command = command(Place::Subreaper, ["--"].map(OsString::from).into_iter().chain(words.clone()));
    let output = command.stderr(Stdio::null()).output().unwrap();
    // cat reads all of these as files, and says on standard error that they are none.
    let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
    assert!(output.stdout == expected, "{} bytes instead of {}", output.stdout.len(), expected.len());

    // Entries without `=`, twice the same, no text, and 2,000 of them.
    let script = "import os, sys
env = [b'PATH=/bin:/usr/bin', b'no-equals-sign', b'A=1', b'A=2', b'B=\\xff\\xfe', b'=x', b'']
env += [b'V%d=%d' % (n, n) for n in range(2000)]
import ctypes
libc = ctypes.CDLL(None)
def array(words):
    return (ctypes.c_char_p * (len(words) + 1))(*words, None)
argv = [sys.argv[1].encode(), b'run', b'--', b'cat', b'/proc/self/environ']
libc.execve(argv[0], array(argv), array(env))";
    let mut command = Command::new("python3");
    let output = command.args(["-c", script, SHIM]).stdin(Stdio::null()).output().unwrap();
    let start: &[u8] = b"PATH=/bin:/usr/bin\0no-equals-sign\0A=1\0A=2\0B=\xff\xfe\0=x\0\0V0=0\0";
    assert!(output.stdout.starts_with(start), "{:?}", String::from_utf8_lossy(&output.stdout[..100]));
    assert!(output.stdout.ends_with(b"V1999=1999\0"));
}

/// The shell's way to close descriptors, for the shim alone.
fn with_redirections(redirections: &str, words: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec \"$0\" run {words} {redirections}"), SHIM]).stdin(Stdio::null());
    command
}

#[test]
fn pitfall_9_closed_standard_streams_stay_closed_and_hold_nothing_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
        let redirections = closed.iter().map(|fd| format!("{fd}>&-")).collect::<Vec<_>>().join(" ");
        let script = format!(
            "'for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] && echo $fd; done > {}; exit 5'",
            list.display()
        );
        let words = format!("--verbose -- sh -c {script}");
        let mut shim = Shim::start(&mut with_redirections(&redirections, &words), Place::Subreaper);
        assert_eq!(shim.ends(), 5, "{closed:?}: {}", shim.error());
        let open: Vec<String> = (0..3).filter(|fd| !closed.contains(fd)).map(|fd| fd.to_string()).collect();
        let seen = fs::read_to_string(&list).unwrap();
        // The shell opens the list as its standard output while it looks.
        let seen: Vec<&str> = seen.lines().filter(|fd| *fd != "1" || !closed.contains(&1)).collect();
        assert_eq!(seen, open, "{closed:?}");
    }
    // The init's own descriptors are those that it was given, and none more.
    let shim = Shim::start(&mut with_redirections("0>&- 2>&-", "-- sleep 600"), Place::Subreaper);
    shim.program();
    let mut fds: Vec<_> =
        fs::read_dir(format!("/proc/{}/fd", shim.pid())).unwrap().map(|fd| fd.unwrap().file_name()).collect();
    fds.retain(|fd| fd.to_str().and_then(|fd| fd.parse::<i32>().ok()).is_some_and(|fd| fd < 3));
    assert_eq!(fds, ["1"]);
}

#[test]
fn pitfall_10_inherited_descriptors_reach_the_program_and_none_of_ours() {
    let list = "for fd in /proc/self/fd/*; do echo \"${fd##*/} $(readlink $fd)\"; done | grep null";
    let words = format!("-- bash -c '{}'", list.replace('\'', "'\\''"));
    let mut command = with_redirections("3</dev/null 7</dev/null 250</dev/null", &words);
    let (_, output, error) = Shim::start(&mut command, Place::Subreaper).finish();
    let fds: Vec<&str> = output.lines().collect();
    for fd in ["0 /dev/null", "3 /dev/null", "7 /dev/null", "250 /dev/null"] {
        assert!(fds.contains(&fd), "{output}{error}");
    }
    // What the program has beyond what the shim has is nothing.
    let shim = Shim::run(Place::Subreaper, ["sleep", "600"]);
    let list = |pid: i32| {
        let mut fds: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .map(|fd| fd.unwrap())
            // One that was closed meanwhile leads nowhere.
            .filter_map(|fd| Some((fd.file_name(), fs::read_link(fd.path()).ok()?)))
            .collect();
        fds.sort();
        fds
    };
    // Both are looked at anew each time: a program that has just been executed has its libraries open for a moment.
    let program = shim.program();
    wait_for("the shim to have what the program has", || (list(shim.pid()) == list(program)).then_some(()));
}

#[test]
fn pitfall_10_sockets_that_are_passed_on_are_for_the_program() {
    let script =
        "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" run -- sh -c 'echo $LISTEN_PID $$ $LISTEN_FDS'";
    for (place, start) in
        [(Place::Subreaper, "exec"), (Place::Pid1, "exec unshare --pid --fork --kill-child")]
    {
        let script = match place {
            Place::Subreaper => script.to_owned(),
            Place::Pid1 => script.replace("LISTEN_PID=$$", "LISTEN_PID=1").replacen("exec", start, 1),
        };
        let output = Command::new("bash").args(["-c", &script, SHIM]).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = output.split_whitespace().collect();
        assert_eq!((words[0], words[2]), (words[1], "1"), "{place:?}");
    }
    let script = "export LISTEN_PID=77; exec \"$0\" run -- sh -c 'echo $LISTEN_PID'";
    let output = Command::new("bash").args(["-c", script, SHIM]).output().unwrap();
    assert_eq!(output.stdout, b"77\n", "another's is left alone");
}

/// A log that is a pipe, with a name or without, full to the last byte or without a reader. What is returned second
/// keeps it so.
fn bad_log(named: bool, broken: bool) -> (fs::File, Option<fs::File>) {
    use std::io::Write;
    let (reader, mut writer) = if named {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let both = || fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let hold = both();
        (fs::File::open(&path).unwrap(), {
            let writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
            drop(hold);
            writer
        })
    } else {
        let (reader, writer) = std::io::pipe().unwrap();
        (fs::File::from(OwnedFd::from(reader)), fs::File::from(OwnedFd::from(writer)))
    };
    if broken {
        return (writer, None);
    }
    let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    fcntl(&writer, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
    (writer, Some(reader))
}

#[test]
fn pitfall_11_a_log_that_nobody_reads_never_blocks_and_a_broken_one_never_kills() {
    for (named, broken) in [(false, false), (false, true), (true, false), (true, true)] {
        let (log, _reader) = bad_log(named, broken);
        let flags = ["--verbose", "--drain", "1s", "--exit-code", "9", "--", "sh", "-c"];
        let mut command = command(Place::Subreaper, flags);
        command.arg("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
        let mut child = command.stdout(Stdio::piped()).stderr(log.try_clone().unwrap()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        send(pid, 28);
        send(pid, 15);
        let ended = wait_for("the end", || child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(9), "named: {named}, broken: {broken}");
        let flags = OFlag::from_bits_retain(fcntl(&log, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "the flags that all share are left alone");
    }
}

#[test]
fn a_log_of_any_kind_is_written() {
    let folder = tempfile::tempdir().unwrap();
    // A file, appended to and not; a pipe with a name.
    for (redirection, before) in [(">>", "before\n"), (">", "")] {
        let log = folder.path().join("log");
        fs::write(&log, "before\n").unwrap();
        let script = format!("exec \"$0\" run -- /none 2{redirection}{}", log.display());
        let ended = Command::new("bash").args(["-c", &script, SHIM]).status().unwrap();
        assert_eq!(ended.code(), Some(127));
        let expected = format!("{before}fermata-shim: cannot run \"/none\": there is no such file\n");
        assert_eq!(fs::read_to_string(&log).unwrap(), expected);
    }
    let named = folder.path().join("named");
    nix::unistd::mkfifo(&named, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("\"$0\" run -- /none 2>{0} & cat {0}; wait", named.display());
    let output = Command::new("bash").args(["-c", &script, SHIM]).output().unwrap();
    assert_eq!(output.stdout, b"fermata-shim: cannot run \"/none\": there is no such file\n");
}

#[test]
fn pitfall_11_the_program_gets_the_pipe_signal_as_the_shim_got_it() {
    for (trap, ignored) in [("true", false), ("trap '' PIPE", true)] {
        let script = format!("{trap}; exec \"$0\" run -- grep SigIgn /proc/self/status");
        let output = Command::new("bash").args(["-c", &script, SHIM]).output().unwrap();
        let mask = String::from_utf8(output.stdout).unwrap();
        let mask = u64::from_str_radix(mask.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(mask & 1 << 12 != 0, ignored, "{trap}");
    }
}

#[test]
fn pitfall_12_what_was_ignored_or_blocked_stays_so_except_a_stop_signal() {
    // HUP, INT, TERM, CHLD and RTMIN+1 ignored; TERM, USR2, QUIT and RTMIN+3 blocked.
    let script = "import os, signal, sys
for s in (1, 2, 15, 17, 35): signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, {15, 12, 3, 37})
os.execvp(sys.argv[1], sys.argv[1:])";
    let masks = |front: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(front).args(["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]);
        let output = String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap();
        let mask = |name: &str| {
            let line = output.lines().find(|line| line.starts_with(name)).unwrap();
            let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            (1..=64).filter(|signal| mask & 1 << (signal - 1) != 0).collect::<Vec<i32>>()
        };
        (mask("SigIgn"), mask("SigBlk"))
    };
    let (ignored, blocked) = masks(&["env"]);
    assert!([1, 2, 15, 17, 35].iter().all(|signal| ignored.contains(signal)), "{ignored:?}");
    assert_eq!(blocked, [3, 12, 15, 37]);
    for (flags, freed) in [
        (&["--"][..], &[15][..]),
        (&["--trigger", "QUIT,INT,RTMIN+3", "--"], &[2, 3, 15, 37]),
        (&["--rewrite", "TERM:QUIT", "--"], &[3, 15]),
    ] {
        let kept =
            |signals: &[i32]| signals.iter().copied().filter(|s| !freed.contains(s)).collect::<Vec<_>>();
        let front: Vec<&str> = [SHIM, "run"].iter().chain(flags).copied().collect();
        assert_eq!(masks(&front), (kept(&ignored), kept(&blocked)), "{flags:?}");
    }
}

#[test]
fn pitfall_13_limits_and_attributes_of_the_process_reach_the_program() {
    let print = "ulimit -a; umask; pwd; nice; cat /proc/self/oom_score_adj; id; cat /proc/self/comm; \
                 grep -E 'Groups|NoNewPrivs|Cpus_allowed_list|Cap' /proc/self/status";
    let script = "ulimit -n 77 -c 0 -v 4000000; umask 0137; cd /tmp; \
                  exec nice -n 5 setpriv --groups 7,8 --no-new-privs choom -n 123 -- \"$@\" bash -c \"$0\"";
    let run = |front: &[&str]| {
        let output = Command::new("bash").args(["-c", script, print]).args(front).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&[SHIM, "run", "--"]), run(&["env"]));
}

#[test]
fn pitfall_14_a_program_of_another_user_is_out_of_reach_and_nothing_worse() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-kill", "--inh-caps", "-kill", SHIM, "run", "--budget", "2s", "--"]);
    command.args(["setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c"]);
    command.arg("echo up; sleep 6; echo done").stdin(Stdio::null());
    let shim = Shim::start(&mut command, Place::Subreaper);
    shim.says("up");
    shim.signal(10);
    shim.signal(12);
    shim.logs("fermata-shim: cannot send ");
    shim.signal(15);
    let (code, _, error) = shim.finish();
    assert_eq!(error.matches("cannot send").count(), 1, "{error}");
    assert!(error.contains("operation not permitted; this is said once"), "{error}");
    // It cannot be killed either: the stop ends all the same.
    assert_eq!(code, 137, "{error}");
    assert!(error.contains("killed at the end of the budget, app outlived KILL"), "{error}");
}

#[test]
fn pitfall_15_nothing_needs_proc_or_a_root_that_can_be_written() {
    let script = "mount -t tmpfs none /proc && mount -o remount,ro,bind / 2>/dev/null; cd /; \
                  exec \"$0\" run --drain 1s --status-command sh -c 'echo status' ';' -- sh -c \"$1\"";
    let program = "(sleep 600 &); trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount", "bash", "-c", script, SHIM, program]);
    let mut command = {
        command.stdin(Stdio::null());
        command
    };
    let shim = Shim::start(&mut command, Place::Pid1);
    shim.says("up");
    shim.signal(15);
    let (code, output, error) = shim.finish();
    assert_eq!((code, output.as_str()), (4, "up\nstatus\n"), "{error}");
}

#[test]
fn the_command_line_says_what_it_is() {
    let output = |words: &[&str]| {
        let output = Command::new(SHIM).arg0("fermata-shim").args(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output(&["--version"]), "fermata-shim 0.1.0\n");
    for words in [&["--help"][..], &["run", "--help"]] {
        let help = output(words);
        assert!(help.contains("Usage:") && help.lines().all(|line| line.len() <= 110), "{help}");
    }
    for flag in [
        "--profile",
        "--trigger",
        "--rewrite",
        "--signal-scope",
        "--drain",
        "--quiet",
        "--status-command",
        "--stop-command",
        "--exit-code",
        "--budget",
        "--verbose",
        "--help",
    ] {
        assert!(output(&["run", "--help"]).contains(flag), "{flag}");
    }
}
