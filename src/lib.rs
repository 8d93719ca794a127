//! Fermata gives every opted-in Pod a correct ending.

pub mod cli;
pub mod config;
mod manifest;
