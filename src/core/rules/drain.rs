//! Which drain each container gets.
//!
//! Regular containers are drained, classic sidecars among them: a proxy that dies while the app still serves
//! loses the app's requests. Native sidecars outlive the regular containers by themselves, and the API server
//! refuses hooks on init containers.
//!
//! What a container gets depends on that container and the settings alone, never on the other containers: one
//! that another webhook adds later must not change what was decided before.

use fermata_stop_plan::{Drain, PreStop, Seconds};

use super::{
    deliver::Delivery,
    hook::{self, Probes},
    regular,
};
use crate::{
    annotation::ShimMode,
    plan::{Action, ContainerKind, ContainerPlan, Outcome, ShimOutcome, Step},
    pod::{Container, Hook, HookKind, HookPath, Pod},
    settings::{Ceiling, DrainLimit, Layer, Resolved, Settings, Sourced},
    shim::PROGRAM,
    skip::{ContainerSkip, ShimSkip},
    warning::Warning,
};

/// What comes of each container. `ceiling` is the longest grace period that the Pod may get, unit: seconds.
pub(super) fn containers<'a>(
    pod: &'a Pod<'a>,
    settings: &Settings<'_>,
    resolved: &Resolved<'_, '_>,
    ceiling: Option<i64>,
    delivery: &Delivery<'_>,
) -> Vec<ContainerPlan<'a>> {
    let owned_by_job = pod.is_owned_by_job();
    let probes = Probes::of(pod);
    let regular = pod.containers().map(|container| {
        let name = container.name();
        let asked = resolved.drain(name);
        let limit = limit(asked.value, settings, ceiling);
        let mut plan = undrained(container, ContainerKind::Regular);
        plan.drain_asked = Some(asked);
        plan.drain_limit = limit;
        plan.grace_asked = resolved.grace_period(name);
        let selected = resolved.selected().is_none_or(|names| names.value.iter().any(|other| other == name));
        let of_a_job = |layer: Layer| owned_by_job && layer < Layer::Pod;
        let shim = resolved.shim(name);
        if selected && !of_a_job(shim.layer) {
            plan.shim_asked = shim;
        }
        if of_a_job(asked.layer) {
            plan.outcome = Outcome::Skipped(ContainerSkip::OwnedByJob);
        } else if selected {
            let asks_for_shim = plan.shim_asked.value > ShimMode::Off;
            let means = Means {
                native_sleep: settings.has_native_sleep(),
                shim: if asks_for_shim && delivery.reaches(container).is_ok() {
                    Shim::Yes
                } else if hook::program(container) != PROGRAM || delivery.has_reached(container) {
                    Shim::OwnHook
                } else {
                    Shim::No
                },
                // Its counters would be those of the whole node.
                ranges: !pod.is_host_network(),
            };
            let wanted = limit.map_or(asked.value, |limit| asked.value.limited_to(limit.to));
            let (outcome, hook) = decide(container, plan.drain_before, asked.value, wanted, means);
            plan.outcome = outcome;
            plan.pre_stop = hook.map(|hook| {
                Box::new(if hook.drain.is_range() {
                    PreStop { quiet: resolved.quiet(name), probes: probes.periods(), ..hook }
                } else {
                    hook
                })
            });
        } else {
            plan.outcome = Outcome::Skipped(ContainerSkip::NotSelected);
        }
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
        pre_stop: None,
        shim_asked: Sourced { value: ShimMode::Off, layer: Layer::BuiltIn },
        shim: ShimOutcome::Off,
    }
}

/// The lowest of the operator's ceilings, if it is below what was asked for.
fn limit(asked: Drain, settings: &Settings<'_>, ceiling: Option<i64>) -> Option<DrainLimit> {
    let drain = settings.cluster.limits.max_drain.map(|to| DrainLimit { to, ceiling: Ceiling::Drain });
    let half = ceiling.map(|ceiling| Seconds::saturating_from(ceiling / 2));
    let half = half.map(|to| DrainLimit { to, ceiling: Ceiling::GracePeriod });
    drain.into_iter().chain(half).min_by_key(|limit| limit.to).filter(|limit| limit.to < asked.most())
}

/// What a drain can be made of.
#[derive(Clone, Copy)]
struct Means {
    /// The API server has native sleep.
    native_sleep: bool,
    /// Whether the container can have the shim.
    shim: Shim,
    /// New connections can be counted, so that a range can end early.
    ranges: bool,
}

/// Whether a container can have the shim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shim {
    /// It cannot, or was not meant to.
    No,
    /// It has it, for the shim's hook that it came with, and for no other use.
    OwnHook,
    /// It gets it where it is of use.
    Yes,
}

/// What comes of a container's drain, and the shim's hook where that does it.
fn decide(
    container: &Container<'_>,
    drain_before: Option<Seconds>,
    asked: Drain,
    wanted: Drain,
    means: Means,
) -> (Outcome, Option<PreStop>) {
    let skipped = |reason| (Outcome::Skipped(reason), None);
    let hook = container.pre_stop();
    if let Some(before) = drain_before.filter(|before| *before >= wanted.most()) {
        let drain = hook.as_shim().map_or(Drain::fixed(before), |hook| hook.drain);
        return (Outcome::Kept(drain), None);
    }
    if asked.most().is_zero() {
        return skipped(ContainerSkip::DrainZero);
    }
    if wanted.most().is_zero() && drain_before.is_none() && matches!(hook, Hook::None) {
        return skipped(ContainerSkip::NoRoom);
    }
    let own = hook.as_shim();
    let shim = means.shim == Shim::Yes || own.is_some() && means.shim == Shim::OwnHook;
    let drain = if means.ranges && shim { wanted } else { Drain::fixed(wanted.most()) };
    let by_shim = |then| Some(PreStop { drain, then, ..PreStop::default() });
    match (hook, drain_before) {
        // Where the shim's own hook comes from: an earlier pass, another cluster, an image that brings the shim.
        (_, Some(_)) if shim && let Some(own) = own => (Outcome::Raised(drain), by_shim(own.then)),
        (_, Some(_)) if own.is_some_and(|own| own.then.is_some()) => skipped(ContainerSkip::OwnPreStop),
        (Hook::None, _) if means.native_sleep && !drain.is_range() => (Outcome::Added(drain), None),
        (_, Some(_)) if means.native_sleep && !drain.is_range() => (Outcome::Raised(drain), None),
        (Hook::None, _) if means.shim == Shim::Yes => (Outcome::Added(drain), by_shim(None)),
        (_, Some(_)) if means.shim == Shim::Yes => (Outcome::Raised(drain), by_shim(None)),
        (Hook::None, _) | (_, Some(_)) => skipped(ContainerSkip::NeedsShim),
        (_, None) if means.shim == Shim::Yes => match hook::after_drain(hook, container) {
            Some(then) if !wanted.most().is_zero() => (Outcome::Added(drain), by_shim(Some(then))),
            _ => skipped(ContainerSkip::OwnPreStop),
        },
        (_, None) => skipped(ContainerSkip::OwnPreStop),
    }
}

/// The steps that give the containers their drains.
pub(super) fn steps(pod: &Pod<'_>, containers: &[ContainerPlan<'_>], steps: &mut Vec<Step>) {
    for (index, (container, planned)) in pod.containers().zip(regular(containers)).enumerate() {
        let path = match container.lifecycle() {
            None => HookPath::NoLifecycle,
            Some(_) if matches!(container.pre_stop(), Hook::None) => HookPath::NoPreStop,
            Some(_) => HookPath::PreStop,
        };
        let action = match (planned.outcome, container.pre_stop()) {
            (Outcome::Kept(_) | Outcome::Skipped(_), _) => continue,
            _ if let Some(hook) = &planned.pre_stop => {
                let command = hook::command(hook::program(container), hook);
                Action::SetShimHook { container: index, path, command }
            }
            (Outcome::Added(drain), _) => Action::AddSleep { container: index, path, drain: drain.most() },
            (Outcome::Raised(drain), Hook::Sleep(_)) => {
                Action::LengthenSleep { container: index, drain: drain.most() }
            }
            (Outcome::Raised(drain), _) => {
                Action::ReplaceSleepCommand { container: index, drain: drain.most() }
            }
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
                let meant = planned.drain_limit.map_or(asked.value, |limit| asked.value.limited_to(limit.to));
                if meant.is_range() && !drain.is_range() {
                    warnings.push(Warning::RangeFixed {
                        container: name(),
                        asked,
                        drain: drain.most(),
                        host_network: pod.is_host_network(),
                        shim: planned.shim_asked.value,
                    });
                }
                let drain = drain.most();
                if let Some(limit) = planned.drain_limit {
                    warnings.push(Warning::DrainLimited { container: name(), asked, limit });
                }
                if let Some(probe) = container.probe_grace_period().filter(|&probe| probe < i64::from(drain))
                {
                    warnings.push(Warning::ProbeGrace { container: name(), probe, drain });
                }
            }
            Outcome::Kept(drain) if i64::from(drain.most()) >= grace_period => {
                let drain = drain.most();
                warnings.push(Warning::HookFillsGrace { container: name(), drain, grace_period });
            }
            Outcome::Skipped(ContainerSkip::OwnPreStop) => {
                let hook = planned.hook.unwrap_or(HookKind::Unknown);
                warnings.push(Warning::OwnPreStop {
                    container: name(),
                    hook,
                    drain: asked.value,
                    shim: planned.shim_asked.value,
                    missing: missing(&planned.shim),
                });
            }
            Outcome::Skipped(ContainerSkip::NeedsShim) => {
                let sleeps = planned.drain_before;
                warnings.push(Warning::NeedsShim {
                    container: name(),
                    sleeps,
                    drain: asked,
                    shim: planned.shim_asked.value,
                });
            }
            Outcome::Skipped(ContainerSkip::NoRoom) => warnings.push(Warning::NoRoom { container: name() }),
            Outcome::Kept(_) | Outcome::Skipped(_) => {}
        }
    }
}

/// Why the shim cannot come into a container at all, if it cannot.
fn missing(shim: &ShimOutcome) -> Option<ShimSkip> {
    match shim {
        ShimOutcome::Skipped(
            reason @ (ShimSkip::NoShimImage | ShimSkip::NameTaken | ShimSkip::PathTaken),
        ) => Some(*reason),
        _ => None,
    }
}
