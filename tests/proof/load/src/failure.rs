//! What a client is told when a request fails.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// How a request failed, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Status 502: the proxy got no answer.
    BadGateway,
    /// Status 504: the proxy gave up waiting.
    GatewayTimeout,
    /// Another status than 200.
    OtherStatus,
    /// Status 200, and another token than was sent.
    Wrong,
    /// Nobody listened.
    Refused,
    /// The connection broke.
    Reset,
    /// No answer in time.
    Timeout,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadGateway => "502",
            Self::GatewayTimeout => "504",
            Self::OtherStatus => "other status",
            Self::Wrong => "wrong answer",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
        })
    }
}

/// What became of all requests of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// All that were sent.
    pub sent: u64,
    /// Those that failed, by kind.
    pub failed: BTreeMap<Failure, u64>,
    /// When each failure was seen. Unit: milliseconds since the first request.
    pub failed_at: Vec<u64>,
    /// Right answers' latencies from when the request was due. Unit: milliseconds.
    pub latency: Latency,
    /// How much later than due requests were sent. Unit: milliseconds.
    pub lateness: Latency,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// One in a hundred took longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Tally {
    /// Those that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Those that failed before a time, in milliseconds since the first request.
    #[must_use]
    pub fn failures_before(&self, moment: u64) -> usize {
        self.failed_at.iter().filter(|at| **at < moment).count()
    }
}
