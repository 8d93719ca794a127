//! The figures behind the API server, and what they are to reach.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    goal::{Goal, Target},
    measured::{Measured, median},
};

/// One after the other.
pub(super) const ALONE: usize = 1;

/// Under load.
pub(super) const LOADED: usize = 16;

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ThroughApiServer {
    /// The API server's version.
    pub(super) kubernetes: String,
    pub(super) rounds: usize,
    pub(super) seconds_per_turn: f64,
    /// The Pod as it comes back from the webhook, in bytes.
    pub(super) pod_bytes: usize,
    pub(super) series: Vec<Series>,
}

/// One way to give the Pod an ending, at one number of connections.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Series {
    pub(super) who: Who,
    pub(super) connections: usize,
    // One figure a round.
    creates_per_second: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

/// Who gives the Pod an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    Nobody,
    Policy,
    Fermata,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Nobody, Self::Policy, Self::Fermata];

    /// For the report.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Policy => "a MutatingAdmissionPolicy",
            Self::Fermata => "`fermata serve`",
        }
    }
}

impl Series {
    pub(super) fn new(who: Who, connections: usize) -> Self {
        Self { who, connections, creates_per_second: Vec::new(), p50_us: Vec::new(), p99_us: Vec::new() }
    }

    /// Adds a round.
    pub(super) fn push(&mut self, measured: &Measured) {
        let latency = measured.latency();
        self.creates_per_second.push(measured.rate());
        self.p50_us.push(latency.p50);
        self.p99_us.push(latency.p99);
    }

    fn rate(&self) -> f64 {
        median(self.creates_per_second.iter().copied())
    }

    fn p50_ms(&self) -> f64 {
        median(self.p50_us.iter().copied()) / 1e3
    }

    fn p99_ms(&self) -> f64 {
        median(self.p99_us.iter().copied()) / 1e3
    }
}

impl ThroughApiServer {
    /// The API server's version.
    #[must_use]
    pub(crate) fn kubernetes(&self) -> &str {
        &self.kubernetes
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        vec![
            Goal::new(
                "Pod creates a second at 16 connections, against the policy",
                self.rate_ratio(),
                " times as many",
                Target::AtLeast(1.0),
            ),
            Goal::new(
                "the median latency added at 1 connection, against the policy",
                self.added_ratio(),
                " times as much",
                Target::AtMost(1.4),
            ),
        ]
    }

    /// Median over the rounds, each measured within seconds.
    fn rate_ratio(&self) -> f64 {
        let ours = self.figures(Who::Fermata, LOADED, |series| &series.creates_per_second);
        let theirs = self.figures(Who::Policy, LOADED, |series| &series.creates_per_second);
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }

    /// Of the medians: a single round's difference of two latencies is mostly noise.
    fn added_ratio(&self) -> f64 {
        self.added_ms(Who::Fermata) / self.added_ms(Who::Policy)
    }

    /// Median over the rounds of the median latency more than with nobody, at one connection.
    fn added_ms(&self, who: Who) -> f64 {
        let with = self.figures(who, ALONE, |series| &series.p50_us);
        let without = self.figures(Who::Nobody, ALONE, |series| &series.p50_us);
        median(with.iter().zip(without).map(|(with, without)| with - without)) / 1e3
    }

    fn figures(&self, who: Who, connections: usize, figures: impl Fn(&Series) -> &Vec<f64>) -> &[f64] {
        let mut series = self.series.iter();
        let found = series.find(|series| series.who == who && series.connections == connections);
        found.map(figures).map(Vec::as_slice).unwrap_or_default()
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let Self { kubernetes, rounds, seconds_per_turn, pod_bytes, series } = self;
        let mut text = format!(
            "## Through a real API server\n\n\
             Creates of a Pod with two containers (`dryRun=All`, {pod_bytes} bytes as it comes back), through the API \
             server of Kubernetes {kubernetes}. Both the policy and Fermata give each container a preStop sleep of \
             15 s, raise the grace period by as much, and report it in an annotation; each acts in a namespace of its \
             own. The policy is CEL that runs inside the API server, as a JSON patch, which is the faster of its two \
             forms; Fermata is called over TLS. etcd, the API \
             server, Fermata and the generator share all cores. {rounds} turns of {seconds_per_turn:.0} s each, in \
             turns in the same run; medians.\n\n\
             | who gives the Pod an ending | connections | creates a second | p50 | p99 | added to p50 |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
        for one in series {
            let added = if one.who == Who::Nobody || one.connections != ALONE {
                String::new()
            } else {
                format!("{:.2} ms", self.added_ms(one.who))
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {:.2} ms | {:.2} ms | {added} |",
                one.who.in_words(),
                one.connections,
                one.rate(),
                one.p50_ms(),
                one.p99_ms()
            );
        }
        let _ = writeln!(
            text,
            "\nAgainst the policy, Fermata adds {:.2} times as much to the median latency at {ALONE} connection, and \
             lets through {:.2} times as many creates at {LOADED}.",
            self.added_ratio(),
            self.rate_ratio()
        );
        text
    }
}
