//! Waiting for children.

use std::{fmt, mem::MaybeUninit};

use fermata_stop_plan::Signal;
use nix::{errno::Errno, libc, unistd::Pid};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With an exit code.
    Exited(u8),
    /// By a signal.
    Signalled(Signal),
}

impl End {
    /// The exit code that says so: 128 and the signal's number for an end by a signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal.number(),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signalled(signal) => write!(f, "ended by {signal}"),
        }
    }
}

/// What is known of the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Children {
    /// One has ended, and is not reaped yet: its pid cannot be another process' before that.
    Ended(Pid, End),
    /// There are some, and none has ended.
    Running,
    /// There are none.
    None,
}

/// Looks at a child that has ended and leaves it there.
pub(super) fn look() -> Children {
    match wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Ok(Some((pid, end))) => Children::Ended(pid, end),
        Err(Errno::ECHILD) => Children::None,
        Ok(None) | Err(_) => Children::Running,
    }
}

/// Reaps a child that has ended.
pub(super) fn reap(pid: Pid) {
    let _ = wait(libc::P_PID, pid.as_raw().unsigned_abs(), libc::WEXITED | libc::WNOHANG);
}

/// Whether a child is stopped at this moment.
pub(super) fn is_stopped(pid: Pid) -> bool {
    stopped_by(pid).is_some()
}

/// The signal by which a child is stopped at this moment, if it is. The answer is left for whoever asks again.
pub(super) fn stopped_by(pid: Pid) -> Option<Signal> {
    let flags = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    match wait(libc::P_PID, pid.as_raw().unsigned_abs(), flags) {
        Ok(Some((_, End::Exited(number)))) => Signal::new(number),
        _ => None,
    }
}

fn wait(which: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> Result<Option<(Pid, End)>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    #[expect(unsafe_code, reason = "nix fails on an end by a real-time signal")]
    // SAFETY: the pointer is valid for the call, a `siginfo_t` of zeroes is a value, and the fields of its union
    // that are read are those of a child's end; any bytes are numbers.
    let (code, pid, status) = unsafe {
        Errno::result(libc::waitid(which, id, info.as_mut_ptr(), flags))?;
        let info = info.assume_init();
        (info.si_code, info.si_pid(), info.si_status())
    };
    if pid == 0 {
        return Ok(None);
    }
    // An exit status has eight bits, which is what is left of any other number.
    let status = status.to_le_bytes()[0];
    let signalled = matches!(code, libc::CLD_KILLED | libc::CLD_DUMPED);
    let end = match Signal::new(status) {
        Some(signal) if signalled => End::Signalled(signal),
        _ => End::Exited(status),
    };
    Ok(Some((Pid::from_raw(pid), end)))
}
