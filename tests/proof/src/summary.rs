//! Several runs of one cell in short.

use std::collections::BTreeMap;

use fermata_proof_load::Failure;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cell::{Cell, Disturbance, Treatment},
    proxy::Upstream,
    run::Outcome,
};

/// A figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The middle one (the upper of two).
    pub median: f64,
    /// The highest.
    pub worst: f64,
}

impl Figure {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Self {
            median: figures.get(figures.len() / 2).copied().unwrap_or_default(),
            worst: figures.last().copied().unwrap_or_default(),
        }
    }
}

/// A cell and what came of its runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Which.
    #[serde(flatten)]
    pub cell: Cell,
    /// Why there are fewer runs than wanted: these were void, for reasons that are not the cell's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<String>,
    /// Failed requests of a run; of no meaning where there is no run.
    pub failed: Figure,
    /// The longest ending of a Pod in a run. Unit: seconds.
    pub longest_ending: Figure,
    /// Pods that had to be killed, in all runs.
    pub killed: usize,
    /// Pods that ended, in all runs.
    pub ended: usize,
    /// The grace period that the Pods had. Unit: seconds.
    pub grace: Option<i64>,
    /// How they failed, in all runs.
    pub failed_by_kind: BTreeMap<Failure, u64>,
    /// Why they failed, as the proxy says, in all runs.
    pub causes: BTreeMap<String, u64>,
    /// The runs themselves.
    pub runs: Vec<Outcome>,
}

impl Summary {
    /// Sums up.
    #[must_use]
    pub fn new(cell: Cell, runs: Vec<Outcome>, void: Vec<String>) -> Self {
        let endings = || runs.iter().flat_map(|run| &run.endings);
        Self {
            cell,
            void,
            failed: Figure::of(runs.iter().map(|run| count(run.tally.failures()))),
            longest_ending: Figure::of(runs.iter().map(Outcome::longest_ending)),
            killed: endings().filter(|ending| ending.was_killed()).count(),
            ended: endings().count(),
            grace: endings().filter_map(|ending| ending.grace).max(),
            failed_by_kind: sum(runs.iter().flat_map(|run| &run.tally.failed)),
            causes: sum(runs.iter().flat_map(|run| &run.causes.0)),
            runs,
        }
    }

    /// What this cell must show on any machine, and has not.
    #[must_use]
    pub fn broken_promise(&self) -> Option<String> {
        if let Some(why) = self.void.first() {
            return Some(format!("{}: every run tells something; one did not, for {why}", self.cell));
        }
        let Cell { disturbance, app, upstream, treatment } = self.cell;
        if disturbance != Disturbance::Rollout {
            return None;
        }
        if let Some(missing) = self.runs.iter().flat_map(|run| &run.unlogged).next() {
            return Some(format!("{}: the sequence runs as it is told; {missing}", self.cell));
        }
        let failed: u64 = self.failed_by_kind.values().sum();
        let unknown =
            self.runs.iter().flat_map(|run| &run.endings).filter(|end| end.exit_code.is_none()).count();
        match treatment {
            Treatment::Nothing if (app, upstream) == (App::Dies, Upstream::Kept) && failed == 0 => {
                Some(format!("{}: requests fail where nothing is done", self.cell))
            }
            Treatment::Fermata | Treatment::Shim if app == App::Graceful && failed > 0 => {
                Some(format!("{}: no request fails; {failed} did, for {:?}", self.cell, self.causes))
            }
            Treatment::Shim if self.killed + unknown > 0 => Some(format!(
                "{}: no Pod has to be killed; {} were, and of {unknown} it is not known",
                self.cell, self.killed
            )),
            _ => None,
        }
    }

    /// Requests of all runs.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.runs.iter().map(|run| run.tally.sent).sum()
    }
}

fn sum<'a, K: Ord + Clone + 'a>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key.clone()).or_default() += count;
    }
    sums
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss)]
fn count(requests: u64) -> f64 {
    requests as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_worst_need_no_order() {
        assert_eq!(Figure::of([3.0, 1.0, 2.0].into_iter()), Figure { median: 2.0, worst: 3.0 });
        assert_eq!(Figure::of(std::iter::empty()), Figure { median: 0.0, worst: 0.0 });
    }
}
