//! `fermata-shim drain` as the kubelet's runtime would start it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "drain/hook.rs"]
mod hook;
#[path = "drain/network.rs"]
mod network;
#[path = "drain/own_hook.rs"]
mod own_hook;
#[path = "harness/skip.rs"]
mod skip;
#[path = "drain/traffic.rs"]
mod traffic;
