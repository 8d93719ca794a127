//! When a drain may end: a state machine that is given the time and what the kernel counts.
//!
//! A range ends early when traffic has stopped. Traffic is seen by a counter and not by a list of sockets, because
//! a client that connects, asks and closes between two looks leaves no socket behind, but has been counted.
//!
//! The kubelet goes on asking for readiness while a Pod terminates, and each of these connections is counted too.
//! They cannot be told from traffic one by one, but they come at a known pace, so that there is a credit for them
//! that grows with time: a connection that it covers is no traffic. What it never hides is traffic of more than three
//! connections for each probe within the quiet time.
//!
//! What a counter of the network namespace cannot tell: connections over loopback (an agent in the same Pod) count
//! as traffic, and so do those to other containers of the Pod; requests over connections that are already open do
//! not, and neither does UDP.

mod probes;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt, time::Duration};

use fermata_stop_plan::{Drain, Seconds};

use self::probes::Probes;

/// The shortest time between two looks: each costs a fraction of a millisecond.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// The longest, so that a listener that closes is noticed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// Into how many parts a quiet time is divided, which bounds what is remembered.
const PARTS: u32 = 64;
/// How often listeners are looked at once a drain may end: that costs more, the more sockets there are.
const LISTENERS_INTERVAL: Duration = Duration::from_secs(1);

/// What the kernel tells about the Pod's network.
pub(crate) trait Network {
    /// How many connections were ever accepted.
    ///
    /// # Errors
    ///
    /// When nobody counts them, in words.
    fn accepted(&mut self) -> Result<u64, String>;

    /// Whether anybody listens, or nothing if that cannot be told.
    fn anybody_listens(&mut self) -> Option<bool>;

    /// Whether connections wait to be accepted.
    fn backlog(&mut self) -> bool;
}

/// Why a drain has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has a fixed length.
    Fixed,
    /// No traffic for the quiet time.
    Quiet {
        /// The quiet time.
        quiet: Seconds,
        /// How many connections came in it that the probes account for.
        probes: u64,
    },
    /// Nobody listens.
    NothingListens,
    /// Traffic went on to the last.
    Most {
        /// How many connections came within the quiet time.
        new: u64,
        /// The quiet time.
        quiet: Seconds,
        /// Whether connections still wait to be taken.
        backlog: bool,
    },
    /// Traffic could not be watched, so that it took as long as it may.
    Blind(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("its fixed length"),
            Self::Quiet { quiet, probes: 0 } => write!(f, "no new connection for {quiet}"),
            Self::Quiet { quiet, .. } => write!(f, "no new connection for {quiet} but those of probes"),
            Self::NothingListens => f.write_str("nothing listens"),
            Self::Most { new, quiet, backlog } => {
                let plural = if *new == 1 { "" } else { "s" };
                write!(f, "max reached, {new} new connection{plural} in the last {quiet}")?;
                if *backlog {
                    f.write_str(", some not yet accepted")?;
                }
                Ok(())
            }
            Self::Blind(why) => write!(f, "PassiveOpens cannot be read: {why}"),
        }
    }
}

/// The watch over one drain. All times are of one clock that never goes back.
#[derive(Debug)]
pub(crate) struct Watch {
    drain: Drain,
    quiet: Seconds,
    started: Duration,
    interval: Duration,
    next_look: Duration,
    next_listeners: Duration,
    probes: Probes,
    /// The last look, and what was counted then.
    last: Option<(Duration, u64)>,
    /// When traffic was last seen; the start, before any was.
    last_traffic: Duration,
    /// What was seen in the last quiet time.
    recent: VecDeque<Seen>,
    backlog: bool,
    blind: Option<String>,
}

/// What was seen in a part of the quiet time.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Duration,
    last: Duration,
    traffic: u64,
    probes: u64,
}

impl Watch {
    /// Begins a drain now. A probe is the period of a readiness probe, in which it connects once.
    #[must_use]
    pub(crate) fn new(drain: Drain, quiet: Seconds, probes: &[Seconds], now: Duration) -> Self {
        let interval = (duration(quiet) / PARTS).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Self {
            drain,
            quiet,
            started: now,
            interval,
            next_look: if drain.is_range() { now } else { now + duration(drain.most()) },
            next_listeners: now,
            probes: Probes::new(probes),
            last: None,
            last_traffic: now,
            recent: VecDeque::new(),
            backlog: false,
            blind: None,
        }
    }

    /// When to look next.
    #[must_use]
    pub(crate) fn next_look(&self) -> Duration {
        self.next_look
    }

    /// How long the drain has taken.
    #[must_use]
    pub(crate) fn taken(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }

    /// Looks, and says whether the drain is over and why. A look before its time costs no harm.
    #[must_use]
    pub(crate) fn look(&mut self, now: Duration, network: &mut impl Network) -> Option<Ended> {
        let least = self.started + duration(self.drain.least());
        let most = self.started + duration(self.drain.most());
        if !self.drain.is_range() {
            return (now >= most).then_some(Ended::Fixed);
        }
        match network.accepted() {
            Ok(count) => self.count(now, count),
            Err(why) => self.lose_sight(now, why),
        }
        if now >= most {
            return Some(self.exhausted());
        }

        let calm_at = least.max(self.last_traffic + duration(self.quiet));
        let calm = self.blind.is_none() && now >= calm_at;
        if now >= least && (now >= self.next_listeners || calm && !self.backlog) {
            self.next_listeners = now + LISTENERS_INTERVAL;
            if network.anybody_listens() == Some(false) {
                return Some(Ended::NothingListens);
            }
            // A request that nobody has accepted yet is not served yet.
            self.backlog = calm && network.backlog();
            if calm && !self.backlog {
                return Some(self.calmed());
            }
        }
        let regular = now + self.interval;
        // Just in time for the end, if it is near.
        let next = if calm_at > now { regular.min(calm_at) } else { regular };
        self.next_look = next.min(most);
        None
    }

    /// Nobody counts at present. Whatever comes meanwhile may be traffic.
    fn lose_sight(&mut self, now: Duration, why: String) {
        self.blind = Some(why);
        self.last = None;
        self.last_traffic = now;
    }

    /// Takes in what the counter says.
    fn count(&mut self, now: Duration, count: u64) {
        self.blind = None;
        let Some((last, before)) = self.last.replace((now, count)) else { return };
        let since = now.saturating_sub(last);
        let new = increase(before, count);
        let traffic = new - self.probes.cover(new, since, self.interval);
        if traffic > 0 {
            self.last_traffic = now;
        }
        if new > 0 {
            self.remember(now, traffic, new - traffic);
        }
        let window = now.saturating_sub(duration(self.quiet));
        while self.recent.front().is_some_and(|seen| seen.last < window) {
            self.recent.pop_front();
        }
    }

    fn remember(&mut self, now: Duration, traffic: u64, probes: u64) {
        let part = duration(self.quiet) / PARTS;
        match self.recent.back_mut().filter(|seen| now.saturating_sub(seen.first) < part) {
            Some(seen) => {
                seen.last = now;
                seen.traffic += traffic;
                seen.probes += probes;
            }
            None => self.recent.push_back(Seen { first: now, last: now, traffic, probes }),
        }
    }

    fn calmed(&self) -> Ended {
        Ended::Quiet { quiet: self.quiet, probes: self.recent.iter().map(|seen| seen.probes).sum() }
    }

    fn exhausted(&self) -> Ended {
        match &self.blind {
            Some(why) => Ended::Blind(why.clone()),
            None => Ended::Most {
                new: self.recent.iter().map(|seen| seen.traffic).sum(),
                quiet: self.quiet,
                backlog: self.backlog,
            },
        }
    }
}

/// How many connections came between two readings of the counter.
fn increase(before: u64, now: u64) -> u64 {
    if let Some(increase) = now.checked_sub(before) {
        return increase;
    }
    // A kernel of 32 bits begins again at zero; so does a namespace that was restored from a checkpoint, and there
    // nobody knows how many there were. A step back is never taken for silence.
    let wrapped = (1_u64 << 32).checked_sub(before).map(|left| left + now);
    wrapped.filter(|increase| *increase < 1 << 31).unwrap_or(now).max(1)
}

fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs(seconds.get().into())
}
