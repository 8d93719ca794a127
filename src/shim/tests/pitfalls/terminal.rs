//! The shim on a terminal: pitfalls 21 and 27, and the terminal's part of 24.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::openpty,
};

use crate::shim::{PLACES, Place, SHIM, children, comm, command, descendants, send, status, wait_for};

/// A terminal, and the process that leads its session.
struct Terminal {
    /// The other side of the terminal, which the reader of the screen holds too as long as this is not dropped.
    keyboard: Option<Arc<File>>,
    screen: Arc<Mutex<Vec<u8>>>,
    leader: Child,
}

impl Terminal {
    /// Runs a command as the leader of a new terminal's session.
    fn new(command: &mut Command) -> Self {
        let pair = openpty(None, None).unwrap();
        // A child that held it would keep the terminal from hanging up.
        fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        fcntl(&pair.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        command.stdin(stream(&pair.slave)).stdout(stream(&pair.slave)).stderr(stream(&pair.slave));
        #[expect(unsafe_code, reason = "only the process itself can take a terminal")]
        // SAFETY: both are system calls that take numbers.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let leader = command.spawn().unwrap();
        let keyboard = Arc::new(File::from(pair.master));
        let weak = Arc::downgrade(&keyboard);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&screen);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Some(output) = weak.upgrade() {
                let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
                if poll(&mut ready, PollTimeout::from(20_u8)) == Ok(0) {
                    continue;
                }
                let Ok(read @ 1..) = (&*output).read(&mut part) else { break };
                kept.lock().unwrap().extend_from_slice(&part[..read]);
            }
        });
        Self { keyboard: Some(keyboard), screen, leader }
    }

    fn keyboard(&self) -> &File {
        self.keyboard.as_deref().unwrap()
    }

    fn types(&mut self, keys: &str) {
        self.keyboard().write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn shows(&self, text: &str) {
        self.shows_times(text, 1);
    }

    fn shows_times(&self, text: &str, times: usize) {
        let deadline = std::time::Instant::now() + crate::shim::PATIENCE;
        while self.screen().matches(text).count() < times {
            assert!(std::time::Instant::now() < deadline, "no {text:?} on the screen: {}", self.screen());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process group in the foreground.
    fn foreground(&self) -> i32 {
        let mut group: libc::pid_t = 0;
        #[expect(
            unsafe_code,
            reason = "nix asks for a group in this process' own namespace and session only"
        )]
        // SAFETY: the request writes one number.
        unsafe {
            libc::ioctl(self.keyboard().as_raw_fd(), libc::TIOCGPGRP, &raw mut group);
        }
        group
    }

    fn resize(&self, columns: u16) {
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        #[expect(unsafe_code, reason = "nix does not wrap this ioctl")]
        // SAFETY: the request reads one structure.
        unsafe {
            libc::ioctl(self.keyboard().as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
        }
    }

    fn leader(&self) -> i32 {
        i32::try_from(self.leader.id()).unwrap()
    }

    /// The shim below the leader, or the leader itself.
    fn shim(&self) -> i32 {
        wait_for("the shim", || {
            let is_shim = |pid: &i32| comm(*pid).as_deref() == Some("fermata-shim");
            std::iter::once(self.leader()).chain(descendants(self.leader())).find(is_shim)
        })
    }

    fn ends(&mut self) -> i32 {
        wait_for("the leader to end", || self.leader.try_wait().unwrap()).code().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.leader.try_wait().ok().flatten().is_none() {
            for pid in descendants(self.leader()) {
                send(pid, 9);
            }
            let _ = self.leader.kill();
            let _ = self.leader.wait();
        }
    }
}

const ECHO: &str = "import os, signal, time
for s in (1, 2, 3, 15, 18, 20, 28, 10): signal.signal(s, lambda s, frame: os.write(1, b'got %d\\n' % s))
os.write(1, b'up\\n')
while True: time.sleep(0.01)";

#[test]
fn pitfall_21_a_key_on_the_terminal_reaches_the_program_once() {
    for place in PLACES {
        for scope in ["child", "group"] {
            let words = ["--signal-scope", scope, "--trigger", "PWR", "--", "python3", "-c", ECHO];
            let mut terminal = Terminal::new(&mut command(place, words));
            terminal.shows("up");
            let program = wait_for("the program", || children(terminal.shim()).first().copied());
            assert_eq!(terminal.foreground(), program, "it has the terminal");
            terminal.types("\u{3}");
            terminal.shows("got 2");
            terminal.types("\u{1c}");
            terminal.shows("got 3");
            send(terminal.shim(), 10);
            terminal.shows("got 10");
            let screen = terminal.screen();
            assert_eq!(screen.matches("got 2\r").count(), 1, "{place:?} {scope}: {screen}");
            assert_eq!(screen.matches("got 3\r").count(), 1, "{screen}");
        }
    }
}

#[test]
fn pitfall_25_what_the_kernel_says_of_a_terminal_that_was_given_up_is_nobody_elses() {
    let mut called = Command::new(SHIM);
    called.arg0("dumb-init").args(["--verbose", "python3", "-c", ECHO]);
    let terminal = Terminal::new(&mut called);
    terminal.shows("up");
    for signal in [1, 18] {
        terminal.shows(&format!("[dumb-init] Ignoring tty hand-off signal {signal}.\r\n"));
    }
    assert!(!terminal.screen().contains("got"), "{}", terminal.screen());
    // Only once.
    for signal in [1, 18] {
        send(terminal.leader(), signal);
        terminal.shows(&format!("got {signal}\r\n"));
    }
}

#[test]
fn pitfall_27_a_window_that_is_resized_does_not_end_an_apache() {
    for place in PLACES {
        let words = ["--profile", "apache", "--verbose", "--", "python3", "-c", ECHO];
        let terminal = Terminal::new(&mut command(place, words));
        terminal.shows("up");
        for columns in [80, 100, 120] {
            terminal.resize(columns);
        }
        terminal.shows("WINCH is not passed on");
        let shim = terminal.shim();
        send(shim, 10);
        terminal.shows("got 10");
        assert!(!terminal.screen().contains("got 28"), "{}", terminal.screen());
        assert!(!terminal.screen().contains("stopping"), "{}", terminal.screen());
        // The runtime's WINCH is none of the window's.
        send(shim, 28);
        terminal.shows("WINCH: stopping");
        terminal.shows("got 28");
    }
    // Without a terminal WINCH is the stop signal that it is.
    let shim = crate::shim::Shim::run(Place::Subreaper, ["--profile", "apache", "--", "python3", "-c", ECHO]);
    shim.says("up");
    shim.signal(28);
    shim.says("got 28");
    shim.logs("WINCH: stopping");
    // Where WINCH is no trigger, a resized window is the program's.
    let terminal = Terminal::new(&mut command(Place::Subreaper, ["--", "python3", "-c", ECHO]));
    terminal.shows("up");
    terminal.resize(100);
    terminal.shows("got 28");
}

#[test]
fn pitfall_24_job_control_works_under_a_shell() {
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ").env("SHIM", SHIM);
    let mut terminal = Terminal::new(&mut shell);
    terminal.shows("prompt> ");
    terminal
        .types("\"$SHIM\" run -- sh -c 'echo up; while read line; do echo \"read <$line>\"; done; exit 5'\n");
    terminal.shows("up\r\n");
    let shim = terminal.shim();
    let program = wait_for("the program", || children(shim).first().copied());
    terminal.types("one\n");
    terminal.shows("read <one>");
    // The key that suspends stops both, and the shell has its terminal back.
    for turn in 2..4 {
        terminal.types("\u{1a}");
        terminal.shows_times("prompt> ", turn);
        for pid in [shim, program] {
            wait_for("both to stop", || status(pid, "State").filter(|state| state.starts_with('T')));
        }
        assert!(terminal.screen().contains("Stopped"), "{}", terminal.screen());
        terminal.types("fg\n");
        wait_for("the program to have the terminal", || (terminal.foreground() == program).then_some(()));
        terminal.types(&format!("turn {turn}\n"));
        terminal.shows(&format!("read <turn {turn}>"));
    }
    terminal.types("\u{4}");
    terminal.shows_times("prompt> ", 4);
    terminal.types("echo \"code $?\"\n");
    terminal.shows("code 5\r\n");
    terminal.types("exit 0\n");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn pitfall_24_a_job_in_the_background_stops_when_it_reads_and_goes_on_in_the_foreground() {
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ").env("SHIM", SHIM);
    let mut terminal = Terminal::new(&mut shell);
    terminal.shows("prompt> ");
    terminal.types("\"$SHIM\" run -- sh -c 'read line; echo \"read <$line>\"' &\n");
    let shim = terminal.shim();
    wait_for("the shim to stop", || status(shim, "State").filter(|state| state.starts_with('T')));
    terminal.types("fg\n");
    let program = children(shim)[0];
    wait_for("the program to have the terminal", || (terminal.foreground() == program).then_some(()));
    terminal.types("two\n");
    terminal.shows("read <two>");
    terminal.types("exit 0\n");
    assert_eq!(terminal.ends(), 0);
}

/// `kubectl attach -it`: no shell is there that could ever make the program go on.
///
/// The program is one that does not start others all the time. A child that is stopped between `vfork` and `exec` keeps its
/// parent from stopping, so that nobody hears of it: an init that shares its session with the program cannot mend that.
#[test]
fn pitfall_24_the_key_that_suspends_does_not_freeze_a_container() {
    let script = "$| = 1; while (1) { print qq(tick\\n); select undef, undef, undef, 0.02 }";
    let mut terminal = Terminal::new(&mut command(Place::Pid1, ["--", "perl", "-e", script]));
    terminal.shows_times("tick", 3);
    terminal.types("\x1a");
    terminal.shows("^Z");
    let before = terminal.screen().matches("tick").count();
    terminal.shows_times("tick", before + 20);
}

#[test]
fn the_terminal_is_given_back_to_a_script() {
    // A script has no job control that would take it.
    let mut script = Command::new("sh");
    script.args([
        "-c",
        "\"$SHIM\" run -- sh -c 'read a; echo \"first <$a>\"'; read b; echo \"second <$b>\"; exit 7",
    ]);
    let mut terminal = Terminal::new(script.env("SHIM", SHIM));
    terminal.types("one\n");
    terminal.shows("first <one>");
    terminal.types("two\n");
    terminal.shows("second <two>");
    assert_eq!(terminal.ends(), 7);
}

#[test]
fn a_terminal_that_hangs_up_ends_the_program() {
    let words = ["--", "sh", "-c", "trap 'exit 4' HUP; echo up; while :; do sleep 0.01; done"];
    let mut terminal = Terminal::new(&mut command(Place::Subreaper, words));
    terminal.shows("up");
    // The other side is closed, as by a client that goes away.
    terminal.keyboard = None;
    assert_eq!(terminal.ends(), 4);
}
