//! One review, bytes in to bytes out, on one thread: Fermata's core against the naive way.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fermata_core::{
    review::Review,
    settings::{ClusterSettings, Settings},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    expected::Expected,
    goal::{Goal, Target},
    measured::{median, micros},
    naive,
    reviews::{Sample, samples},
};

/// Different reviews.
const SAMPLES: usize = 500;

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
    pub(crate) fn measure(rounds: usize) -> anyhow::Result<Self> {
        let samples = samples(SAMPLES);
        for sample in &samples {
            same(sample)?;
        }
        let mut core = Vec::with_capacity(rounds);
        let mut naive = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            core.push(micros(time(&samples, core_answer)));
            naive.push(micros(time(&samples, |body| naive::answer(body).unwrap_or_default())));
        }
        let mut sizes: Vec<usize> = samples.iter().map(|sample| sample.pod).collect();
        sizes.sort_unstable();
        Ok(Self {
            rounds,
            reviews: SAMPLES,
            pod_p50_bytes: sizes[SAMPLES / 2],
            pod_p95_bytes: sizes[SAMPLES * 95 / 100],
            ratio: median(core.iter().zip(&naive).map(|(core, naive)| naive / core)),
            core_us: median(core),
            naive_us: median(naive),
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

fn time(samples: &[Sample], answer: impl Fn(&[u8]) -> Vec<u8>) -> Duration {
    let start = Instant::now();
    for sample in samples {
        black_box(answer(black_box(&sample.body)));
    }
    start.elapsed() / u32::try_from(samples.len()).unwrap_or(1)
}

fn core_answer(body: &[u8]) -> Vec<u8> {
    static CLUSTER: std::sync::LazyLock<ClusterSettings> = std::sync::LazyLock::new(ClusterSettings::default);
    let settings = Settings {
        cluster: &CLUSTER,
        namespace: None,
        namespace_name: None,
        own_namespace: None,
        server: None,
    };
    Review::parse(body).map(|review| review.decide(&settings).body).unwrap_or_default()
}

fn same(sample: &Sample) -> anyhow::Result<()> {
    let (core, naive) = (core_answer(&sample.body), naive::answer(&sample.body)?);
    let expected = Expected::of(sample)?;
    expected.check(&core)?;
    expected.check(&naive)?;
    // Both right is not enough: a shorter patch to the same end would be less work.
    let core: Value = serde_json::from_slice(&core)?;
    let naive: Value = serde_json::from_slice(&naive)?;
    let patch = |answer: &Value| -> anyhow::Result<Value> {
        use base64::Engine;
        let patch = answer["response"]["patch"].as_str().context("no patch")?;
        Ok(serde_json::from_slice(&base64::prelude::BASE64_STANDARD.decode(patch)?)?)
    };
    let (core, naive) = (patch(&core)?, patch(&naive)?);
    // The last step adds the status, a text whose keys may come in any order.
    let steps = |patch: &Value| patch.as_array().map(|patch| patch[..patch.len() - 1].to_vec());
    ensure!(steps(&core) == steps(&naive), "the patches differ:\n{core}\n{naive}");
    Ok(())
}
