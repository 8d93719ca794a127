//! Which drain each container gets.
//!
//! Regular containers are drained, classic sidecars among them: a proxy that dies while the app still serves
//! loses the app's requests. Native sidecars outlive the regular containers by themselves, and the API server
//! refuses hooks on init containers.

use fermata_stop_plan::Seconds;

use super::regular;
use crate::{
    plan::{Action, ContainerKind, ContainerPlan, HookPath, Outcome, Step, has_native_sleep},
    pod::{Container, Hook, HookKind, Pod},
    settings::{Resolved, Settings, Sourced},
    skip::ContainerSkip,
    warning::Warning,
};

/// What each container should get, as far as the Pod's grace period has no say in it.
pub(super) fn wish<'a>(
    pod: &'a Pod<'a>,
    settings: &Settings<'_>,
    resolved: &Resolved<'_, '_>,
    warnings: &mut Vec<Warning>,
) -> Vec<ContainerPlan<'a>> {
    let regular = pod.containers().iter().map(|container| {
        let name = container.name();
        let asked = limited(name, resolved.drain(name), settings, warnings);
        let selected =
            resolved.selected().is_none_or(|names| names.value.iter().any(|selected| selected == name));
        ContainerPlan {
            drain_asked: Some(asked),
            grace_asked: resolved.grace_period(name),
            outcome: outcome(container.pre_stop(), asked.value, selected, has_native_sleep(settings)),
            ..bare(container, ContainerKind::Regular)
        }
    });
    let mut containers: Vec<_> = regular.collect();
    containers.extend(pod.init_containers().iter().map(|container| {
        let kind =
            if container.is_native_sidecar() { ContainerKind::NativeSidecar } else { ContainerKind::Init };
        bare(container, kind)
    }));
    containers
}

fn bare<'a>(container: &'a Container<'a>, kind: ContainerKind) -> ContainerPlan<'a> {
    let hook = container.pre_stop();
    ContainerPlan {
        name: container.name(),
        kind,
        hook: hook.kind(),
        drain_before: hook.as_drain(),
        drain_asked: None,
        grace_asked: None,
        outcome: Outcome::Skipped(match kind {
            ContainerKind::NativeSidecar => ContainerSkip::NativeSidecar,
            _ => ContainerSkip::InitContainer,
        }),
    }
}

/// The drain under the operator's ceiling.
fn limited(
    container: &str,
    asked: Sourced<Seconds>,
    settings: &Settings<'_>,
    warnings: &mut Vec<Warning>,
) -> Sourced<Seconds> {
    match settings.cluster.limits.max_drain {
        Some(limit) if asked.value > limit => {
            warnings.push(Warning::DrainLimited { container: container.into(), asked, limit });
            Sourced { value: limit, ..asked }
        }
        _ => asked,
    }
}

fn outcome(hook: &Hook<'_>, asked: Seconds, selected: bool, native_sleep: bool) -> Outcome {
    if !selected {
        return Outcome::Skipped(ContainerSkip::NotSelected);
    }
    match (hook, hook.as_drain()) {
        (_, Some(drain)) if drain >= asked => Outcome::Kept(drain),
        _ if asked.is_zero() => Outcome::Skipped(ContainerSkip::DrainZero),
        (Hook::None, _) if native_sleep => Outcome::Added(asked),
        (_, Some(_)) if native_sleep => Outcome::Raised(asked),
        (Hook::None, _) | (_, Some(_)) => Outcome::Skipped(ContainerSkip::NeedsShim),
        (_, None) => Outcome::Skipped(ContainerSkip::OwnPreStop),
    }
}

/// Shortens a wish to the room that the grace period leaves.
pub(super) fn fit(container: &mut ContainerPlan<'_>, room: Seconds, warnings: &mut Vec<Warning>) {
    let asked = match container.outcome {
        Outcome::Added(drain) | Outcome::Raised(drain) if drain > room => drain,
        _ => return,
    };
    let name = || container.name.into();
    let shortened = Warning::DrainShortened { container: name(), asked, gets: room };
    container.outcome = match container.drain_before {
        Some(before) if before >= room => Outcome::Kept(before),
        Some(_) => {
            warnings.push(shortened);
            Outcome::Raised(room)
        }
        None if room.is_zero() => {
            warnings.push(Warning::NoRoom { container: name() });
            Outcome::Skipped(ContainerSkip::NoRoom)
        }
        None => {
            warnings.push(shortened);
            Outcome::Added(room)
        }
    };
}

/// The steps that give the containers their drains.
pub(super) fn steps(pod: &Pod<'_>, containers: &[ContainerPlan<'_>], steps: &mut Vec<Step>) {
    for (index, (container, planned)) in pod.containers().iter().zip(regular(containers)).enumerate() {
        let action = match (planned.outcome, container.pre_stop()) {
            (Outcome::Added(drain), _) => {
                let path = match container.lifecycle().value() {
                    Some(_) => HookPath::NoPreStop,
                    None => HookPath::NoLifecycle,
                };
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
    settings: &Settings<'_>,
    grace_period: i64,
    warnings: &mut Vec<Warning>,
) {
    for (container, planned) in pod.containers().iter().zip(regular(containers)) {
        let name = planned.name;
        match (planned.outcome, planned.drain_asked) {
            (Outcome::Skipped(ContainerSkip::OwnPreStop), Some(drain)) => {
                warnings.push(Warning::OwnPreStop {
                    container: name.into(),
                    hook: planned.hook.unwrap_or(HookKind::Unknown),
                    drain: drain.value,
                });
            }
            (Outcome::Skipped(ContainerSkip::NeedsShim), Some(drain)) if !has_native_sleep(settings) => {
                warnings.push(Warning::NeedsShim { container: name.into(), drain });
            }
            (Outcome::Added(drain) | Outcome::Raised(drain), _) => {
                if let Some(probe) = container.probe_grace_period().filter(|&probe| probe < i64::from(drain))
                {
                    warnings.push(Warning::ProbeGrace { container: name.into(), probe, drain });
                }
            }
            (Outcome::Kept(drain), _) if i64::from(drain) >= grace_period => {
                warnings.push(Warning::HookFillsGrace { container: name.into(), drain, grace_period });
            }
            _ => {}
        }
    }
}
