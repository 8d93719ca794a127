//! Which drain each container gets.
//!
//! Regular containers are drained, classic sidecars among them: a proxy that dies while the app still serves
//! loses the app's requests. Native sidecars outlive the regular containers by themselves, and the API server
//! refuses hooks on init containers.
//!
//! What a container gets depends on that container and the settings alone, never on the other containers: one
//! that another webhook adds later must not change what was decided before.

use fermata_stop_plan::Seconds;

use super::regular;
use crate::{
    plan::{Action, ContainerKind, ContainerPlan, Outcome, Step},
    pod::{Container, Hook, HookKind, HookPath, Pod},
    settings::{Ceiling, DrainLimit, Layer, Resolved, Settings, Sourced},
    skip::ContainerSkip,
    warning::Warning,
};

/// What comes of each container. `ceiling` is the longest grace period that the Pod may get, unit: seconds.
pub(super) fn containers<'a>(
    pod: &'a Pod<'a>,
    settings: &Settings<'_>,
    resolved: &Resolved<'_, '_>,
    ceiling: Option<i64>,
) -> Vec<ContainerPlan<'a>> {
    let owned_by_job = pod.is_owned_by_job();
    let regular = pod.containers().map(|container| {
        let name = container.name();
        let asked = resolved.drain(name);
        let limit = limit(asked.value, settings, ceiling);
        let mut plan = undrained(container, ContainerKind::Regular);
        plan.drain_asked = Some(asked);
        plan.drain_limit = limit;
        plan.grace_asked = resolved.grace_period(name);
        plan.outcome = if owned_by_job && asked.layer < Layer::Pod {
            Outcome::Skipped(ContainerSkip::OwnedByJob)
        } else if resolved
            .selected()
            .is_some_and(|names| !names.value.iter().any(|selected| selected == name))
        {
            Outcome::Skipped(ContainerSkip::NotSelected)
        } else {
            outcome(container.pre_stop(), plan.drain_before, asked, limit, settings.has_native_sleep())
        };
        plan
    });
    let init = pod.init_containers().map(|container| undrained(container, ContainerKind::of_init(container)));
    regular.chain(init).collect()
}

/// A container as it comes.
fn undrained<'a>(container: &'a Container<'a>, kind: ContainerKind) -> ContainerPlan<'a> {
    let hook = container.pre_stop();
    ContainerPlan {
        name: container.name(),
        kind,
        hook: hook.kind(),
        drain_before: hook.as_drain(),
        drain_asked: None,
        drain_limit: None,
        grace_asked: None,
        outcome: Outcome::Skipped(match kind {
            ContainerKind::NativeSidecar => ContainerSkip::NativeSidecar,
            ContainerKind::Regular | ContainerKind::Init => ContainerSkip::InitContainer,
        }),
    }
}

/// The lowest of the operator's ceilings, if it is below what was asked for.
fn limit(asked: Seconds, settings: &Settings<'_>, ceiling: Option<i64>) -> Option<DrainLimit> {
    let drain = settings.cluster.limits.max_drain.map(|to| DrainLimit { to, ceiling: Ceiling::Drain });
    let half = ceiling.map(|ceiling| Seconds::saturating_from(ceiling / 2));
    let half = half.map(|to| DrainLimit { to, ceiling: Ceiling::GracePeriod });
    drain.into_iter().chain(half).min_by_key(|limit| limit.to).filter(|limit| limit.to < asked)
}

fn outcome(
    hook: &Hook<'_>,
    drain_before: Option<Seconds>,
    asked: Sourced<Seconds>,
    limit: Option<DrainLimit>,
    native_sleep: bool,
) -> Outcome {
    let wanted = limit.map_or(asked.value, |limit| limit.to);
    match (hook, drain_before) {
        (_, Some(drain)) if drain >= wanted => Outcome::Kept(drain),
        _ if asked.value.is_zero() => Outcome::Skipped(ContainerSkip::DrainZero),
        (Hook::None, _) if wanted.is_zero() => Outcome::Skipped(ContainerSkip::NoRoom),
        (Hook::None, _) if native_sleep => Outcome::Added(wanted),
        (_, Some(_)) if native_sleep => Outcome::Raised(wanted),
        (Hook::None, _) | (_, Some(_)) => Outcome::Skipped(ContainerSkip::NeedsShim),
        (_, None) => Outcome::Skipped(ContainerSkip::OwnPreStop),
    }
}

/// The steps that give the containers their drains.
pub(super) fn steps(pod: &Pod<'_>, containers: &[ContainerPlan<'_>], steps: &mut Vec<Step>) {
    for (index, (container, planned)) in pod.containers().zip(regular(containers)).enumerate() {
        let action = match (planned.outcome, container.pre_stop()) {
            (Outcome::Added(drain), _) => {
                let path =
                    if container.lifecycle().is_some() { HookPath::NoPreStop } else { HookPath::NoLifecycle };
                Action::AddSleep { container: index, path, drain }
            }
            (Outcome::Raised(drain), Hook::Sleep(_)) => Action::LengthenSleep { container: index, drain },
            (Outcome::Raised(drain), _) => Action::ReplaceSleepCommand { container: index, drain },
            (Outcome::Kept(_) | Outcome::Skipped(_), _) => continue,
        };
        steps.push(Step { action, layer: planned.drain_asked.map(|drain| drain.layer) });
    }
}

/// What the containers' authors should know about their drains.
pub(super) fn warnings(
    pod: &Pod<'_>,
    containers: &[ContainerPlan<'_>],
    grace_period: i64,
    warnings: &mut Vec<Warning>,
) {
    for (container, planned) in pod.containers().zip(regular(containers)) {
        let Some(asked) = planned.drain_asked else { continue };
        let name = || planned.name.into();
        match planned.outcome {
            Outcome::Added(drain) | Outcome::Raised(drain) => {
                if let Some(limit) = planned.drain_limit {
                    warnings.push(Warning::DrainLimited { container: name(), asked, limit });
                }
                if let Some(probe) = container.probe_grace_period().filter(|&probe| probe < i64::from(drain))
                {
                    warnings.push(Warning::ProbeGrace { container: name(), probe, drain });
                }
            }
            Outcome::Kept(drain) if i64::from(drain) >= grace_period => {
                warnings.push(Warning::HookFillsGrace { container: name(), drain, grace_period });
            }
            Outcome::Skipped(ContainerSkip::OwnPreStop) => {
                let hook = planned.hook.unwrap_or(HookKind::Unknown);
                warnings.push(Warning::OwnPreStop { container: name(), hook, drain: asked.value });
            }
            Outcome::Skipped(ContainerSkip::NeedsShim) => {
                let sleeps = planned.drain_before;
                warnings.push(Warning::NeedsShim { container: name(), sleeps, drain: asked });
            }
            Outcome::Skipped(ContainerSkip::NoRoom) => warnings.push(Warning::NoRoom { container: name() }),
            Outcome::Kept(_) | Outcome::Skipped(_) => {}
        }
    }
}
