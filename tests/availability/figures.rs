//! What became of the reviews of a load.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use fermata_test_cluster::webhook_client::Lost;
use tokio::time::Instant;

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
}

impl Figures {
    pub(crate) fn of(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.due);
        Self { records }
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.failed())
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
        )
    }
}

/// Prints figures past the test harness, which keeps back what a test that passes prints.
pub(crate) fn publish(what: &str, figures: &impl fmt::Display) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{what}: {figures}").ok();
}
