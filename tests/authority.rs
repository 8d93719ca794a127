//! The authority that the replicas share, and what is registered with a real kube-apiserver: Fermata runs with the
//! rights of the chart and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "authority/absence.rs"]
mod absence;
#[path = "authority/bad_input.rs"]
mod bad_input;
#[path = "authority/files.rs"]
mod files;
#[path = "authority/greeting.rs"]
mod greeting;
#[path = "authority/installation.rs"]
mod installation;
#[path = "authority/registration.rs"]
mod registration;
#[path = "authority/rights.rs"]
mod rights;
#[path = "authority/rotation.rs"]
mod rotation;
#[path = "authority/secret.rs"]
mod secret;
#[path = "authority/start.rs"]
mod start;
#[path = "authority/uninstallation.rs"]
mod uninstallation;
