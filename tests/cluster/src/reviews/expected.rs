//! What the answer to a generated review must be.
//!
//! The patch is applied to the Pod by a library that is not ours, and the outcome compared with a Pod that was
//! changed by hand: each container drains for 15 s, the grace period is 15 s longer, the status tells both, and
//! nothing else has changed.

use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reviews::Sample;

/// How long a container goes on serving, in seconds.
pub const DRAIN: i64 = 15;

/// The annotation that reports what was done.
pub const STATUS: &str = "fermata.dev/status";

/// The answer that one review must get.
#[derive(Debug)]
pub struct Expected {
    uid: String,
    before: Value,
    after: Value,
    status: Value,
    /// The patch that was once found right. The next answer has the same, byte by byte, or is looked at in full.
    right: OnceLock<String>,
}

#[derive(Debug, Deserialize)]
struct Answer<'a> {
    kind: &'a str,
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    patch_type: Option<&'a str>,
    patch: Option<&'a str>,
}

impl Expected {
    /// Works out what a generated review must be answered with.
    ///
    /// # Errors
    ///
    /// When the review has no Pod as it should.
    pub fn of(sample: &Sample) -> anyhow::Result<Self> {
        let mut review: Value = serde_json::from_slice(&sample.body)?;
        let before = review["request"]["object"].take();
        let mut after = before.clone();
        let grace =
            after["spec"]["terminationGracePeriodSeconds"].as_i64().context("expected a grace")? + DRAIN;
        after["spec"]["terminationGracePeriodSeconds"] = grace.into();
        let mut drains = serde_json::Map::new();
        for container in after["spec"]["containers"].as_array_mut().context("expected containers")? {
            drains.insert(
                container["name"].as_str().context("expected a name")?.to_owned(),
                format!("{DRAIN}s").into(),
            );
            container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": DRAIN } } });
        }
        let status =
            json!({ "version": env!("CARGO_PKG_VERSION"), "gracePeriodSeconds": grace, "drain": drains });
        Ok(Self { uid: sample.uid.clone(), before, after, status, right: OnceLock::new() })
    }

    /// Checks an answer.
    ///
    /// # Errors
    ///
    /// When it is another than this one.
    pub fn check(&self, answer: &[u8]) -> anyhow::Result<()> {
        self.right_answer(answer)
            .with_context(|| format!("a wrong answer to {}: {}", self.uid, String::from_utf8_lossy(answer)))
    }

    fn right_answer(&self, answer: &[u8]) -> anyhow::Result<()> {
        let answer: Answer<'_> = serde_json::from_slice(answer)?;
        ensure!(answer.kind == "AdmissionReview", "it is not an AdmissionReview");
        let Response { uid, allowed, patch_type, patch } = answer.response;
        ensure!(uid == self.uid, "its uid is another");
        ensure!(allowed, "the Pod was not allowed");
        ensure!(patch_type == Some("JSONPatch"), "its patch is not said to be a JSONPatch");
        let patch = patch.context("it has no patch")?;
        if self.right.get().is_none_or(|right| right != patch) {
            self.right_patch(patch)?;
            self.right.get_or_init(|| patch.to_owned());
        }
        Ok(())
    }

    fn right_patch(&self, patch: &str) -> anyhow::Result<()> {
        let patch: json_patch::Patch = serde_json::from_slice(&BASE64_STANDARD.decode(patch)?)?;
        let mut patched = self.before.clone();
        json_patch::patch(&mut patched, &patch)?;
        let annotations =
            patched["metadata"]["annotations"].as_object_mut().context("the Pod has no annotations")?;
        let status = annotations.remove(STATUS).context("the Pod has no status")?;
        let status: Value = serde_json::from_str(status.as_str().context("the status is no text")?)?;
        ensure!(status == self.status, "the status is wrong, expected {}", self.status);
        ensure!(patched == self.after, "the Pod is wrong, expected {}", self.after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fermata_baseline::naive;

    use super::*;
    use crate::reviews::samples;

    #[test]
    fn the_naive_answer_is_right() -> anyhow::Result<()> {
        for sample in samples(50) {
            let expected = Expected::of(&sample)?;
            let answer = naive::answer(&sample.body)?;
            expected.check(&answer)?;
            expected.check(&answer)?;
        }
        Ok(())
    }

    #[test]
    fn a_wrong_answer_is_found_also_after_a_right_one() -> anyhow::Result<()> {
        let samples = samples(2);
        let expected = Expected::of(&samples[0])?;
        let right: Value = serde_json::from_slice(&naive::answer(&samples[0].body)?)?;
        expected.check(right.to_string().as_bytes())?;
        let wrong = |pointer: &str, value: Value| {
            let mut answer = right.clone();
            if let Some(place) = answer.pointer_mut(pointer) {
                *place = value;
            }
            assert!(expected.check(answer.to_string().as_bytes()).is_err(), "{pointer} was not looked at");
        };
        wrong("/kind", json!("Pod"));
        wrong("/response/uid", json!("another"));
        wrong("/response/allowed", json!(false));
        wrong("/response/patchType", json!("MergePatch"));
        wrong("/response/patch", Value::Null);
        for patch in [
            json!([]),
            json!([{ "op": "replace", "path": "/spec/terminationGracePeriodSeconds", "value": 45 }]),
        ] {
            wrong("/response/patch", BASE64_STANDARD.encode(patch.to_string()).into());
        }
        assert!(expected.check(&naive::answer(&samples[1].body)?).is_err());
        Ok(())
    }
}
