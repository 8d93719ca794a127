//! The chart: what Helm 4 and Helm 3 make of it, and what a real API server makes of that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "chart/install.rs"]
mod install;
#[path = "chart/stage.rs"]
mod stage;
