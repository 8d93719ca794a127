//! Making a process for a command.
//!
//! Between the fork and the end of the program's execution all signals stay held back in the parent, and the child
//! has no handler that could take one: what comes meanwhile waits, and finds the program when it is there.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
};

use fermata_stop_plan::{Signal, SignalSet};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl, open},
    libc,
    sys::{signal::SigSet, stat::Mode},
    unistd::{ForkResult, Pid, fork, getpid, pipe2, setpgid, setsid, tcsetpgrp},
};

use super::{
    directory::Left,
    exec::{Exec, exit_code},
    manners::{Dispositions, Session},
    signals,
};

/// What a process is made with.
pub(super) struct Launch<'a> {
    /// What it becomes.
    pub(super) exec: &'a Exec,
    /// Where it lives.
    pub(super) session: Session,
    /// Where it is, if that is not where the init is.
    pub(super) directory: Option<&'a Left>,
    /// Whether its group becomes the terminal's foreground.
    pub(super) foreground: bool,
    /// Whether its standard input is empty.
    pub(super) without_input: bool,
    /// Whether a `LISTEN_PID` that names the init is made to name the process.
    pub(super) renames_listener: bool,
    /// What it begins with.
    pub(super) beginning: Beginning<'a>,
}

/// The signal actions and the mask that a process begins with.
#[derive(Clone, Copy)]
pub(super) struct Beginning<'a> {
    /// Whose they are.
    pub(super) dispositions: Dispositions,
    /// The mask that the init was started with.
    pub(super) mask: &'a SigSet,
    /// The signals that must not be ignored or blocked, where that is asked for.
    pub(super) stop_signals: SignalSet,
    /// Whether the init was started with CHLD ignored, which it has undone for itself.
    pub(super) ignores_children: bool,
}

/// A process that has been made. Whether it could become its program is known once its pipe is at its end.
pub(super) struct Launched {
    /// The process.
    pub(super) pid: Pid,
    reports: OwnedFd,
}

/// What a process reports before it is its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It could not take the terminal, and goes on.
    NotAttached(Errno),
    /// It has a session of its own.
    SessionMade,
    /// It could have no session or group of its own, and ends.
    NotIsolated(Errno),
    /// It could not be executed, and ends.
    NotExecuted(Errno),
}

impl Launch<'_> {
    /// Makes the process.
    pub(super) fn start(&self) -> Result<Launched, Errno> {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
        let [reading, writing] = [out_of_the_way(reading)?, out_of_the_way(writing)?];
        #[expect(unsafe_code, reason = "a fork is not safe in general")]
        // SAFETY: the process has one thread, so that nothing in the child is locked for ever.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Launched { pid: child, reports: reading }),
            ForkResult::Child => {
                drop(reading);
                self.become_it(writing.as_fd())
            }
        }
    }

    /// The child's part. It never returns.
    fn become_it(&self, reports: BorrowedFd<'_>) -> ! {
        let tell = |told: Told| {
            let _ = nix::unistd::write(reports, &told.encode());
        };
        if let Err(errno) = self.isolate(tell) {
            tell(Told::NotIsolated(errno));
            exit(1);
        }
        if self.without_input {
            take_input_away();
        }
        if self.renames_listener {
            rename_listener();
        }
        self.beginning.restore();
        let errno = match self.directory.map_or(Ok(()), Left::enter) {
            Ok(()) => self.exec.execute(),
            Err(errno) => errno,
        };
        tell(Told::NotExecuted(errno));
        exit(exit_code(errno));
    }

    fn isolate(&self, tell: impl Fn(Told)) -> Result<(), Errno> {
        match self.session {
            Session::New => {
                setsid()?;
                if let Err(errno) = attach_terminal() {
                    tell(Told::NotAttached(errno));
                }
                tell(Told::SessionMade);
            }
            Session::Apart => {
                setsid()?;
            }
            Session::Group => {
                setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
                if self.foreground {
                    // TTOU, which this costs a process in the background, is held back. A terminal that has gone
                    // meanwhile is no reason not to run.
                    let _ = tcsetpgrp(standard_input(), Pid::this());
                }
            }
            Session::Shared => {}
        }
        Ok(())
    }
}

impl Beginning<'_> {
    /// Actions come before the mask: a signal that waits must find the program's action and not be lost.
    fn restore(&self) {
        if self.ignores_children {
            signals::ignore(libc::SIGCHLD);
        }
        let mask = match self.dispositions {
            Dispositions::Keep => *self.mask,
            Dispositions::KeepButStop => {
                for signal in self.stop_signals.iter() {
                    signals::take_default(signal.number().into());
                }
                signals::without(self.mask, self.stop_signals)
            }
            Dispositions::Default => {
                for signal in Signal::all() {
                    signals::take_default(signal.number().into());
                }
                SigSet::empty()
            }
        };
        let _ = mask.thread_set_mask();
    }
}

impl Launched {
    /// Waits until the process is its program or cannot be, and returns what it told.
    pub(super) fn wait(self) -> Vec<Told> {
        self.told()
    }

    /// What a process told that has ended.
    pub(super) fn told(self) -> Vec<Told> {
        let mut bytes = Vec::new();
        let _ = File::from(self.reports).read_to_end(&mut bytes);
        bytes.chunks_exact(Told::SIZE).filter_map(Told::decode).collect()
    }
}

impl Told {
    const SIZE: usize = 5;

    fn encode(self) -> [u8; Self::SIZE] {
        let (kind, errno) = match self {
            Self::NotAttached(errno) => (0, errno as i32),
            Self::SessionMade => (1, 0),
            Self::NotIsolated(errno) => (2, errno as i32),
            Self::NotExecuted(errno) => (3, errno as i32),
        };
        let [a, b, c, d] = errno.to_ne_bytes();
        [kind, a, b, c, d]
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let &[kind, a, b, c, d] = bytes else { return None };
        let errno = Errno::from_raw(i32::from_ne_bytes([a, b, c, d]));
        match kind {
            0 => Some(Self::NotAttached(errno)),
            1 => Some(Self::SessionMade),
            2 => Some(Self::NotIsolated(errno)),
            3 => Some(Self::NotExecuted(errno)),
            _ => None,
        }
    }
}

/// Gives a descriptor a number that is no standard stream's: where one of these is closed, the program must find
/// it closed, and nobody may write into ours.
pub(super) fn out_of_the_way(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    let moved = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(libc::STDERR_FILENO + 1))?;
    #[expect(unsafe_code, reason = "nix returns a number")]
    // SAFETY: the descriptor is new, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// Makes standard input empty: a command beside the program must not take the program's input.
fn take_input_away() {
    let _ = nix::unistd::close(libc::STDIN_FILENO);
    // The lowest free number is the one just closed. Where there is no such device it stays closed.
    let _ = open("/dev/null", OFlag::O_RDONLY, Mode::empty()).map(std::mem::forget);
}

/// Who passes sockets on says for whom they are, and can only know the init.
fn rename_listener() {
    let named = std::env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok());
    if named == Some(nix::unistd::getppid().as_raw()) {
        #[expect(unsafe_code, reason = "changing the environment is not safe beside other threads")]
        // SAFETY: the process has one thread.
        unsafe {
            std::env::set_var("LISTEN_PID", getpid().to_string());
        }
    }
}

/// Makes standard input the session's terminal.
fn attach_terminal() -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "nix does not wrap this ioctl")]
    // SAFETY: the request takes a number.
    let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop)
}

/// Standard input.
pub(super) fn standard_input() -> BorrowedFd<'static> {
    #[expect(unsafe_code, reason = "std's handle of it is locked and buffered")]
    // SAFETY: nothing of ours is opened with this number for longer than a call, so that it is the stream or
    // nothing, and if it is nothing then each call says so.
    unsafe {
        BorrowedFd::borrow_raw(libc::STDIN_FILENO)
    }
}

/// Ends a child that is not its program, without what the parent would do at its own end.
fn exit(code: u8) -> ! {
    #[expect(unsafe_code, reason = "std has no exit that runs nothing")]
    // SAFETY: the call takes a number and does not return.
    unsafe {
        libc::_exit(code.into())
    }
}
