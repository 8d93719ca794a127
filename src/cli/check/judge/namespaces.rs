//! Who takes part.

use std::collections::{BTreeMap, BTreeSet};

use fermata_core::{
    annotation::STATUS,
    opt_in::{ENABLED, LABEL},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{count, few};
use crate::cli::check::{
    catalogue::Check,
    facts::{Coverage, Facts, Missed},
    finding::Finding,
    selector::taken,
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
    let selector = facts.namespace_selector();
    let names: Vec<_> = opted_in.names(own, selector).collect();
    let left_out: Vec<_> = opted_in.left_out(own, selector).collect();
    if names.is_empty() {
        let nobody = Finding::skipped(Check::PodsCovered, "no Namespace takes part");
        let way_out = format!("kubectl label namespace NAME {LABEL}={ENABLED}");
        if let Some((name, has)) = left_out.first() {
            let all = few(left_out.iter().map(|(name, _)| *name));
            let message = format!("only such have that the registered namespaceSelector leaves out ({all})");
            return [
                Finding::warning(Check::NamespacesOptedIn, message, let_in(name, has, selector)),
                nobody,
            ];
        }
        let message = if opted_in.namespaces.is_empty() {
            "none has, so that no Pod is changed".to_owned()
        } else {
            "only such have that are never touched".to_owned()
        };
        return [Finding::warning(Check::NamespacesOptedIn, message, way_out), nobody];
    }
    let mut message = format!("{} ({})", names.len(), few(names.iter().copied()));
    if !left_out.is_empty() {
        let all = few(left_out.iter().map(|(name, _)| *name));
        message = format!("{message}; the registered namespaceSelector leaves out {all}");
    }
    [Finding::ok(Check::NamespacesOptedIn, message), covered(facts, facts.coverage.as_ref())]
}

/// How a Namespace gets past the registered selector.
fn let_in(name: &str, has: &BTreeMap<String, String>, selector: Option<&LabelSelector>) -> String {
    match taken(selector, has, |_, _| true) {
        Ok(labels) => {
            let further = labels.iter().filter(|(key, _)| !has.contains_key(*key));
            let further: Vec<_> = further.map(|(key, value)| format!("{key}={value}")).collect();
            format!(
                "give one what is asked for besides, if it is to take part:\nkubectl label namespace {name} {}",
                further.join(" ")
            )
        }
        Err(key) => format!(
            "see registration-selectors, and what it asks of {key}:\nkubectl get namespace {name} --show-labels"
        ),
    }
}

fn covered(facts: &Facts, coverage: Option<&Coverage>) -> Finding {
    const CHECK: Check = Check::PodsCovered;
    let Some(coverage) = coverage else { return Finding::skipped(CHECK, "not looked at") };
    let gaps = match coverage.gaps.first() {
        None => String::new(),
        Some((_, gap)) if coverage.gaps.len() == 1 => format!("; {gap}"),
        Some((_, gap)) => format!("; {gap}, and {} more", coverage.gaps.len() - 1),
    };
    let unseen = match coverage.unseen.as_slice() {
        [] => String::new(),
        unseen => format!(
            "; there was no time for those of {} ({})",
            count(unseen.len(), "Namespace"),
            few(unseen.iter().map(String::as_str))
        ),
    };
    if coverage.missed.is_empty() {
        if let ([(_, gap), ..], 0) = (coverage.gaps.as_slice(), coverage.looked_at) {
            return Finding::unknown(CHECK, gap);
        }
        let message = format!("{}{unseen}{gaps}", count(coverage.looked_at, "Pod"));
        return match coverage.unseen.first() {
            None => Finding::ok(CHECK, message),
            // Who hears nothing believes that all are covered.
            Some(namespace) => Finding::warning(CHECK, message, by_hand(namespace)),
        };
    }
    let namespaces: BTreeSet<_> = coverage.missed.iter().map(|missed| missed.namespace.as_str()).collect();
    let example = &coverage.missed[0];
    let conditions = facts.webhook().and_then(|webhook| webhook.match_conditions.as_deref());
    let conditions = conditions.unwrap_or_default().iter().map(|condition| condition.name.as_str());
    // The chart's own one spares what does not take part anyway.
    let conditions: Vec<_> = conditions.filter(|name| *name != "not-a-mirror-pod").collect();
    let spared = if conditions.is_empty() {
        String::new()
    } else {
        format!(", or left out by a matchCondition ({})", few(conditions))
    };
    let message = format!(
        "{} of {} without, such as {}/{}, in {}: created while no webhook answered, or before the label{spared}{unseen}{gaps}",
        coverage.missed.len(),
        count(coverage.looked_at, "Pod"),
        example.namespace,
        example.pod,
        few(namespaces)
    );
    Finding::warning(CHECK, message, restart(&coverage.missed))
}

/// How somebody looks at one Namespace.
fn by_hand(namespace: &str) -> String {
    // A dot within a key is written so in a JSONPath.
    let status = STATUS.replace('.', "\\.");
    format!(
        "look again when the API server is less busy, or at one Namespace after the other:\nkubectl -n {namespace} get pods -o 'custom-columns=POD:.metadata.name,STATUS:.metadata.annotations.{status}'"
    )
}

/// How the Pods are made anew.
fn restart(missed: &[Missed]) -> String {
    const COMMANDS: usize = 3;
    const NAMES: usize = 5;
    let mut workloads: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pod in missed {
        if let Some(workload) = &pod.workload {
            workloads.entry(&pod.namespace).or_default().insert(workload);
        }
    }
    if workloads.is_empty() {
        return "delete them, and let whatever made them make them anew".to_owned();
    }
    let all: usize = workloads.values().map(BTreeSet::len).sum();
    let mut told = 0;
    let mut lines = Vec::new();
    for (namespace, names) in workloads.into_iter().take(COMMANDS) {
        let some: Vec<_> = names.into_iter().take(NAMES).collect();
        told += some.len();
        lines.push(format!("kubectl -n {namespace} rollout restart {}", some.join(" ")));
    }
    if told < all {
        lines.push(format!("and then look again, for {}", count(all - told, "further one")));
    }
    lines.join("\n")
}
