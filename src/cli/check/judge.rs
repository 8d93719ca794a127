//! Judges the facts: pure, so that every kind of damage is a table in a test.

mod admission;
mod certificates;
mod kubernetes_api;
mod namespaces;
mod registration;
mod replicas;
#[cfg(test)]
mod tests;

use super::{
    catalogue::Check,
    facts::{Facts, Gap},
    finding::Finding,
};

/// Judges all facts; the findings come in the order of the catalogue.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = kubernetes_api::judge(&facts.api);
    findings.extend(registration::judge(facts));
    findings.extend(certificates::judge(facts));
    findings.extend(replicas::judge(facts));
    findings.push(admission::judge(facts));
    findings.extend(namespaces::judge(facts));
    findings
}

/// What there is to say when the API server does not answer.
pub(super) fn unreachable(reason: &str) -> Vec<Finding> {
    let hint = "name another cluster with --context or --kubeconfig, or see what kubectl makes of this one:\nkubectl version";
    let rest = Check::ALL.iter().filter(|check| **check != Check::ApiReachable);
    let rest = rest.map(|check| Finding::skipped(*check, "not run, because the API server does not answer"));
    std::iter::once(Finding::failed(Check::ApiReachable, reason, hint)).chain(rest).collect()
}

/// What there is to say of a check that could not be made for the same reason as one before: that there was no answer
/// is said once.
fn also_unknown(check: Check, gap: &Gap) -> Finding {
    match gap {
        Gap::NotPermitted(_) => Finding::unknown(check, gap),
        Gap::NoAnswer(_) => Finding::skipped(check, gap.to_string()),
    }
}

/// `1 Pod`, `2 Pods`, `2 authorities`.
fn count(count: usize, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if count == 1 => format!("1 {what}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {what}s"),
    }
}

/// A few names, and how many more there are.
fn few<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<_> = names.into_iter().collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
