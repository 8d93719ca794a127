//! One review, bytes in to bytes out, on one thread: Fermata's core against the naive way.

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fermata_baseline::naive;
use fermata_core::{
    review::Review,
    settings::{ClusterSettings, Settings},
};
use serde::Serialize;
use serde_json::Value;

/// Mean time of one review in each round, in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Times {
    core_us: Vec<f64>,
    naive_us: Vec<f64>,
}

/// Measures both in turns, so that a change in the machine's speed hits both.
///
/// # Errors
///
/// When the two disagree about an answer: then a comparison would mean nothing.
pub(crate) fn compare(reviews: &Path, rounds: usize) -> anyhow::Result<Times> {
    let reviews = fs::read(reviews).with_context(|| format!("failed to read {}", reviews.display()))?;
    let reviews: Vec<&[u8]> =
        reviews.split(|byte| *byte == b'\n').filter(|review| !review.is_empty()).collect();
    for review in &reviews {
        same(review)?;
    }
    let mut times = Times::default();
    for _ in 0..rounds {
        times.core_us.push(time(&reviews, core_answer));
        times.naive_us.push(time(&reviews, |body| naive::answer(body).unwrap_or_default()));
    }
    Ok(times)
}

fn time(reviews: &[&[u8]], answer: impl Fn(&[u8]) -> Vec<u8>) -> f64 {
    let start = Instant::now();
    for review in reviews {
        black_box(answer(black_box(review)));
    }
    let one: Duration = start.elapsed() / u32::try_from(reviews.len()).unwrap_or(1);
    one.as_secs_f64() * 1e6
}

fn core_answer(body: &[u8]) -> Vec<u8> {
    static CLUSTER: LazyLock<ClusterSettings> = LazyLock::new(ClusterSettings::default);
    let settings = Settings {
        cluster: &CLUSTER,
        namespace: None,
        namespace_name: None,
        own_namespace: None,
        server: None,
    };
    Review::parse(body).map(|review| review.decide(&settings).body).unwrap_or_default()
}

fn same(review: &[u8]) -> anyhow::Result<()> {
    let (core, naive) = (patch(&core_answer(review))?, patch(&naive::answer(review)?)?);
    let status = |patch: &Value| {
        let status = patch.as_array().and_then(|patch| patch.last()).and_then(|last| last["value"].as_str());
        status.and_then(|status| serde_json::from_str::<Value>(status).ok())
    };
    let steps = |patch: &Value| patch.as_array().map(|patch| patch[..patch.len() - 1].to_vec());
    ensure!(steps(&core) == steps(&naive), "the patches differ:\n{core}\n{naive}");
    ensure!(status(&core) == status(&naive), "the reports differ:\n{core}\n{naive}");
    Ok(())
}

fn patch(answer: &[u8]) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_slice(answer).context("an answer is not JSON")?;
    let patch = answer["response"]["patch"].as_str().context("no patch")?;
    Ok(serde_json::from_slice(&BASE64_STANDARD.decode(patch)?)?)
}
