//! What the shim says in its own dialect.

use std::{fmt::Write as _, time::Duration};

use fermata_stop_plan::{Command, Scope, StopPlan};
use nix::errno::Errno;

use crate::run::{End, Event, Line, Outcome, Report, Which, reason};

/// Says nothing until a stop begins, except of what goes wrong.
pub(super) fn quiet(event: &Event<'_>) -> Vec<Line> {
    let text = match *event {
        Event::NotForked(errno) => format!("no process can be made for the command: {}", no_process(errno)),
        Event::NotIsolated(errno) => format!("the command gets no process group: {}", lower(errno.desc())),
        Event::NotExecuted { program, errno, .. } => {
            format!("cannot run {:?}: {}", program.to_string_lossy(), reason(program, errno))
        }
        Event::NotSent { signal, errno } => {
            format!("cannot send {signal}: {}; this is said once", lower(errno.desc()))
        }
        Event::BudgetTooShort { plan, budget } => format!(
            "warning: --drain {} leaves no time of --budget {budget}: the drain will be cut short",
            plan.drain
        ),
        Event::StopBegan { trigger, plan } => format!("{trigger}: stopping: {}", intention(plan)),
        Event::CommandOver { which, took, outcome } => {
            format!("{} {} {}", name(which), seconds(took), describe(outcome))
        }
        Event::DrainBegan(plan) => format!("drain of {} begins", plan.drain),
        Event::DrainOver { took, reason: "" } => format!("drain over after {}", seconds(took)),
        Event::DrainOver { took, reason } => format!("drain over after {}: {reason}", seconds(took)),
        Event::StopCommandBegan(plan) => {
            format!("running stop command: {}", shown(plan.stop_command.as_ref()))
        }
        Event::Delivering { signal: Some(signal), scope } => format!("sending {signal} to {}", whom(scope)),
        Event::Delivering { signal: None, .. } => "sending no signal: it is dropped by --rewrite".into(),
        Event::Settling => "waiting for the program to end".into(),
        Event::Killing => "the budget is over: killing".into(),
        Event::Stragglers { count } => {
            format!("the program has ended; waiting for {} that it left", processes(count))
        }
        Event::StopOver(report) => summary(report),
        _ => return Vec::new(),
    };
    vec![Line::error(format!("fermata-shim: {text}"))]
}

/// Says all of what happens.
pub(super) fn verbose(event: &Event<'_>) -> Vec<Line> {
    let text = match *event {
        Event::Spawned { program, pid } => format!("started {:?} as {pid}", program.to_string_lossy()),
        Event::Rewritten(from, Some(to)) => format!("{from} becomes {to}"),
        Event::Dropped(signal) => format!("{signal} is dropped"),
        Event::NotForwarded(signal) => format!("{signal} is not passed on"),
        Event::Forwarded { signal, scope } => format!("sent {signal} to {}", whom(scope)),
        Event::AlreadyStopping(signal) => format!("{signal} changes nothing: stopping already"),
        Event::Suspending => "the program has stopped: stopping with it".into(),
        Event::Reaped { pid, end, program: true } => format!("reaped the program, {pid}: {end}"),
        Event::Reaped { pid, end, program: false } => format!("reaped {pid}: {end}"),
        Event::Goodbye { code, .. } => format!("exit {code}"),
        _ => return quiet(event),
    };
    vec![Line::error(format!("fermata-shim: {text}"))]
}

/// What is going to happen.
fn intention(plan: &StopPlan) -> String {
    let mut text = String::new();
    if let Some(command) = &plan.status_command {
        let _ = write!(text, "status command {command}, ");
    }
    if !plan.drain.most().is_zero() {
        let _ = write!(text, "drain {}, ", plan.drain);
    }
    match &plan.stop_command {
        Some(command) => {
            let _ = write!(text, "stop command {command}");
        }
        None => text.push_str("signal"),
    }
    if let Some(budget) = plan.budget {
        let _ = write!(text, ", at most {budget}");
    }
    text
}

/// The one line that says why the stop took so long.
fn summary(report: &Report) -> String {
    let mut text = format!("{}: stopped in {}:", report.trigger, seconds(report.took));
    if let Some((took, outcome)) = report.status_command {
        let _ = write!(text, " {} {} {},", name(Which::Status), seconds(took), describe(outcome));
    }
    match &report.drain {
        Some((took, reason)) if reason.is_empty() => {
            let _ = write!(text, " drain {},", seconds(*took));
        }
        Some((took, reason)) => {
            let _ = write!(text, " drain {} ({reason}),", seconds(*took));
        }
        None => {}
    }
    if let Some((took, outcome)) = report.stop_command {
        let _ = write!(text, " {} {} {},", name(Which::Stop), seconds(took), describe(outcome));
    }
    if let Some((signal, took)) = report.delivered {
        let _ = write!(text, " {signal} {},", seconds(took));
    }
    if report.killed {
        text.push_str(" killed at the end of the budget,");
    }
    match report.app {
        Some(End::Exited(code)) => {
            let _ = write!(text, " app exited with {code}");
        }
        Some(End::Signalled(signal)) => {
            let _ = write!(text, " app ended by {signal}");
        }
        None => text.push_str(" app outlived KILL"),
    }
    if let Some((count, took)) = report.stragglers {
        let killed = if report.stragglers_killed { " and then killed" } else { "" };
        let _ = write!(text, ", {} left {}{killed}", processes(count), seconds(took));
    }
    let _ = write!(text, "; exit {}", report.code);
    text
}

fn name(which: Which) -> &'static str {
    match which {
        Which::Status => "status command",
        Which::Stop => "stop command",
    }
}

fn describe(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ended(end) => end.to_string(),
        Outcome::TimedOut => "timed out".into(),
        Outcome::NotExecuted(errno) => format!("cannot be run ({})", lower(errno.desc())),
        Outcome::NotStarted(errno) => format!("gets no process ({})", no_process(errno)),
        Outcome::NoTime => "skipped: no time left".into(),
    }
}

fn shown(command: Option<&Command>) -> String {
    command.map(ToString::to_string).unwrap_or_default()
}

fn whom(scope: Scope) -> &'static str {
    match scope {
        Scope::Child => "the program",
        Scope::Group => "the program's group",
    }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".into() } else { format!("{count} processes") }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// Why there is no process.
fn no_process(errno: Errno) -> String {
    if errno == Errno::EAGAIN { "there are too many".into() } else { lower(errno.desc()) }
}

/// Error texts begin with a capital letter, and stand in the middle of a sentence.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
