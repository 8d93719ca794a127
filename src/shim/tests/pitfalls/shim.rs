//! The shim as a process under test. Nothing that it started outlives the value.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

pub(crate) use crate::proc::{PATIENCE, children, descendants, send, status, wait_for};

/// The binary.
pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_fermata-shim");

/// How long a test waits for the shim's end: less than the minute after which it would no longer wait for others itself.
const END: Duration = Duration::from_secs(50);

/// Where the shim runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As the first process of a PID namespace of its own.
    Pid1,
    /// As any other process.
    Subreaper,
}

/// Both places.
pub(crate) const PLACES: [Place; 2] = [Place::Pid1, Place::Subreaper];

/// A shim that runs.
pub(crate) struct Shim {
    child: Child,
    place: Place,
    output: Text,
    error: Text,
}

type Text = Arc<Mutex<Vec<u8>>>;

impl Shim {
    /// Runs `fermata-shim run` with these words.
    pub(crate) fn run<W: AsRef<OsStr>>(place: Place, words: impl IntoIterator<Item = W>) -> Self {
        Self::start(&mut command(place, words), place)
    }

    /// Runs `fermata-shim run [FLAGS] -- sh -c SCRIPT`.
    pub(crate) fn script(place: Place, flags: &[&str], script: &str) -> Self {
        Self::run(place, flags.iter().copied().chain(["--", "sh", "-c", script]))
    }

    /// Starts a command from [`command`], with its output kept.
    pub(crate) fn start(command: &mut Command, place: Place) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = collect(child.stdout.take().unwrap());
        let error = collect(child.stderr.take().unwrap());
        Self { child, place, output, error }
    }

    /// The shim's pid, as this process sees it.
    pub(crate) fn pid(&self) -> i32 {
        let started = i32::try_from(self.child.id()).unwrap();
        match self.place {
            Place::Subreaper => started,
            Place::Pid1 => wait_for("unshare to start the shim", || {
                children(started).into_iter().find(|pid| comm(*pid).as_deref() == Some("fermata-shim"))
            }),
        }
    }

    /// The program's pid, as this process sees it: the one child that is there when there is one.
    pub(crate) fn program(&self) -> i32 {
        let pid = self.pid();
        wait_for("the program to be executed", || {
            children(pid).into_iter().find(|child| comm(*child).is_some_and(|comm| comm != "fermata-shim"))
        })
    }

    /// Sends a signal to the shim.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    /// What was said on standard output so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// What was said on standard error so far.
    pub(crate) fn error(&self) -> String {
        String::from_utf8_lossy(&self.error.lock().unwrap()).into_owned()
    }

    /// Waits for a text on standard output.
    pub(crate) fn says(&self, text: &str) {
        self.until(text, || self.output().contains(text));
    }

    /// Waits for a text on standard error.
    pub(crate) fn logs(&self, text: &str) {
        self.until(text, || self.error().contains(text));
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what:?}\noutput: {}\nerror: {}",
                self.output(),
                self.error()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn ends(&mut self) -> i32 {
        let status = self.ends_with();
        status.code().unwrap_or_else(|| panic!("ended by a signal: {status:?}\n{}", self.error()))
    }

    /// Waits for the end.
    pub(crate) fn ends_with(&mut self) -> ExitStatus {
        let deadline = Instant::now() + END;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the shim does not end\noutput: {}\nerror: {}\nprocesses:\n{}",
                self.output(),
                self.error(),
                self.processes()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the processes are at, a line for each.
    fn processes(&self) -> String {
        let started = i32::try_from(self.child.id()).unwrap();
        let line = |pid: i32| {
            let fields = ["State", "SigPnd", "ShdPnd", "SigBlk", "SigCgt"]
                .map(|field| status(pid, field).unwrap_or_default());
            let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            format!("{pid} {} {}, {}\n", comm(pid).unwrap_or_default(), fields.join(" "), call.trim())
        };
        [started].into_iter().chain(descendants(started)).map(line).collect()
    }

    /// Waits for the end and for all that was said, and returns exit code, output and error.
    pub(crate) fn finish(mut self) -> (i32, String, String) {
        let code = self.ends();
        // The last holders of the pipes may be processes that were left, which end too.
        for text in [&self.output, &self.error] {
            wait_for("the end of what it says", || (Arc::strong_count(text) == 1).then_some(()));
        }
        (code, self.output(), self.error())
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let started = i32::try_from(self.child.id()).unwrap();
            for pid in descendants(started) {
                send(pid, 9);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The command for `fermata-shim run` with these words.
pub(crate) fn command<W: AsRef<OsStr>>(place: Place, words: impl IntoIterator<Item = W>) -> Command {
    let mut command = match place {
        Place::Subreaper => Command::new(SHIM),
        Place::Pid1 => {
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--", SHIM]);
            command
        }
    };
    command.arg("run").args(words.into_iter().map(|word| OsString::from(word.as_ref())));
    command.stdin(Stdio::null());
    command
}

/// Waits until all of these are gone, or are waited for by nobody but their parent.
pub(crate) fn all_have_ended(pids: &[i32]) {
    for pid in pids {
        wait_for("all to be gone", || {
            status(*pid, "State").is_none_or(|state| state.starts_with('Z')).then_some(())
        });
    }
}

/// Asserts of one turn in five that it takes less than that: one may have waited for a processor, and a defect is late in each.
pub(crate) fn in_time(bound: Duration, mut turn: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.last().is_none_or(|last| *last >= bound) {
        assert!(took.len() < 5, "not less than {bound:?}: {took:?}");
        took.push(turn());
    }
}

/// The name of a process.
pub(crate) fn comm(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

fn collect(mut stream: impl Read + Send + 'static) -> Text {
    let text = Text::default();
    let kept = Arc::clone(&text);
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut part) {
            kept.lock().unwrap().extend_from_slice(&part[..read]);
        }
    });
    text
}
