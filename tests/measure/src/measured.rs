//! What a load generator has seen: how many answers, in what time, and after how long each.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Latencies are kept to three significant digits.
const DIGITS: u8 = 3;

/// The right answers of one or more runs.
#[derive(Clone, Debug)]
pub struct Measured {
    took: Duration,
    latencies: Histogram<u64>,
}

impl Measured {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// Never, for the bounds are constant; the histogram wants to be asked.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { took: Duration::ZERO, latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS)? })
    }

    /// Counts an answer.
    pub fn record(&mut self, latency: Duration) {
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LONGEST));
    }

    /// Adds what another connection has seen in the same time.
    ///
    /// # Errors
    ///
    /// Never, for all histograms have the same bounds.
    pub fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.latencies.add(&other.latencies)?)
    }

    /// Says how long it was counted.
    pub fn lasting(&mut self, took: Duration) {
        self.took = took;
    }

    /// Right answers.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.latencies.len()
    }

    /// Right answers, to reckon with.
    #[must_use]
    pub fn count(&self) -> f64 {
        // Exact up to 2^53 answers.
        #[expect(clippy::cast_precision_loss)]
        let answers = self.answers() as f64;
        answers
    }

    /// Right answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
    }

    /// The latencies in short.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let at = |quantile| micros(Duration::from_nanos(self.latencies.value_at_quantile(quantile)));
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(Duration::from_nanos(self.latencies.max())),
        }
    }
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// One in a hundred took longer.
    pub p99: f64,
    /// One in a thousand took longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// A duration in microseconds.
#[must_use]
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The middle one of some figures (the upper of two); 0 for none.
#[must_use]
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_come_back_to_three_digits() -> anyhow::Result<()> {
        let mut measured = Measured::new()?;
        for millis in 1..=1000 {
            measured.record(Duration::from_millis(millis));
        }
        measured.lasting(Duration::from_secs(2));
        let latency = measured.latency();
        assert!((latency.p50 - 500_000.0).abs() < 1000.0, "{latency:?}");
        assert!((latency.p99 - 990_000.0).abs() < 1000.0, "{latency:?}");
        assert!((measured.rate() - 500.0).abs() < f64::EPSILON);
        Ok(())
    }

    #[test]
    fn the_median_does_not_need_an_order() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }
}
