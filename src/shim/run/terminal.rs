//! The terminal, where there is one.

use std::io::IsTerminal;

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    libc,
    sys::{
        signal::{Signal, kill, raise},
        stat::Mode,
    },
    unistd::{Pid, getpgrp, getpid, getsid, tcgetpgrp, tcsetpgrp},
};

use super::spawn::standard_input;

/// Whether standard input is the session's terminal and the init's own group is in its foreground.
pub(super) fn is_foreground() -> bool {
    tcgetpgrp(standard_input()) == Ok(getpgrp())
}

/// Whether the session has a terminal, wherever the standard streams lead.
pub(super) fn exists() -> bool {
    open("/dev/tty", OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()).is_ok()
}

/// Whether standard input is a terminal at all.
pub(super) fn is_terminal() -> bool {
    standard_input().is_terminal()
}

/// Whether a shell above can see the init stop, and make it go on.
pub(super) fn has_job_control() -> bool {
    tcgetpgrp(standard_input()).is_ok() && getsid(None) != Ok(getpid())
}

/// Gives the terminal to the program's group, if it is the init's to give. Returns whether it was.
pub(super) fn give_to(group: Pid) -> bool {
    is_foreground() && tcsetpgrp(standard_input(), group).is_ok()
}

/// Takes the terminal back from the program's group, if it has it.
pub(super) fn take_back_from(group: Pid) {
    if tcgetpgrp(standard_input()) == Ok(group) {
        let _ = tcsetpgrp(standard_input(), getpgrp());
    }
}

/// Stops the init, and what a shell started beside it, as the key on the terminal would have. Returns when it is
/// made to go on.
pub(super) fn suspend_with_group() {
    // It is held back here, and does the others what the key does to a whole job.
    let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    suspend();
}

/// Stops the init. Returns when it is made to go on; as PID 1 the kernel does nothing.
pub(super) fn suspend() {
    let _ = raise(Signal::SIGSTOP);
}

/// Gives up the session's terminal. Returns whether the init led its session, in which case the kernel sends it
/// HUP and CONT for that.
pub(super) fn detach() -> Result<bool, Errno> {
    #[expect(unsafe_code, reason = "nix does not wrap this ioctl")]
    // SAFETY: the request takes no argument.
    let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) };
    Errno::result(result)?;
    Ok(getsid(None) == Ok(getpid()))
}
