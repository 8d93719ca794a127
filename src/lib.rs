//! Fermata gives every opted-in Pod a correct ending.

pub mod cluster;
pub mod config;
pub mod telemetry;
pub mod tls;
