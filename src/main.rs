//! The `fermata` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    fermata::cli::main()
}
