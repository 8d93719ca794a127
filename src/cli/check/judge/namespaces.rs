//! Who takes part.

use std::collections::{BTreeMap, BTreeSet};

use fermata_core::opt_in::{ENABLED, LABEL};

use super::{count, few};
use crate::cli::check::{
    catalogue::Check,
    facts::{Coverage, Facts, Missed},
    finding::Finding,
};

pub(super) fn judge(facts: &Facts) -> [Finding; 2] {
    let own = facts.own_namespace.as_deref();
    let opted_in = match &facts.opted_in {
        Ok(opted_in) => opted_in,
        Err(gap) => {
            return [
                Finding::unknown(Check::NamespacesOptedIn, gap),
                Finding::skipped(Check::PodsCovered, "the opted-in Namespaces are not known"),
            ];
        }
    };
    let names: Vec<_> = opted_in.names(own).collect();
    if names.is_empty() {
        let message = if opted_in.namespaces.is_empty() {
            "none has, so that no Pod is changed".to_owned()
        } else {
            "only such have that are never touched".to_owned()
        };
        let way_out = format!("kubectl label namespace NAME {LABEL}={ENABLED}");
        return [
            Finding::warning(Check::NamespacesOptedIn, message, way_out),
            Finding::skipped(Check::PodsCovered, "no Namespace has opted in"),
        ];
    }
    let more = if opted_in.truncated { "at least " } else { "" };
    let message = format!("{more}{} ({})", names.len(), few(names.iter().copied()));
    [Finding::ok(Check::NamespacesOptedIn, message), covered(facts.coverage.as_ref())]
}

fn covered(coverage: Option<&Coverage>) -> Finding {
    const CHECK: Check = Check::PodsCovered;
    let Some(coverage) = coverage else { return Finding::skipped(CHECK, "not looked at") };
    let gaps = match coverage.gaps.first() {
        None => String::new(),
        Some((_, gap)) if coverage.gaps.len() == 1 => format!("; {gap}"),
        Some((_, gap)) => format!("; {gap}, and {} more", coverage.gaps.len() - 1),
    };
    let bound = if coverage.truncated { " that were looked at; there are more" } else { "" };
    if coverage.missed.is_empty() {
        if let ([(_, gap), ..], 0) = (coverage.gaps.as_slice(), coverage.looked_at) {
            return Finding::unknown(CHECK, gap);
        }
        return Finding::ok(CHECK, format!("{}{bound}{gaps}", count(coverage.looked_at, "Pod")));
    }
    let namespaces: BTreeSet<_> = coverage.missed.iter().map(|missed| missed.namespace.as_str()).collect();
    let example = &coverage.missed[0];
    let message = format!(
        "{} of {}{bound} without, such as {}/{}, in {}: created while no webhook answered, or before the label{gaps}",
        coverage.missed.len(),
        count(coverage.looked_at, "Pod"),
        example.namespace,
        example.pod,
        few(namespaces)
    );
    Finding::warning(CHECK, message, restart(&coverage.missed))
}

/// How the Pods are made anew.
fn restart(missed: &[Missed]) -> String {
    const COMMANDS: usize = 3;
    let mut workloads: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pod in missed {
        if let Some(workload) = &pod.workload {
            workloads.entry(&pod.namespace).or_default().insert(workload);
        }
    }
    if workloads.is_empty() {
        return "delete them, and let whatever made them make them anew".to_owned();
    }
    let more = workloads.len().saturating_sub(COMMANDS);
    let commands = workloads.into_iter().take(COMMANDS).map(|(namespace, names)| {
        let more = if names.len() > 5 { " ..." } else { "" };
        let names: Vec<_> = names.into_iter().take(5).collect();
        format!("kubectl -n {namespace} rollout restart {}{more}", names.join(" "))
    });
    let commands = commands.collect::<Vec<_>>().join("; ");
    if more == 0 {
        commands
    } else {
        format!("{commands}; and likewise in {}", count(more, "other Namespace"))
    }
}
