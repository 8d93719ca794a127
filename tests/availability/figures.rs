//! What became of the reviews of a load.

use std::{collections::BTreeMap, fmt, net::SocketAddr, ops::RangeInclusive, time::Duration};

use fermata_test_cluster::webhook_client::Lost;
use tokio::time::Instant;

use crate::replicas::{NEWS, TIMEOUT};

/// What became of one review.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It has the right answer.
    Right {
        /// Who gave it.
        server: SocketAddr,
        /// How often it was sent again before.
        retries: u32,
    },
    /// No answer came.
    Lost(Lost, String),
    /// An answer came that is not the right one.
    Wrong(String),
}

/// One review.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// When it had to be sent.
    pub(crate) due: Instant,
    /// How much later it was sent.
    pub(crate) late: Duration,
    /// When it was over.
    pub(crate) done: Instant,
    pub(crate) outcome: Outcome,
}

impl Record {
    pub(crate) fn failed(&self) -> bool {
        !matches!(self.outcome, Outcome::Right { .. })
    }

    fn latency(&self) -> Duration {
        self.done.saturating_duration_since(self.due)
    }
}

/// All reviews of a load, in the order in which they were due.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) records: Vec<Record>,
    set_aside: usize,
    /// Those for which this machine, or the API server's limit, had no room.
    not_sent: usize,
}

/// A load that is so much late has not had the processors.
pub(crate) const STALL: Duration = Duration::from_secs(1);

impl Figures {
    /// Sets aside what failed because this machine itself stood still: a review that is sent a second late shows that,
    /// whatever the replicas do. Only what took longer than news take to travel is excused by it.
    pub(crate) fn of(mut records: Vec<Record>, not_sent: usize) -> Self {
        records.sort_by_key(|record| record.due);
        let late = records.iter().filter(|record| record.late > STALL);
        let stalls: Vec<_> = late.map(|record| record.due..=record.due + record.late + TIMEOUT).collect();
        let total = records.len();
        records.retain(|record| {
            let overlaps =
                |stall: &RangeInclusive<Instant>| *stall.start() <= record.done && record.due <= *stall.end();
            !record.failed() || record.latency() < NEWS || !stalls.iter().any(overlaps)
        });
        Self { set_aside: total - records.len(), records, not_sent }
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.failed())
    }

    /// Whether this machine could not send one in twenty, or stood still meanwhile.
    pub(crate) fn short_of_time(&self) -> bool {
        self.set_aside > 0 || self.not_sent * 20 > self.records.len()
    }

    /// How many a server has answered.
    pub(crate) fn answered_by(&self, server: SocketAddr) -> usize {
        let by =
            |record: &&Record| matches!(&record.outcome, Outcome::Right { server: by, .. } if *by == server);
        self.records.iter().filter(by).count()
    }

    /// How long after a moment the next right answer came.
    pub(crate) fn next_right_after(&self, moment: Instant) -> Option<Duration> {
        let later = self.records.iter().filter(|record| record.due >= moment && !record.failed());
        later.map(|record| record.done - moment).min()
    }

    /// Fails, and shows what has failed, unless nothing has.
    pub(crate) fn expect_no_failure(&self) {
        let shown: Vec<_> = self.failures().take(5).map(|record| self.show(record)).collect();
        assert!(shown.is_empty(), "{self}; the first ones that failed:\n{}", shown.join("\n"));
    }

    /// One record, for a message.
    pub(crate) fn show(&self, record: &Record) -> String {
        let begun = self.records.first().map_or(record.due, |first| first.due);
        let outcome = match &record.outcome {
            Outcome::Right { server, retries } => format!("answered by {server} after {retries} retries"),
            Outcome::Lost(kind, detail) => format!("{kind:?}: {detail}"),
            Outcome::Wrong(detail) => format!("wrong: {detail}"),
        };
        format!("due {:?}, over after {:?}: {outcome}", record.due - begun, record.latency())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failed = BTreeMap::<String, usize>::new();
        let mut retried = 0;
        for record in &self.records {
            match &record.outcome {
                Outcome::Right { retries, .. } => retried += retries,
                Outcome::Lost(kind, _) => *failed.entry(format!("{kind:?}")).or_default() += 1,
                Outcome::Wrong(_) => *failed.entry("wrong".to_owned()).or_default() += 1,
            }
        }
        let mut latencies: Vec<_> =
            self.records.iter().filter(|record| !record.failed()).map(Record::latency).collect();
        latencies.sort();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or_default();
        write!(
            f,
            "sent {}, ok {}, retried {retried}, failed {failed:?}, p50 {:.1?}, p99 {:.1?}, max {:.1?}",
            self.records.len(),
            latencies.len(),
            at(50),
            at(99),
            latencies.last().copied().unwrap_or_default(),
        )?;
        if self.set_aside + self.not_sent > 0 {
            let (set_aside, not_sent) = (self.set_aside, self.not_sent);
            write!(f, "; this machine was short of time: {not_sent} not sent, {set_aside} set aside")?;
        }
        Ok(())
    }
}

/// Prints figures past the test harness, which keeps back what a test that passes prints.
pub(crate) fn publish(what: &str, figures: &impl fmt::Display) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{what}: {figures}").ok();
}
