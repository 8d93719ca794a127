//! How many connections readiness probes may have made.

use std::time::Duration;

use fermata_stop_plan::Seconds;

/// How much later than its due time the kubelet may connect: its probes wait for the one before, and for a
/// processor.
const LATENESS: Duration = Duration::from_millis(500);

/// One connection, in the unit of the credit: so that what a time earns is its nanoseconds by the period's seconds.
const CONNECTION: u128 = 1_000_000_000;

/// The credit of all probes of a Pod. Each connects once a period, so at most `W / period + 1` times in any time W:
/// that is what a credit allows that begins at one connection for each, grows with time, and is paid with. It is
/// one for all of them, because nobody can tell whose a connection was.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    periods: Vec<Seconds>,
    /// In billionths of a connection.
    credit: u128,
}

impl Probes {
    /// Probes that may all connect at once.
    pub(super) fn new(periods: &[Seconds]) -> Self {
        let mut probes = Self { periods: periods.to_vec(), credit: 0 };
        probes.credit = probes.most(LATENESS);
        probes
    }

    /// How many of these connections are the probes', and pays for them. `since` is the time since the last look,
    /// `interval` what it should have been.
    pub(super) fn cover(&mut self, connections: u64, since: Duration, interval: Duration) -> u64 {
        // The last look saw connections up to one interval late, and so the credit may last for as much longer; a
        // look that comes late itself has to cover all that came meanwhile.
        let most = self.most(LATENESS + interval.max(since));
        self.credit = (self.credit + self.earned(since)).min(most);
        let covered = (self.credit / CONNECTION).min(connections.into());
        self.credit -= covered * CONNECTION;
        // It is no more than `connections`.
        u64::try_from(covered).unwrap_or(connections)
    }

    /// What a time earns.
    fn earned(&self, time: Duration) -> u128 {
        // Kubernetes knows no period below a second.
        self.periods.iter().map(|period| time.as_nanos() / u128::from(period.get().max(1))).sum()
    }

    /// The most that can be saved up: a connection of each, and what a lateness earns.
    fn most(&self, lateness: Duration) -> u128 {
        self.periods.iter().map(|_| CONNECTION).sum::<u128>() + self.earned(lateness)
    }
}
