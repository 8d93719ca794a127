//! A stand-in for Phusion Passenger: TERM does nothing, a command of its own stops it, and whatever stops it cuts off the
//! requests that are under way, as its builtin engine does.

use std::{fs, path::PathBuf, process::exit, thread, time::Duration};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{await_signals, server::Server};

/// How often `stop` looks whether the server has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Where the server leaves its process id.
fn pid_file(port: u16) -> PathBuf {
    std::env::temp_dir().join(format!("passenger.{port}.pid"))
}

/// What the launcher ends with when it is stopped, although all went well.
const STOPPED: i32 = 2;

/// Serves until it is told to stop.
pub(crate) fn start(port: u16) -> anyhow::Result<()> {
    let signals = await_signals(&[Signal::SIGTERM, Signal::SIGINT]);
    let _server = Server::start(port)?;
    fs::write(pid_file(port), std::process::id().to_string())?;
    while signals.wait()? != Signal::SIGINT {
        println!("TERM is not for me; use `passenger stop --port {port}`");
    }
    fs::remove_file(pid_file(port))?;
    exit(STOPPED)
}

/// Stops the server, and waits until it has ended.
pub(crate) fn stop(port: u16) -> anyhow::Result<()> {
    let file = pid_file(port);
    let id = fs::read_to_string(&file).with_context(|| format!("nothing runs on port {port}"))?;
    kill(Pid::from_raw(id.trim().parse()?), Signal::SIGINT)?;
    while file.exists() {
        thread::sleep(PAUSE);
    }
    println!("stopped process {id}");
    Ok(())
}

/// Says what runs.
pub(crate) fn status() -> anyhow::Result<()> {
    for entry in fs::read_dir(std::env::temp_dir())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("passenger.") && path.extension().is_some_and(|extension| extension == "pid") {
            println!("{name}: process {}", fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
