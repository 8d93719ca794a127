//! The command line: what can be typed, and one file for what each command does.
//!
//! The [grammar] knows only what may be typed. A command turns that into work and returns an [`Exit`]; this
//! file is the one place where the two meet.

mod completions;
pub mod exit;
mod explain;
pub mod grammar;
mod judge;
mod output;
mod preview;
pub mod serve;
mod summary;

use std::process::ExitCode;

use clap::Parser;

pub use exit::Exit;
use grammar::{Arguments, Command};

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    // Mistakes in the arguments, `--help` and `--version` end here, with clap's own exit codes: 2, and 0.
    let arguments = Arguments::parse();
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => Exit::Unchanged.into(),
        Err(error) => {
            anstream::eprintln!("fermata: {error:#}");
            Exit::Failed.into()
        }
    }
}

/// The one place where a command is chosen.
fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(options) => serve::run(*options),
        Command::Preview(options) => preview::run(&options).map(Into::into),
        Command::Explain(options) => explain::run(&options).map(Into::into),
        Command::Completions(options) => completions::run(&options).map(Into::into),
    }
}

/// Whether whoever read the output has seen enough: `fermata preview . | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
