//! Signals by number: nix's own type has no real-time ones.

use std::{mem::MaybeUninit, ptr, time::Duration};

use fermata_stop_plan::{Signal, SignalSet};
use nix::{errno::Errno, libc, sys::signal::SigSet, unistd::Pid};

/// A signal that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Which one.
    pub(super) signal: Signal,
    /// Whether this process sent it to itself, as the kernel does in its name when it writes to a broken pipe.
    pub(super) from_self: bool,
    /// Whether the kernel sent it of its own accord, as it does when a terminal is resized.
    pub(super) from_kernel: bool,
}

/// Waits for the next signal, or until the time is over. All signals are held back, so that none is missed
/// between two calls. It may return early with nothing.
pub(super) fn next(timeout: Option<Duration>) -> Option<Arrived> {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    #[expect(
        unsafe_code,
        reason = "nix has no wait with a time limit, and its wait knows no real-time signals"
    )]
    // SAFETY: the three pointers are valid for the call, and a `siginfo_t` of zeroes is a value. A signal that a
    // process sends has the sender's pid in it.
    let (number, info) = unsafe {
        let number = libc::sigtimedwait(ptr::from_ref(SigSet::all().as_ref()), info.as_mut_ptr(), limit);
        (number, info.assume_init())
    };
    let signal = u8::try_from(number).ok().and_then(Signal::new)?;
    #[expect(unsafe_code, reason = "the pid stands in a union")]
    // SAFETY: all of the union is initialised, and any bytes are a pid.
    let sender = unsafe { info.si_pid() };
    let from_self = info.si_code == libc::SI_USER && sender == Pid::this().as_raw();
    Some(Arrived { signal, from_self, from_kernel: info.si_code == libc::SI_KERNEL })
}

/// Sends a signal to a process, or to a group if the pid is negative.
pub(super) fn send(target: Pid, signal: Signal) -> Result<(), Errno> {
    // Never to everything, whatever goes wrong: as root and not as PID 1 that is the whole machine.
    if target.as_raw() == -1 {
        return Err(Errno::EPERM);
    }
    #[expect(unsafe_code, reason = "nix sends no real-time signals")]
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::kill(target.as_raw(), signal.number().into()) };
    Errno::result(result).map(drop)
}

/// Gives a signal its default action, and says whether it was ignored before.
pub(super) fn take_default(signal: libc::c_int) -> bool {
    set_action(signal, libc::SIG_DFL) == libc::SIG_IGN
}

/// Makes a signal be ignored.
pub(super) fn ignore(signal: libc::c_int) {
    set_action(signal, libc::SIG_IGN);
}

fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> libc::sighandler_t {
    #[expect(unsafe_code, reason = "nix sets no real-time signals")]
    // SAFETY: neither of the two actions is a function of ours. It fails, harmlessly, for a number that is no signal.
    unsafe {
        libc::signal(signal, action)
    }
}

/// The mask without some signals.
pub(super) fn without(mask: &SigSet, signals: SignalSet) -> SigSet {
    let mut set: libc::sigset_t = *mask.as_ref();
    for signal in signals.iter() {
        #[expect(unsafe_code, reason = "nix takes no real-time signals out of a set")]
        // SAFETY: the set is a valid one, and lives for the call.
        unsafe {
            libc::sigdelset(&raw mut set, signal.number().into());
        }
    }
    #[expect(unsafe_code, reason = "nix makes a set of the system's only so")]
    // SAFETY: the set was initialised by being copied from one.
    unsafe {
        SigSet::from_sigset_t_unchecked(set)
    }
}
