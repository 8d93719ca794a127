//! Which connections are open, and whether they have a request under way.

use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    os::fd::AsFd as _,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    next: u64,
    open: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    stream: TcpStream,
    busy: bool,
}

impl Connections {
    /// A new one. Its first request is on its way, so that it is not idle.
    pub(crate) fn add(&self, stream: TcpStream) -> u64 {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, Open { stream, busy: true });
        id
    }

    /// A request has come.
    pub(crate) fn begin(&self, id: u64) {
        if let Some(open) = self.state().open.get_mut(&id) {
            open.busy = true;
        }
    }

    /// Its answer has been sent, and did not say that the connection is closed.
    pub(crate) fn end(&self, id: u64) {
        if let Some(open) = self.state().open.get_mut(&id) {
            open.busy = false;
        }
    }

    /// Closed.
    pub(crate) fn remove(&self, id: u64) {
        self.state().open.remove(&id);
        self.closed.notify_all();
    }

    /// Whether answers have to say that their connection is closed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// From now on answers say that their connection is closed.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
    }

    /// Closes the idle ones.
    pub(crate) fn close_idle(&self) {
        let state = self.state();
        for open in state.open.values().filter(|open| !open.busy) {
            // What has come already gets its answer. What is still under way does not: HTTP has no way to ask for it.
            let mut waiting = [PollFd::new(open.stream.as_fd(), PollFlags::POLLIN)];
            if poll(&mut waiting, PollTimeout::ZERO) == Ok(0) {
                let _ = open.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Waits until all are closed, for a time.
    pub(crate) fn wait(&self, bound: Duration) {
        let deadline = Instant::now() + bound;
        let mut state = self.state();
        while !state.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.closed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
