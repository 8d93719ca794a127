//! `fermata completions`: what a shell needs to complete the command line.

use clap::CommandFactory;

use super::{
    Exit,
    grammar::{Arguments, CompletionsOptions},
    output,
};

/// Prints the script for one shell.
pub(super) fn run(options: &CompletionsOptions) -> anyhow::Result<Exit> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "fermata", &mut script);
    output::plain(&String::from_utf8(script)?)?;
    Ok(Exit::Unchanged)
}
