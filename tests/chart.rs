//! The chart: what Helm 4 and Helm 3 make of it, and what a real API server makes of that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "chart/alerts.rs"]
mod alerts;
#[path = "chart/combinations.rs"]
mod combinations;
#[path = "chart/config.rs"]
mod config;
#[path = "chart/firing.rs"]
mod firing;
#[path = "chart/generated.rs"]
mod generated;
#[path = "chart/handover.rs"]
mod handover;
#[path = "chart/install.rs"]
mod install;
#[path = "chart/kubernetes.rs"]
mod kubernetes;
#[path = "chart/lifecycle.rs"]
mod lifecycle;
#[path = "chart/refusals.rs"]
mod refusals;
#[path = "chart/releases.rs"]
mod releases;
#[path = "chart/render.rs"]
mod render;
#[path = "chart/replica.rs"]
mod replica;
#[path = "chart/stage.rs"]
mod stage;
#[path = "chart/values.rs"]
mod values;
