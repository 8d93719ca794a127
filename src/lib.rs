//! Fermata gives every opted-in Pod a correct ending.

mod background;
pub mod cli;
pub mod cluster;
pub mod config;
mod manifest;
mod polling;
pub mod server;
pub mod telemetry;
pub mod tls;
