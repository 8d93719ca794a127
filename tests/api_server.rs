//! Fermata behind a real kube-apiserver: Pods are created there, and what is stored is looked at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "api_server/balancer.rs"]
mod balancer;
#[path = "api_server/delivery.rs"]
mod delivery;
#[path = "api_server/fixtures.rs"]
mod fixtures;
#[path = "api_server/injector.rs"]
mod injector;
#[path = "api_server/mutation.rs"]
mod mutation;
#[path = "api_server/operation.rs"]
mod operation;
#[path = "api_server/stage.rs"]
mod stage;
