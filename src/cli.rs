//! The command line: what can be typed, and one file for what each command does.
//!
//! The [grammar] knows only what may be typed. A command turns that into work and returns an [`Exit`]; this
//! file is the one place where the two meet.

mod check;
mod completions;
pub mod exit;
mod explain;
pub mod grammar;
mod judge;
mod output;
mod preview;
mod screen;
pub mod serve;
mod summary;

use std::process::ExitCode;

use clap::Parser;

/// All checks of `fermata check`, as a table for the documentation.
pub use check::catalogue::markdown as checks_markdown;
pub use exit::Exit;
use grammar::{Arguments, Command};

use crate::config::ConfigError;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    // Mistakes in the arguments, `--help` and `--version` end here, with clap's own exit codes: 2, and 0.
    let arguments = Arguments::parse();
    dispatch(arguments.command).unwrap_or_else(|error| {
        let exit = failure(&error);
        if exit != Exit::Unchanged {
            output::tell(format_args!("error: {error:#}"));
        }
        exit.into()
    })
}

/// What an error of a whole command comes to.
fn failure(error: &anyhow::Error) -> Exit {
    if error.is::<output::ReaderGone>() {
        Exit::Unchanged
    } else if error.is::<ConfigError>() {
        Exit::BadInput
    } else {
        Exit::Failed
    }
}

/// The one place where a command is chosen.
fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(options) => serve::run(*options),
        Command::Preview(options) => preview::run(&options).map(Into::into),
        Command::Explain(options) => explain::run(&options).map(Into::into),
        Command::Check(options) => check::run(&options).map(Into::into),
        Command::Completions(options) => completions::run(&options).map(Into::into),
    }
}
