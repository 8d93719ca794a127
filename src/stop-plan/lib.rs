//! What must happen when a container ends.
//!
//! The webhook writes a stop plan into the Pod and the shim obeys it. This crate is the vocabulary that both
//! share, so that the two can never disagree about what a value means. It depends on `std` alone, because half
//! of it ends up in a program that runs as PID 1 in other people's containers.

mod seconds;

pub use seconds::{ParseSecondsError, Seconds};
