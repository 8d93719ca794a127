//! `fermata check` on a real API server: a healthy installation, and each kind of damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "check/access.rs"]
mod access;
#[path = "check/command_line.rs"]
mod command_line;
#[path = "check/damage.rs"]
mod damage;
#[path = "check/installation.rs"]
mod installation;
#[path = "check/replicas.rs"]
mod replicas;
#[expect(dead_code, reason = "nothing here is read from standard input")]
#[path = "sandbox/fermata.rs"]
mod sandbox;
#[path = "check/stage.rs"]
mod stage;
