//! Fermata gives every opted-in Pod a correct ending.

pub mod config;
