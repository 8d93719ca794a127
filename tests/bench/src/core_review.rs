//! One review, bytes in to bytes out, on one thread: Fermata's core against the naive way.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use fermata_core::{
    review::Review,
    settings::{ClusterSettings, Settings},
};
use serde_json::Value;

use crate::{
    naive,
    reviews::{Sample, samples},
};

/// The outcome of one comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// Median time of one review through the core.
    pub(crate) core: Duration,
    /// Median time of one review the naive way.
    pub(crate) naive: Duration,
    /// Median over all rounds of naive divided by core, each round measured back to back.
    pub(crate) ratio: f64,
}

/// Measures both in turns, so that a change in the machine's speed hits both.
///
/// # Errors
///
/// When the two disagree about an answer: then a comparison would mean nothing.
pub(crate) fn compare(rounds: usize) -> anyhow::Result<Comparison> {
    let samples = samples(500);
    for sample in &samples {
        same(sample)?;
    }
    let mut core = Vec::with_capacity(rounds);
    let mut naive = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        core.push(time(&samples, core_answer));
        naive.push(time(&samples, |body| naive::answer(body).unwrap_or_default()));
    }
    let mut ratios: Vec<f64> =
        core.iter().zip(&naive).map(|(core, naive)| naive.as_secs_f64() / core.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    core.sort();
    naive.sort();
    Ok(Comparison { core: core[rounds / 2], naive: naive[rounds / 2], ratio: ratios[rounds / 2] })
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
    let core: Value =
        serde_json::from_slice(&core_answer(&sample.body)).context("the core's answer is not JSON")?;
    let naive: Value = serde_json::from_slice(&naive::answer(&sample.body)?)?;
    let patch = |answer: &Value| -> anyhow::Result<Value> {
        use base64::Engine;
        let patch = answer["response"]["patch"].as_str().context("no patch")?;
        Ok(serde_json::from_slice(&base64::prelude::BASE64_STANDARD.decode(patch)?)?)
    };
    let status = |patch: &Value| {
        let status = patch.as_array().and_then(|patch| patch.last()).and_then(|last| last["value"].as_str());
        status.and_then(|status| serde_json::from_str::<Value>(status).ok())
    };
    let (core, naive) = (patch(&core)?, patch(&naive)?);
    let steps = |patch: &Value| patch.as_array().map(|patch| patch[..patch.len() - 1].to_vec());
    ensure!(steps(&core) == steps(&naive), "the patches differ:\n{core}\n{naive}");
    ensure!(status(&core) == status(&naive), "the reports differ:\n{core}\n{naive}");
    Ok(())
}
