//! One review, bytes in to bytes out, on one thread: Fermata's core against the naive way.
//!
//! Both run in the baseline's process, which is built with the features that the naive way would have.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use fermata_baseline::naive;
use fermata_test_cluster::process::{Process, Program};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    expected::Expected,
    goal::{Goal, Target},
    measured::median,
    reviews::samples,
    setup::Setup,
};

/// Different reviews.
const SAMPLES: usize = 500;

/// More than any machine needs.
const BOUND: Duration = Duration::from_mins(2);

/// Mean time of one review in each round, as the baseline's process prints it.
#[derive(Debug, Deserialize)]
struct Times {
    core_us: Vec<f64>,
    naive_us: Vec<f64>,
}

/// The outcome of the comparison.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct CoreReview {
    /// How often each answered all reviews.
    rounds: usize,
    /// Different reviews.
    reviews: usize,
    /// The Pods in them: the median, and one in twenty is larger.
    pod_p50_bytes: usize,
    pod_p95_bytes: usize,
    /// Median time of one review through the core.
    core_us: f64,
    /// Median time of one review the naive way.
    naive_us: f64,
    /// Median over all rounds of naive divided by core, each round measured back to back.
    ratio: f64,
}

impl CoreReview {
    /// Measures both in turns, so that a change in the machine's speed hits both.
    ///
    /// # Errors
    ///
    /// When one of the two gives a wrong answer: then a comparison would mean nothing.
    pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<Self> {
        let samples = samples(SAMPLES);
        let mut lines = Vec::new();
        for sample in &samples {
            // The other process compares the core's answers with these.
            Expected::of(sample)?.check(&naive::answer(&sample.body)?)?;
            lines.extend_from_slice(&sample.body);
            lines.push(b'\n');
        }
        let reviews = setup.scratch.path().join("reviews.jsonl");
        fs::write(&reviews, lines)?;
        let rounds = setup.effort.core_rounds;
        let Times { core_us, naive_us } = times(setup, &reviews, rounds).await?;
        let mut sizes: Vec<usize> = samples.iter().map(|sample| sample.pod).collect();
        sizes.sort_unstable();
        Ok(Self {
            rounds,
            reviews: SAMPLES,
            pod_p50_bytes: sizes[SAMPLES / 2],
            pod_p95_bytes: sizes[SAMPLES * 95 / 100],
            ratio: median(core_us.iter().zip(&naive_us).map(|(core, naive)| naive / core)),
            core_us: median(core_us),
            naive_us: median(naive_us),
        })
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let what = "one review through the core, against the naive way";
        vec![Goal::new(what, self.ratio, " times as fast", Target::AtLeast(1.5))]
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let Self { rounds, reviews, pod_p50_bytes, pod_p95_bytes, core_us, naive_us, ratio } = self;
        format!(
            "## One review\n\n\
             Request bytes in, response bytes out, on one thread, without network or TLS. The naive way parses the \
             review into a `serde_json::Value`, builds the same patch, and serialises the answer. {reviews} generated \
             reviews as an API server sends them, with managed fields and defaults (Pods of {pod_p50_bytes} bytes in \
             the median, {pod_p95_bytes} at the 95th percentile), {rounds} rounds in turns.\n\n\
             | | time per review (median) | |\n\
             |---|---:|---:|\n\
             | the naive way | {naive_us:.1} µs | |\n\
             | Fermata's core | {core_us:.1} µs | {ratio:.2} times as fast |\n"
        )
    }
}

async fn times(setup: &Setup, reviews: &Path, rounds: usize) -> anyhow::Result<Times> {
    let args =
        vec!["core".to_owned(), format!("--reviews={}", reviews.display()), format!("--rounds={rounds}")];
    let (path, args) = setup.pinning.server_command(setup.baseline.clone(), args);
    let program =
        Program { name: "core".to_owned(), path, args, env: Vec::new(), grace: Duration::from_secs(1) };
    let process = Process::start(&setup.scratch, program)?;
    let code = timeout(BOUND, process.exited()).await.context("the comparison does not end")?;
    ensure!(code == 0, "the comparison failed; {}", process.log_tail());
    serde_json::from_str(process.log().trim()).with_context(|| process.log_tail())
}
