//! `fermata completions`: what a shell needs to complete the command line.

use std::io::Write;

use clap::CommandFactory;

use super::{
    Exit,
    grammar::{Arguments, CompletionsOptions},
};

/// Prints the script for one shell.
pub(super) fn run(options: &CompletionsOptions) -> anyhow::Result<Exit> {
    // The generator panics when it cannot write, so it writes to memory first.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "fermata", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Unchanged)
}
