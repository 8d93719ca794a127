//! Processes as `/proc` shows them, signals to them, and patience.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen. Reaching it is a failure, so that it may be long: beside real nodes, which go
/// first, ten thousand processes have taken more than a minute.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Sends a signal.
pub(crate) fn send(pid: i32, signal: i32) {
    assert!(pid > 1, "no test signals {pid}");
    #[expect(unsafe_code, reason = "nix sends no real-time signals")]
    // SAFETY: the call takes numbers. A process that has ended meanwhile is no mistake.
    unsafe {
        nix::libc::kill(pid, signal);
    }
}

/// Waits until there is a value.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The children of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// All processes below a process.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let mut all = children(pid);
    let mut index = 0;
    while index < all.len() {
        all.extend(children(all[index]));
        index += 1;
    }
    all
}

/// One field of `/proc/PID/status`.
pub(crate) fn status(pid: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.split(':').next() == Some(field))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
