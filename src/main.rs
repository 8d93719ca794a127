//! The `fermata` program.

use std::process::ExitCode;

use clap::Parser;
use fermata::cli::serve::{self, ServeOptions};

/// Gives every Pod a correct ending.
#[derive(Parser)]
#[command(version)]
enum Fermata {
    /// Answer the API server's reviews
    Serve(Box<ServeOptions>),
}

fn main() -> ExitCode {
    let Fermata::Serve(options) = Fermata::parse();
    serve::run(*options).unwrap_or_else(|error| {
        eprintln!("fermata: {error:#}");
        ExitCode::FAILURE
    })
}
