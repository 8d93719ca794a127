//! The shim under the names of other inits: what their users rely on, and what they themselves do, side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "dialects/dumb_init.rs"]
mod dumb_init;
#[path = "dialects/peers.rs"]
mod peers;
#[path = "dialects/printer.rs"]
mod printer;
#[path = "harness/proc.rs"]
mod proc;
#[path = "dialects/process.rs"]
mod process;
#[path = "harness/skip.rs"]
mod skip;
#[path = "dialects/terminal.rs"]
mod terminal;
#[path = "dialects/tini.rs"]
mod tini;
