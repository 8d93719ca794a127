//! `fermata-shim`: a better PID 1, and a preStop hook that drains.

mod drain;

use std::process::ExitCode;

fn main() -> ExitCode {
    println!("fermata-shim {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
