//! What dumb-init says of what happens.

use std::os::unix::ffi::OsStrExt;

use fermata_stop_plan::Signal;
use nix::errno::Errno;

use crate::{
    dialect::wording::strerror,
    run::{End, Event, Line},
};

/// What is said in any case: why nothing can be run.
pub(super) fn quiet(event: &Event<'_>) -> Vec<Line> {
    let text = match event {
        Event::NotForked(_) => b"Unable to fork. Exiting.".to_vec(),
        Event::NotIsolated(errno) => format!("Unable to setsid ({}). Exiting.", because(*errno)).into_bytes(),
        Event::NotExecuted { program, errno, .. } => {
            [program.as_bytes(), b": ", strerror(*errno).as_bytes()].concat()
        }
        _ => return Vec::new(),
    };
    vec![line(&text)]
}

/// What is said where it is verbose.
pub(super) fn verbose(event: &Event<'_>) -> Vec<Line> {
    let text = match event {
        Event::NotDetached(errno) => format!("Unable to detach from controlling tty ({}).", because(*errno)),
        Event::Detached { leader: true } => {
            "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.".into()
        }
        Event::Detached { leader: false } => {
            "Detached from controlling tty, but was not session leader.".into()
        }
        Event::Spawned { pid, .. } => format!("Child spawned with PID {pid}."),
        Event::NotMoved(errno) => format!("Unable to chdir(\"/\") ({})", because(*errno)),
        Event::NotAttached(errno) => format!("Unable to attach to controlling tty ({}).", because(*errno)),
        Event::SessionMade => "setsid complete.".into(),
        Event::Received(signal) => format!("Received signal {}.", signal.number()),
        Event::HandOffIgnored(signal) => format!("Ignoring tty hand-off signal {}.", signal.number()),
        Event::Rewritten(from, to) => {
            format!("Translating signal {} to {}.", from.number(), to.map_or(0, Signal::number))
        }
        Event::Forwarded { signal, .. } => format!("Forwarded signal {} to children.", signal.number()),
        // The number is that of what the map made of the signal, and so always the same.
        Event::Dropped(_) => "Not forwarding signal 0 to children (ignored).".into(),
        Event::Suspending => "Suspending self due to TTY signal.".into(),
        Event::Reaped { pid, end: End::Exited(status), .. } => {
            format!("A child with PID {pid} exited with exit status {status}.")
        }
        Event::Reaped { pid, end: End::Signalled(signal), .. } => {
            format!("A child with PID {pid} was terminated by signal {}.", signal.number())
        }
        Event::Goodbye { code, .. } => format!("Child exited with status {code}. Goodbye."),
        event => return quiet(event),
    };
    vec![line(text.as_bytes())]
}

/// A line as dumb-init marks it.
pub(super) fn line(text: &[u8]) -> Line {
    Line::error([b"[dumb-init] ", text].concat())
}

fn because(errno: Errno) -> String {
    format!("errno={} {}", errno as i32, strerror(errno))
}
