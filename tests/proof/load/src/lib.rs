//! What the load of `make proof` says about the requests that it has sent.

mod failure;

pub use failure::{Failure, Latency, Tally};

/// What it writes once requests are being sent.
pub const SENDING: &str = "sending";
