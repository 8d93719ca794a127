//! The inits in front of a terminal, as `docker run -it` and `kubectl run -it` give them one.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    libc,
    pty::openpty,
    sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr},
};

use super::{
    printer,
    process::{
        Running, before_exec, children, group_and_session, init, send, shim, wait_for, wait_for_state,
        wait_until_it_goes_on,
    },
};

/// A terminal, and the init that leads its session.
struct Terminal {
    /// What a person types.
    keyboard: File,
    /// What a person sees.
    screen: Arc<Mutex<String>>,
    running: Running,
}

impl Terminal {
    /// Starts a command as the leader of a session with a terminal of its own.
    fn start(command: &mut Command) -> Self {
        let pty = openpty(None, None).unwrap();
        let mut settings = tcgetattr(&pty.slave).unwrap();
        settings.output_flags.remove(OutputFlags::OPOST);
        settings.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
        let other = || Stdio::from(pty.slave.try_clone().unwrap());
        command.stdin(other());
        lead_session(command);
        let running = Running::start_on(command, other(), other());
        drop(pty.slave);
        // The command holds the terminal too, which must end with its last user.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let screen = watch(pty.master.try_clone().unwrap());
        Self { keyboard: File::from(pty.master), screen, running }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn shows(&self, text: &str) {
        wait_for(&format!("{text:?} on the screen"), || self.seen().contains(text).then_some(()));
    }

    fn seen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// The process group in the terminal's foreground.
    fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.keyboard).unwrap().as_raw()
    }
}

/// Makes a command's process lead a session, with its standard input as the terminal.
fn lead_session(command: &mut Command) {
    before_exec(command, || {
        nix::unistd::setsid().unwrap();
        #[expect(unsafe_code, reason = "nix does not wrap this ioctl")]
        // SAFETY: the request takes a number.
        let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) };
        assert_eq!(result, 0);
    });
}

fn watch(master: OwnedFd) -> Arc<Mutex<String>> {
    let screen = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&screen);
    let mut master = File::from(master);
    thread::spawn(move || {
        let mut part = [0; 4096];
        // A terminal without users is an error and no end.
        while let Ok(read @ 1..) = master.read(&mut part) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..read]));
        }
    });
    screen
}

/// The two inits, and one in the mode that leaves sessions alone.
const ALL: [(&str, &[&str]); 3] = [("dumb-init", &[]), ("dumb-init", &["-c"]), ("tini", &["-s", "--"])];

#[test]
fn a_program_reads_and_writes_its_terminal() {
    for (name, words) in ALL {
        let mut terminal = Terminal::start(init(name, words).arg("tac"));
        terminal.types("1\n2\n3\n\x04");
        assert_eq!(terminal.running.ends(), 0, "{name} {words:?}");
        terminal.shows("3\n2\n1\n");
    }
}

#[test]
fn the_interrupt_key_reaches_the_program_once() {
    for (name, words) in ALL {
        let mut command = init(name, words);
        printer::ask(command.args(printer::words()));
        let mut terminal = Terminal::start(&mut command);
        terminal.shows("ready\n");
        for (key, signal) in [("\x03", "2"), ("\x1c", "3")] {
            terminal.types(key);
            terminal.shows(&format!("\n{signal}\n"));
        }
        terminal.running.signal(10);
        terminal.shows("\n10\n");
        let seen = terminal.seen();
        let seen: Vec<&str> = seen.split_once("ready\n").unwrap().1.lines().collect();
        if words == ["-c"] {
            // In the init's own group the program hears of a key from the terminal and again from the init, as it does
            // with the original. Two of a kind that wait are one.
            let mut once = seen.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once, ["10", "2", "3"]);
            assert!(seen.len() <= 5, "{seen:?}");
        } else {
            assert_eq!(seen, ["2", "3", "10"], "{name} {words:?}");
        }
    }
}

#[test]
fn dumb_init_gives_its_terminal_away() {
    let mut terminal = Terminal::start(
        init("dumb-init", &["-v", "sh", "-mc", "echo ready; read line; echo $line"]).env("LC_ALL", "C"),
    );
    terminal.shows("ready\n");
    let program = wait_for("the program", || children(terminal.running.pid()).first().copied());
    assert_eq!(group_and_session(program), (program, program));
    assert_eq!(terminal.foreground(), program);
    terminal.shows("Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.\n");
    terminal.shows("Ignoring tty hand-off signal 1.\n");
    terminal.shows("Ignoring tty hand-off signal 18.\n");
    assert!(!terminal.seen().contains("Forwarded"), "{}", terminal.seen());
    terminal.types("typed\n");
    terminal.shows("typed\n");
    assert_eq!(terminal.running.ends(), 0);
}

#[test]
fn only_the_first_hangup_is_the_terminals() {
    let mut command = init("dumb-init", &["-v"]);
    printer::ask(command.args(printer::words()));
    let terminal = Terminal::start(&mut command);
    terminal.shows("ready\n");
    terminal.shows("Ignoring tty hand-off signal 18.\n");
    for signal in [1, 18] {
        terminal.running.signal(signal);
        terminal.shows(&format!("Forwarded signal {signal} to children.\n"));
        terminal.shows(&format!("\n{signal}\n"));
    }
}

#[test]
fn a_hangup_is_passed_on_by_an_init_that_leads_no_session() {
    // A shell in front of it leads the session, so that the kernel tells the init nothing.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" -v \"$@\"; exit $?"]).arg(shim("dumb-init"));
    printer::ask(command.args(printer::words()));
    let terminal = Terminal::start(&mut command);
    terminal.shows("ready\n");
    terminal.shows("Unable to attach to controlling tty (errno=1 Operation not permitted).\n");
    terminal.shows("Detached from controlling tty, but was not session leader.\n");
    send(terminal.running.program(), 1);
    terminal.shows("Forwarded signal 1 to children.\n");
    terminal.shows("\n1\n");
}

#[test]
fn tini_puts_the_program_into_the_foreground() {
    let mut terminal =
        Terminal::start(&mut init("tini", &["-s", "--", "sh", "-c", "echo ready; read line; echo $line"]));
    terminal.shows("ready\n");
    let program = wait_for("the program", || children(terminal.running.pid()).first().copied());
    assert_eq!(group_and_session(program), (program, terminal.running.pid()));
    assert_eq!(terminal.foreground(), program);
    terminal.types("typed\n");
    terminal.shows("typed\n");
    assert_eq!(terminal.running.ends(), 0);
}

#[test]
fn the_suspend_key_suspends_the_job_and_fg_resumes_it() {
    // What people do: an init as a job of an interactive shell.
    let mut terminal =
        Terminal::start(Command::new("sh").args(["-m", "-i"]).env("PS1", "$ ").env_remove("ENV"));
    terminal.shows("$ ");
    let shell = terminal.running.pid();
    terminal.types(&format!("{} -c sh -c 'echo ready; sleep 60; echo over'\n", shim("dumb-init").display()));
    terminal.shows("ready\n");
    let job = wait_for("the job", || children(shell).first().copied());
    terminal.types("\x1a");
    wait_for_state(job, "T");
    wait_for("the shell to be back", || (terminal.foreground() == shell).then_some(()));
    terminal.types("fg\n");
    wait_until_it_goes_on(job);
    wait_for("the job to be back", || (terminal.foreground() == job).then_some(()));
    let program = wait_for("the program", || children(job).first().copied());
    wait_until_it_goes_on(program);
    terminal.types("\x03");
    wait_for("the end of the job", || children(shell).is_empty().then_some(()));
    terminal.types("exit 5\n");
    assert_eq!(terminal.running.ends(), 5);
}
