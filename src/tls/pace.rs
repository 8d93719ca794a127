//! How often something is tried: at once when there is something new, and ever more slowly while it is in vain or
//! somebody undoes it again and again.

use std::time::Duration;

use tokio::time::Instant;

/// After so long without an attempt all is forgotten.
const FORGET: Duration = Duration::from_secs(10);

/// The first pause and the longest one.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The pace of one thing that is tried.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    attempts: u32,
}

impl Pace {
    /// Whether it may be tried now; if so, that counts as an attempt.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        if let Some(last) = self.last {
            let since = now.duration_since(last);
            if since < self.pause() {
                return false;
            }
            if since >= FORGET {
                self.attempts = 0;
            }
        }
        self.last = Some(now);
        self.attempts = self.attempts.saturating_add(1);
        true
    }

    /// How long to wait after the last attempt. The second follows at once: the first was often lost to another
    /// replica.
    fn pause(&self) -> Duration {
        match self.attempts {
            0 | 1 => Duration::ZERO,
            attempts => (FIRST * 2_u32.saturating_pow(attempts.min(10) - 2)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[test]
    fn attempts_become_rare_and_are_forgotten() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        let count = (0..60_000).filter(|at| pace.allows(begin + Duration::from_millis(*at))).count();
        assert!((12..20).contains(&count), "{count} in a minute");
        let later = begin + Duration::from_mins(2);
        assert!(pace.allows(later) && pace.allows(later));
        assert!(!pace.allows(later));
    }
}
