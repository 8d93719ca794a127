//! A plan as a story: how each container of a Pod ends, before and after.
//!
//! This is data, ready to be drawn or serialised; what it looks like is decided where it is drawn.

use fermata_stop_plan::{Drain, PreStop, Scope, StopPlan, Then};
use serde::Serialize;

use crate::{
    plan::{ContainerKind, ContainerPlan, GraceNeed, Outcome, Plan, ShimOutcome},
    pod::{Hook, HookKind, Pod},
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
    /// What comes of the shim, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shim: Option<ShimEnding>,
    /// How it ends without Fermata.
    pub before: Ending,
    /// How it ends with it.
    pub after: Ending,
}

/// What comes of a container's shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShimEnding {
    /// `hook`, `init`, `kept`, or the reason why there is none.
    pub outcome: &'static str,
    /// What that means, and who asked.
    pub because: String,
    /// What it does with a stop signal, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
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
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EndingHook {
    /// Nothing: the signal comes at once, while requests still arrive.
    None,
    /// It goes on serving for so long.
    Drain {
        /// The longest, unit: seconds.
        seconds: i64,
        /// The shortest, where traffic decides. Unit: seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        at_least: Option<i64>,
        /// The kind of the hook of the user's that runs after it, for as long as that takes.
        #[serde(skip_serializing_if = "Option::is_none")]
        then: Option<&'static str>,
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
    /// So long after the deletion, at the latest.
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
    let came = pod.containers().chain(pod.init_containers());
    let running = plan.containers.iter().zip(came).filter(|(planned, _)| planned.kind != ContainerKind::Init);
    Explanation {
        pod: pod.name().to_owned(),
        skipped: plan.skipped().map(|skip| Reason { reason: skip.as_str(), meaning: skip.meaning() }),
        denied: plan.denied().map(str::to_owned),
        grace_period: GracePeriod {
            before: plan.grace.before,
            after: plan.grace.after,
            because: grace_because(plan),
        },
        containers: running.map(|(planned, came)| ending_of(planned, came.pre_stop(), plan)).collect(),
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

/// How a container ends that came with that hook.
fn ending_of(container: &ContainerPlan<'_>, came_with: &Hook<'_>, plan: &Plan<'_>) -> ContainerEnding {
    let own = if came_with.as_shim().is_some() { "drain" } else { "sleep" };
    let (outcome, because) = match container.outcome {
        Outcome::Added(drain) => {
            let then = container.pre_stop.as_ref().and_then(|hook| hook.then.as_ref());
            let then = then.map(|then| format!(", then its own {} hook", kind_of(then))).unwrap_or_default();
            ("added", format!("a drain of {drain} ({}){}{then}", who_asked(container), early(container)))
        }
        Outcome::Raised(drain) => {
            let before = container.drain_before.unwrap_or_default();
            let (who, early) = (who_asked(container), early(container));
            ("raised", format!("its own {own} of {before} is raised to {drain} ({who}){early}"))
        }
        Outcome::Kept(drain) => {
            let asked = container.drain_asked.map_or(drain, |asked| asked.value);
            let asked = container.drain_limit.map_or(asked, |limit| asked.limited_to(limit.to));
            let who = who_asked(container);
            ("kept", format!("its own {own} of {drain} is enough for a drain of {asked} ({who})"))
        }
        Outcome::Skipped(skip) => ("skipped", format!("{skip}: {}", skip.meaning())),
    };
    let native = |drain: Drain| PreStop { drain, ..PreStop::default() };
    let before = came_with.as_shim().or_else(|| container.drain_before.map(Drain::fixed).map(native));
    let after = container.pre_stop.as_deref().cloned().or_else(|| match container.outcome {
        Outcome::Added(drain) | Outcome::Raised(drain) => Some(native(drain)),
        Outcome::Kept(_) | Outcome::Skipped(_) => before.clone(),
    });
    ContainerEnding {
        name: container.name.to_owned(),
        kind: match container.kind {
            ContainerKind::NativeSidecar => "native sidecar",
            ContainerKind::Regular | ContainerKind::Init => "container",
        },
        outcome,
        because,
        shim: shim_ending(container),
        before: ending(container, before.as_ref(), plan.grace.before),
        after: ending(container, after.as_ref(), plan.grace.after),
    }
}

/// Whether a drain can end early.
fn early(container: &ContainerPlan<'_>) -> String {
    match container.pre_stop.as_deref().filter(|hook| hook.drain.is_range()) {
        Some(hook) => format!(", over when no connection has come for {}", hook.quiet),
        None => String::new(),
    }
}

fn shim_ending(container: &ContainerPlan<'_>) -> Option<ShimEnding> {
    let outcome = container.shim.as_str();
    let layer = container.shim_asked.layer;
    let (because, stop) = match &container.shim {
        ShimOutcome::Off => return None,
        ShimOutcome::Hook => (format!("the shim runs its preStop hook ({layer})"), Vec::new()),
        ShimOutcome::Kept => ("the shim runs its entrypoint already".to_owned(), Vec::new()),
        ShimOutcome::Skipped(reason) => {
            (format!("no shim ({reason}, {layer}): {}", reason.meaning()), Vec::new())
        }
        ShimOutcome::Init(wrapped) => {
            let instead = wrapped.instead_of.map(|name| format!(" in place of {name}")).unwrap_or_default();
            (format!("the shim runs its entrypoint{instead} ({layer})"), stop_of(&wrapped.plan))
        }
    };
    Some(ShimEnding { outcome, because, stop })
}

/// A stop plan in words, in the order in which things happen.
fn stop_of(plan: &StopPlan) -> Vec<String> {
    let mut stop = Vec::new();
    if let Some(command) = &plan.status_command {
        stop.push(format!("run {command}"));
    }
    if let Some(command) = &plan.stop_command {
        stop.push(format!("run {command} in place of the stop signal"));
    }
    let to = match plan.scope {
        Scope::Child => "the program alone",
        Scope::Group => "the program's process group",
    };
    let otherwise = if plan.stop_command.is_some() { "if that fails, " } else { "" };
    for signal in plan.triggers.iter() {
        stop.push(match plan.rewrite.apply(signal) {
            None => format!("{otherwise}drop {signal}"),
            Some(delivered) if delivered == signal => format!("{otherwise}pass {signal} on to {to}"),
            Some(delivered) => format!("{otherwise}on {signal} send {delivered} to {to}"),
        });
    }
    if let Some(budget) = plan.budget {
        stop.push(format!("kill what is left {budget} after the stop signal"));
    }
    if !plan.exit_codes.is_app() {
        stop.push(format!("report exit code {}", plan.exit_codes));
    }
    stop
}

/// The layer that asked for the drain, and what the operator's ceilings made of it.
fn who_asked(container: &ContainerPlan<'_>) -> String {
    let layer = container.drain_asked.map_or(Layer::BuiltIn, |asked| asked.layer);
    match (container.drain_asked, container.drain_limit) {
        (Some(asked), Some(limit)) => format!("{layer} {}, limited by {}", asked.value, limit.ceiling),
        _ => layer.to_string(),
    }
}

/// The kind of a container's own hook, as in the Pod.
const fn kind_of(then: &Then) -> &'static str {
    match then {
        Then::Exec(_) => HookKind::Exec.as_str(),
        Then::HttpGet(_) => HookKind::HttpGet.as_str(),
    }
}

fn ending(container: &ContainerPlan<'_>, drain: Option<&PreStop>, grace_period: i64) -> Ending {
    let hook = match (drain, container.hook) {
        (Some(hook), _) => {
            let seconds = i64::from(hook.drain.most()).min(grace_period);
            let least = i64::from(hook.drain.least());
            EndingHook::Drain {
                seconds,
                at_least: (least < seconds).then_some(least),
                then: hook.then.as_ref().map(kind_of),
            }
        }
        (None, None) => EndingHook::None,
        (None, Some(kind)) => EndingHook::Own { kind: kind.as_str() },
    };
    let stop_signal = match hook {
        _ if container.kind == ContainerKind::NativeSidecar => StopSignal::AfterContainers,
        EndingHook::None => StopSignal::At { seconds: 0 },
        EndingHook::Drain { seconds, then: None, .. } => StopSignal::At { seconds },
        EndingHook::Drain { .. } | EndingHook::Own { .. } => StopSignal::AfterHook,
    };
    Ending { hook, stop_signal, kill: grace_period }
}
