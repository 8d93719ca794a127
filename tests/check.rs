//! `fermata check` on a real API server: a healthy installation, and each kind of damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "check/access.rs"]
mod access;
#[path = "check/certificates.rs"]
mod certificates;
#[path = "check/command_line.rs"]
mod command_line;
#[path = "check/damage.rs"]
mod damage;
#[path = "check/installation.rs"]
mod installation;
#[path = "check/policy.rs"]
mod policy;
#[path = "check/replicas.rs"]
mod replicas;
#[expect(dead_code, reason = "nothing here is read from standard input")]
#[path = "sandbox/fermata.rs"]
mod sandbox;
#[path = "check/selectors.rs"]
mod selectors;
#[path = "check/silence.rs"]
mod silence;
#[path = "check/stage.rs"]
mod stage;
