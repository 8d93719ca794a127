//! Logs: text for a person at a terminal, JSON for everything else.
//!
//! What is logged names requests, decisions and counts. It never holds a Pod, an annotation's value or an
//! environment value, at any level; that includes the message of a panic, which may quote what was being read.

use std::{
    io::{self, IsTerminal},
    panic,
};

use anyhow::Context;
use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text an event, with colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How many lines wait for their reader at most: some hundred kilobytes.
const WAITING: usize = 4096;

/// What writes the lines. Dropping it writes those that still wait, unless nobody reads them.
#[must_use]
pub struct Logs {
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logs {
    /// How many lines were given up because nobody read them.
    #[must_use]
    pub fn lost(&self) -> ErrorCounter {
        self.lost.clone()
    }
}

/// Begins to log to standard error, by a thread of its own: a reader that stalls, such as a container runtime on a full
/// disk, costs lines and never a review.
///
/// # Errors
///
/// When the filter is not understood, or something else logs already.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<Logs> {
    // An empty variable is what a manifest gives that leaves the value out.
    let filter = if filter.is_empty() { "info" } else { filter };
    // kube's own lines repeat, error by error, what the watch says once, and quote an answer that they cannot read, which
    // may be the Secret; whoever asks for them by name gets them.
    let quieter = if filter.contains("kube") {
        filter.to_owned()
    } else {
        format!("kube_runtime=off,kube_client=error,{filter}")
    };
    let filter = EnvFilter::builder().parse(quieter).with_context(|| {
        format!("--log-level {filter:?} is no filter; use error, warn, info, debug, trace, or fermata=debug,kube=info")
    })?;
    let terminal = io::stderr().is_terminal();
    let text = format == LogFormat::Text || (format == LogFormat::Auto && terminal);
    let registry = tracing_subscriber::registry().with(filter);
    let (lines, writer) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("fermata-logs")
        .finish(io::stderr());
    let lost = lines.error_counter();
    let lines = fmt::layer().with_writer(lines);
    if text {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        registry.with(lines.with_target(false).with_ansi(colours)).try_init()
    } else {
        registry
            .with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false))
            .try_init()
    }
    .context("cannot begin to log")?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic in the program; please report it with this place");
    }));
    Ok(Logs { lost, _writer: writer })
}
