//! What goes to standard error, and the exit code that comes of it all.

use std::collections::BTreeMap;

use super::{
    Exit,
    judge::{JudgedPod, Judgement, Verdict},
    output,
};

/// Says what could not be read.
pub(super) fn errors(judgement: &Judgement) {
    for error in &judgement.errors {
        output::tell(format_args!("error: {error}"));
    }
    if judgement.pods.is_empty() && judgement.errors.is_empty() && judgement.strangers.is_empty() {
        output::tell(format_args!("note: there is no Pod, and nothing that makes one, in what was read"));
    }
}

/// Says which Pods could not be judged, or would be refused.
pub(super) fn undecided(judgement: &Judgement) {
    for pod in &judgement.pods {
        match &pod.verdict {
            Verdict::Undecided(why) => {
                output::tell(format_args!("error: {}: {why}", subject(judgement, pod)));
            }
            Verdict::Denied(why) => {
                output::tell(format_args!("error: {}: denied: {why}", subject(judgement, pod)));
            }
            _ => {}
        }
    }
}

/// Says why Pods are left alone, and what their authors are warned of.
pub(super) fn notes(judgement: &Judgement) {
    for stranger in &judgement.strangers {
        output::tell(format_args!(
            "note: {stranger}: a kind that is not known here; the Pods that it makes are judged when they are created"
        ));
    }
    for pod in &judgement.pods {
        if let Verdict::Skipped(skip) = &pod.verdict {
            output::tell(format_args!(
                "note: {}: left alone ({skip}): {}",
                subject(judgement, pod),
                skip.meaning()
            ));
        }
    }
    for (pod, text, others) in warnings(&judgement.pods) {
        let others = match others {
            0 => String::new(),
            1 => " (and one more Pod)".to_owned(),
            others => format!(" (and {others} more Pods)"),
        };
        let text = text.strip_prefix("fermata: ").unwrap_or(text);
        output::tell(format_args!("warning: {}: {text}{others}", subject(judgement, pod)));
    }
}

/// Every warning once, with the first Pod that it is about and how many others there are.
fn warnings(pods: &[JudgedPod]) -> Vec<(&JudgedPod, &str, usize)> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut warnings: Vec<(&JudgedPod, &str, usize)> = Vec::new();
    for pod in pods {
        let mut of_this_pod = Vec::new();
        for text in pod.warnings.iter().map(String::as_str) {
            if of_this_pod.contains(&text) {
                continue;
            }
            of_this_pod.push(text);
            if let Some(&index) = known.get(text) {
                warnings[index].2 += 1;
            } else {
                known.insert(text, warnings.len());
                warnings.push((pod, text, 0));
            }
        }
    }
    warnings
}

/// Which Pod it is about: `deploy.yaml:7:3: Deployment/web`.
fn subject(judgement: &Judgement, pod: &JudgedPod) -> String {
    let source = judgement.sources.get(pod.source).map_or("", |source| source.name.as_str());
    format!("{source}:{}: {}", pod.place, object(pod))
}

/// The object that makes the Pod: `Deployment/web`.
pub(super) fn object(pod: &JudgedPod) -> String {
    match (pod.kind.as_str(), pod.name.as_str()) {
        (kind, "") => kind.to_owned(),
        (kind, name) => format!("{kind}/{name}"),
    }
}

/// The worst that happened.
pub(super) fn exit(judgement: &Judgement, exit_zero: bool) -> Exit {
    let of_pods = judgement.pods.iter().map(|pod| match pod.verdict {
        Verdict::Patched if exit_zero => Exit::Unchanged,
        Verdict::Patched => Exit::Changed,
        Verdict::Unchanged | Verdict::Skipped(_) => Exit::Unchanged,
        Verdict::Denied(_) | Verdict::Undecided(_) => Exit::Undecided,
    });
    let of_errors = judgement.errors.iter().map(|_| Exit::BadInput);
    of_pods.chain(of_errors).max().unwrap_or_default()
}
