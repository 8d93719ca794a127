//! The findings as one JSON document.

use serde::Serialize;

use super::finding::{Finding, State, Summary};

#[derive(Serialize)]
struct Report<'f> {
    /// The version of this program.
    version: &'static str,
    outcome: State,
    summary: Summary,
    checks: Vec<Entry<'f>>,
}

#[derive(Serialize)]
struct Entry<'f> {
    id: &'static str,
    group: &'static str,
    title: &'static str,
    state: State,
    message: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'f str>,
}

/// Writes the document. Quiet leaves out the same checks as it does for a person.
pub(super) fn json(findings: &[Finding], quiet: bool) -> serde_json::Result<String> {
    let summary = Summary::of(findings);
    let outcome = match summary {
        Summary { failed: 1.., .. } => State::Failed,
        Summary { warning: 1.., .. } => State::Warning,
        _ => State::Ok,
    };
    let shown =
        findings.iter().filter(|finding| !quiet || matches!(finding.state, State::Warning | State::Failed));
    let checks = shown
        .map(|finding| Entry {
            id: finding.check.id(),
            group: finding.check.group().as_str(),
            title: finding.check.title(),
            state: finding.state,
            message: &finding.message,
            hint: finding.hint.as_deref(),
        })
        .collect();
    let report = Report { version: env!("CARGO_PKG_VERSION"), outcome, summary, checks };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
