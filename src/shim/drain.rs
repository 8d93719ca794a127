//! `fermata-shim drain`: a preStop hook that drains, and then runs the hook that the container had.
//!
//! The container's own hook takes the place of this process, so that it has the same number, environment, folder and
//! open files as if the kubelet's runtime had started it. A stop signal ends the hook at once, as it ends `sleep`.

mod counters;
mod http_get;
mod watch;

use std::time::{Duration, Instant};

use fermata_stop_plan::{PreStop, Seconds, Then};

use crate::{
    message,
    run::{Exec, exit_code, reason},
};

pub(crate) use self::{
    counters::ProcNet,
    watch::{Ended, Watch},
};

/// The exit code of a hook whose request has failed.
const FAILED: u8 = 1;

/// Drains, runs the container's own hook, and returns the exit code. Does not return where that hook is a command
/// that can be executed.
pub(crate) fn drain(hook: &PreStop) -> u8 {
    if !hook.drain.most().is_zero() {
        let (taken, ended) = wait(hook);
        say(&report(taken, &ended));
    }
    match &hook.then {
        None => 0,
        Some(Then::HttpGet(get)) => match http_get::ask(get) {
            Ok(()) => 0,
            Err(why) => {
                say(&why);
                FAILED
            }
        },
        Some(Then::Exec(command)) => {
            let errno = Exec::new(command.words()).execute();
            let why = reason(command.program(), errno);
            say(&format!("{}: {why}", command.program().to_string_lossy()));
            exit_code(errno)
        }
    }
}

/// Waits until the drain is over.
fn wait(hook: &PreStop) -> (Duration, Ended) {
    // The clock of an `Instant` is the monotonic one: neither a stop of the process nor a clock that is set
    // moves the end.
    let started = Instant::now();
    let mut watch = Watch::new(hook.drain, hook.quiet, &hook.probes, Duration::ZERO);
    let mut network = ProcNet::default();
    loop {
        let now = started.elapsed();
        if let Some(ended) = watch.look(now, &mut network) {
            return (watch.taken(now), ended);
        }
        std::thread::sleep(watch.next_look().saturating_sub(now));
    }
}

/// Says one line, for the kubelet, which shows it when the hook fails.
fn say(line: &str) {
    message::say(message::Stream::Error, format!("fermata-shim: {line}").as_bytes());
}

/// What a drain has come to.
fn report(taken: Duration, ended: &Ended) -> String {
    let rounded = (taken + Duration::from_millis(500)).as_secs();
    let taken = Seconds::saturating_from(i64::try_from(rounded).unwrap_or(i64::MAX));
    format!("drained for {taken}: {ended}")
}
