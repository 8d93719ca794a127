//! `fermata-shim run` as a container's runtime and its users see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "pitfalls/reaping.rs"]
mod reaping;
#[path = "pitfalls/shim.rs"]
mod shim;
#[path = "pitfalls/signals.rs"]
mod signals;
#[path = "pitfalls/starting.rs"]
mod starting;
#[path = "pitfalls/stopping.rs"]
mod stopping;
