//! What the program says: one whole line a message, without waiting for a reader longer than anybody notices.
//!
//! Standard error belongs to the container as a whole. Its reader may be slow, stuck or gone, and an init that
//! waits for it no longer passes signals on. So a line that finds no room for some milliseconds is dropped, the next
//! ones do not wait at all until one finds room, and the flags of the file description, which the application shares,
//! are not touched.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
};

/// What a pipe takes in one piece, so that no line is mixed with another's.
const LIMIT: usize = libc::PIPE_BUF;

/// One of the two standard streams for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output, which some dialects use for messages.
    Output,
    /// Standard error.
    Error,
}

/// Says one line. It is bytes, because it may quote a command.
pub(crate) fn say(stream: Stream, line: &[u8]) {
    say_on(standard(stream), line);
}

/// Prints a text that the user has asked for, waiting for the reader if need be. Returns whether it was all taken.
pub(crate) fn print(stream: Stream, text: &[u8]) -> bool {
    print_on(standard(stream), text)
}

fn print_on(stream: BorrowedFd<'_>, mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match nix::unistd::write(stream, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn say_on(stream: BorrowedFd<'_>, line: &[u8]) {
    let line = whole_line(line);
    let patience = if STUCK.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let full = match attempt(stream, &line, left) {
            Attempt::Full => true,
            Attempt::Said => false,
            Attempt::Broken => return,
        };
        if !full || left.is_zero() {
            STUCK.store(full, Ordering::Relaxed);
            return;
        }
    }
}

/// How long a line waits for room that others take: an application that floods its log leaves room again and again,
/// and nobody misses an init for so long.
const PATIENCE: Duration = Duration::from_millis(20);

/// Whether the last line found no room in all its time, so that the next ones are not worth waiting for.
static STUCK: AtomicBool = AtomicBool::new(false);

/// What came of trying to write a line.
enum Attempt {
    /// All that can be done for the line is done.
    Said,
    /// There was no room.
    Full,
    /// Nobody reads any more, or never did.
    Broken,
}

/// Waits for room, at most so long, and tries to write the line.
fn attempt(stream: BorrowedFd<'_>, line: &[u8], patience: Duration) -> Attempt {
    let mut ready = [PollFd::new(stream, PollFlags::POLLOUT)];
    let _ = poll(&mut ready, PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO));
    let events = ready[0].revents().unwrap_or(PollFlags::empty());
    if events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
        return Attempt::Broken;
    }
    if !events.contains(PollFlags::POLLOUT) {
        return Attempt::Full;
    }
    // There is room now, but the application may take it before us: where the kernel can, it is told not to wait.
    // A file on a disk may refuse that, and never makes anybody wait for a reader.
    let Err(errno) = write_without_waiting(stream, line) else { return Attempt::Said };
    match kind(stream) {
        libc::S_IFREG | libc::S_IFBLK => drop(nix::unistd::write(stream, line)),
        _ if errno == Errno::EAGAIN => return Attempt::Full,
        // A terminal says that it has room while it has less than a line.
        libc::S_IFCHR => drop(write_by_another_way(stream, line)),
        _ => {
            // The room that was there a moment ago is trusted: a pipe says so only of room for a whole line.
            if write_by_another_way(stream, line).is_err() {
                let _ = nix::unistd::write(stream, line);
            }
        }
    }
    Attempt::Said
}

/// How often a write is tried that is refused for the moment, and the time between two tries: together no longer than
/// the patience above.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// Writes to what takes no such order, as older kernels' pipes, pipes with a name, and terminals: opened anew, it has
/// flags of its own. The error is that it cannot be opened.
fn write_by_another_way(stream: BorrowedFd<'_>, line: &[u8]) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let own = open(path.as_str(), flags, Mode::empty())?;
    let mut rest = line;
    // A terminal refuses while another is writing to it, and may take a part. That is soon over, or never.
    for _ in 0..TRIES {
        match nix::unistd::write(&own, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EAGAIN | Errno::EINTR) => std::thread::sleep(BETWEEN_TRIES),
            Err(_) => break,
        }
        if rest.is_empty() {
            break;
        }
    }
    Ok(())
}

/// The text as one line that fits, with a mark where something is cut off.
fn whole_line(text: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"...";
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut line: Vec<u8> = text.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
    if line.len() >= LIMIT {
        let mut end = LIMIT - MARK.len() - 1;
        // Not in the middle of a character of UTF-8, whose later bytes begin with the bits 10.
        while end > 0 && line[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        line.truncate(end);
        line.extend(MARK);
    }
    line.push(b'\n');
    line
}

fn write_without_waiting(stream: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let parts = [IoSlice::new(bytes)];
    let here: libc::c_long = -1;
    #[expect(unsafe_code, reason = "nix has no pwritev2, the one call that can refuse to wait")]
    // SAFETY: an `IoSlice` is an `iovec`, of which there is one, and its bytes live for the call.
    let written = unsafe {
        libc::syscall(
            libc::SYS_pwritev2,
            stream.as_raw_fd(),
            parts.as_ptr(),
            1_usize,
            here,
            here,
            libc::RWF_NOWAIT,
        )
    };
    Errno::result(written).map(drop)
}

/// What kind of file a stream is, as in `st_mode`.
fn kind(stream: BorrowedFd<'_>) -> libc::mode_t {
    nix::sys::stat::fstat(stream).map_or(0, |stat| stat.st_mode & libc::S_IFMT)
}

fn standard(stream: Stream) -> BorrowedFd<'static> {
    let number = match stream {
        Stream::Output => libc::STDOUT_FILENO,
        Stream::Error => libc::STDERR_FILENO,
    };
    #[expect(unsafe_code, reason = "std locks and buffers the standard streams, and an init must do neither")]
    // SAFETY: nothing of ours is ever opened with this number for longer than a call, so that it is the stream or
    // nothing, and if it is nothing then each call says so.
    unsafe {
        BorrowedFd::borrow_raw(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, whole_line};

    #[test]
    fn a_message_is_one_line_that_a_pipe_takes_whole() {
        assert_eq!(whole_line(b"a\nb"), b"a b\n");
        assert_eq!(whole_line(b"a\n"), b"a\n");
        for length in [LIMIT - 2, LIMIT - 1, LIMIT, 3 * LIMIT] {
            let line = String::from_utf8(whole_line("é".repeat(length / 2 + 1).as_bytes())).unwrap();
            assert!(line.len() <= LIMIT && line.ends_with('\n'), "{length}: {}", line.len());
        }
        assert!(whole_line("x".repeat(LIMIT).as_bytes()).ends_with(b"x...\n"));
        assert_eq!(whole_line("x".repeat(LIMIT - 1).as_bytes()).len(), LIMIT);
    }
}
