//! The applications of `make proof`, in one static program.
//!
//! ```text
//! fermata-proof-app serve PORT die|finish    a server that dies at once on TERM, or finishes what it has begun
//! passenger start|stop --port PORT           one that ignores TERM, and has a command that stops it
//! passenger-status                           says whether it runs
//! ```
//!
//! All of them take 50 ms for a request and answer with the token in its query.

mod connections;
mod passenger;
mod request;
mod server;

use std::process::exit;

use anyhow::bail;
use nix::sys::signal::{SigSet, Signal};

use crate::server::Server;

/// What a shell reports of a program that TERM has ended.
const TERMINATED: i32 = 143;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (name.as_str(), words.as_slice()) {
        ("passenger", ["start", "--port", port]) => passenger::start(port.parse()?),
        ("passenger", ["stop", "--port", port]) => passenger::stop(port.parse()?),
        ("passenger-status", []) => passenger::status(),
        (_, ["serve", port, "die"]) => {
            let signals = await_signals(&[Signal::SIGTERM]);
            let _server = Server::start(port.parse()?)?;
            signals.wait()?;
            exit(TERMINATED)
        }
        (_, ["serve", port, "finish"]) => {
            let signals = await_signals(&[Signal::SIGTERM]);
            let server = Server::start(port.parse()?)?;
            signals.wait()?;
            server.finish()
        }
        _ => bail!("expected `serve PORT die|finish`, or to be called passenger or passenger-status"),
    }
}

/// Has signals wait until they are asked for, in this thread and those that it starts. The kernel keeps from PID 1 what
/// it has no handler for, but not what it has blocked.
fn await_signals(signals: &[Signal]) -> SigSet {
    let set: SigSet = signals.iter().copied().collect();
    // Only an invalid argument could fail, and there is none.
    let _ = set.thread_block();
    set
}
