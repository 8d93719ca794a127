//! Everything about every Pod, as one JSON document.

use fermata_core::{explain::Explanation, patch::Operation};
use serde::Serialize;

use crate::cli::judge::{JudgedPod, Judgement, Verdict};

/// The document.
#[derive(Serialize)]
struct Report<'j> {
    pods: Vec<Entry<'j>>,
    errors: Vec<ErrorEntry<'j>>,
}

#[derive(Serialize)]
struct Entry<'j> {
    source: &'j str,
    line: usize,
    kind: &'j str,
    name: &'j str,
    namespace: &'j str,
    outcome: &'static str,
    /// Why it is skipped, as one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Why it is skipped, denied or undecided, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'j str>,
    patch: &'j [Operation],
    warnings: &'j [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'j Explanation>,
}

#[derive(Serialize)]
struct ErrorEntry<'j> {
    source: &'j str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: &'j str,
}

/// Writes the document.
pub(in crate::cli) fn json(judgement: &Judgement) -> serde_json::Result<String> {
    let report = Report {
        pods: judgement.pods.iter().map(|pod| entry(judgement, pod)).collect(),
        errors: judgement
            .errors
            .iter()
            .map(|error| ErrorEntry {
                source: &error.name,
                line: error.place.map(|place| place.line),
                column: error.place.map(|place| place.column),
                message: &error.message,
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn entry<'j>(judgement: &'j Judgement, pod: &'j JudgedPod) -> Entry<'j> {
    let (reason, message) = match &pod.verdict {
        Verdict::Patched | Verdict::Unchanged => (None, None),
        Verdict::Skipped(skip) => (Some(skip.as_str()), Some(skip.meaning())),
        Verdict::Denied(why) | Verdict::Undecided(why) => (None, Some(why.as_str())),
    };
    Entry {
        source: judgement.sources.get(pod.source).map_or("", |source| source.name.as_str()),
        line: pod.place.line,
        kind: &pod.kind,
        name: &pod.name,
        namespace: &pod.namespace,
        outcome: pod.verdict.as_str(),
        reason,
        message,
        patch: &pod.operations,
        warnings: &pod.warnings,
        explanation: pod.explanation.as_ref(),
    }
}
