//! A plan as a story: how each container of a Pod ends, before and after.
//!
//! This is data, ready to be drawn or serialised; what it looks like is decided where it is drawn.

use serde::Serialize;

use crate::{
    plan::{ContainerKind, ContainerPlan, GraceNeed, Outcome, Plan},
    pod::Pod,
    settings::Layer,
    warning::Warning,
};

/// How a Pod ends, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The Pod's name, or the prefix that the API server will complete.
    pub pod: String,
    /// Why the Pod is left alone, if it is: the word and the sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Reason>,
    /// Why the Pod is refused, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
    /// `terminationGracePeriodSeconds` before and after.
    pub grace_period: GracePeriod,
    /// Every container that is running when the Pod is deleted. Empty where the Pod is left alone.
    pub containers: Vec<ContainerEnding>,
    /// What the Pod's author is told, in full.
    pub warnings: Vec<String>,
}

/// A word of one of the closed lists, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The word, such as `own-pre-stop`.
    pub reason: &'static str,
    /// The sentence.
    pub meaning: &'static str,
}

/// A Pod's grace period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GracePeriod {
    /// Unit: seconds.
    pub before: i64,
    /// Unit: seconds.
    pub after: i64,
    /// Why it was raised, and who asked, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// How one container ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerEnding {
    /// Its name.
    pub name: String,
    /// `container` or `native sidecar`.
    pub kind: &'static str,
    /// What was done: `added`, `raised`, `kept` or `skipped`.
    pub outcome: &'static str,
    /// Why, and who asked.
    pub because: String,
    /// How it ends without Fermata.
    pub before: Ending,
    /// How it ends with it.
    pub after: Ending,
}

/// What happens to a container from the deletion of its Pod on. All times are in seconds from the deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// What runs first.
    pub hook: EndingHook,
    /// When the stop signal comes.
    pub stop_signal: StopSignal,
    /// When the kubelet kills what is left.
    pub kill: i64,
}

/// What a container does between the deletion and its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EndingHook {
    /// Nothing: the signal comes at once, while requests still arrive.
    None,
    /// It goes on serving for so long.
    Drain {
        /// Unit: seconds.
        seconds: i64,
    },
    /// A hook of the user's, for as long as that takes.
    Own {
        /// The kind of the hook, as in the Pod.
        kind: &'static str,
    },
}

/// When a container gets its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StopSignal {
    /// So long after the deletion.
    At {
        /// Unit: seconds.
        seconds: i64,
    },
    /// When its own hook has ended.
    AfterHook,
    /// When the regular containers have ended.
    AfterContainers,
}

/// Explains a plan.
#[must_use]
pub fn explain(pod: &Pod<'_>, plan: &Plan<'_>) -> Explanation {
    let running = plan.containers.iter().filter(|container| container.kind != ContainerKind::Init);
    Explanation {
        pod: pod.name().to_owned(),
        skipped: plan.skipped.map(|skip| Reason { reason: skip.as_str(), meaning: skip.meaning() }),
        denied: plan.denied.clone(),
        grace_period: GracePeriod {
            before: plan.grace.before,
            after: plan.grace.after,
            because: grace_because(plan),
        },
        containers: running.map(|container| ending_of(container, plan)).collect(),
        warnings: plan.warnings.iter().map(Warning::text).collect(),
    }
}

fn grace_because(plan: &Plan<'_>) -> Option<String> {
    plan.grace.raised_by.map(|reason| {
        let need = match reason.need {
            GraceNeed::LongerDrain => "the drain of",
            GraceNeed::OwnTime => "the drain and the grace-period of",
        };
        format!("{need} container {} ({})", reason.container, reason.layer)
    })
}

fn ending_of(container: &ContainerPlan<'_>, plan: &Plan<'_>) -> ContainerEnding {
    let (outcome, because) = match container.outcome {
        Outcome::Added(drain) => ("added", format!("a drain of {drain} ({})", layer(container))),
        Outcome::Raised(drain) => {
            let before = container.drain_before.unwrap_or_default();
            ("raised", format!("its own sleep of {before} is raised to {drain} ({})", layer(container)))
        }
        Outcome::Kept(drain) => {
            let asked = container.drain_asked.map_or(drain, |asked| asked.value);
            (
                "kept",
                format!(
                    "its own sleep of {drain} is enough for the {asked} asked for by {}",
                    layer(container)
                ),
            )
        }
        Outcome::Skipped(skip) => ("skipped", format!("{skip}: {}", skip.meaning())),
    };
    let drain_after = container.outcome.drain().or(container.drain_before);
    ContainerEnding {
        name: container.name.to_owned(),
        kind: match container.kind {
            ContainerKind::NativeSidecar => "native sidecar",
            ContainerKind::Regular | ContainerKind::Init => "container",
        },
        outcome,
        because,
        before: ending(container, container.drain_before.map(i64::from), plan.grace.before),
        after: ending(container, drain_after.map(i64::from), plan.grace.after),
    }
}

fn layer(container: &ContainerPlan<'_>) -> String {
    container.drain_asked.map_or(Layer::BuiltIn, |asked| asked.layer).to_string()
}

fn ending(container: &ContainerPlan<'_>, drain: Option<i64>, grace_period: i64) -> Ending {
    let hook = match (drain, container.hook) {
        (Some(seconds), _) => EndingHook::Drain { seconds: seconds.min(grace_period) },
        (None, None) => EndingHook::None,
        (None, Some(kind)) => EndingHook::Own { kind: kind.as_str() },
    };
    let stop_signal = match hook {
        _ if container.kind == ContainerKind::NativeSidecar => StopSignal::AfterContainers,
        EndingHook::None => StopSignal::At { seconds: 0 },
        EndingHook::Drain { seconds } => StopSignal::At { seconds },
        EndingHook::Own { .. } => StopSignal::AfterHook,
    };
    Ending { hook, stop_signal, kill: grace_period }
}
