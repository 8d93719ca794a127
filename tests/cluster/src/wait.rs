//! Waiting for a condition, with a bound and with the last reason for not being there.
//!
//! Fixed sleeps are either too short on a busy machine or too long everywhere else, and a bare "timed out" does not
//! tell what was missing.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks at a condition: a tenth of what has been waited for already, within these. A look can mean
/// hundreds of requests to an API server that others need as well.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(250);
const PAUSES: u32 = 10;

/// What one look at a condition found.
#[derive(Debug)]
pub enum Seen<T> {
    /// The condition holds.
    Yes(T),
    /// Not yet; the reason is shown if it never comes to hold.
    NotYet(String),
}

/// Looks at `condition` until it holds, fails, or `bound` has passed.
///
/// # Errors
///
/// What the condition itself fails with, at once; or that `what` did not come to hold, with the last reason seen.
pub async fn until<T>(
    what: &str,
    bound: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Seen<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    let deadline = begun + bound;
    let mut last = "no answer yet".to_owned();
    while Instant::now() < deadline {
        match timeout_at(deadline, condition()).await {
            Ok(seen) => match seen? {
                Seen::Yes(value) => return Ok(value),
                Seen::NotYet(reason) => last = reason,
            },
            Err(_elapsed) => break,
        }
        sleep((begun.elapsed() / PAUSES).clamp(*PAUSE.start(), *PAUSE.end())).await;
    }
    bail!("waited {} s in vain for {what}; last seen: {last}", bound.as_secs())
}
