//! The authority that the replicas share, and what is registered with a real kube-apiserver: Fermata runs with the
//! rights of the chart and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "authority/installation.rs"]
mod installation;
#[path = "authority/start.rs"]
mod start;
