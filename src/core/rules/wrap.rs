//! Which entrypoints run under the shim, and by which stop plan.

use fermata_stop_plan::{Drain, PreStop, Scope, Seconds, Signal, SignalSet, StopPlan};

use super::{
    deliver::Delivery,
    entrypoint::{self, Entrypoint, Found, escaped},
    hook, regular,
};
use crate::{
    annotation::ShimMode,
    plan::{Action, ContainerPlan, GracePlan, Outcome, ShimOutcome, Step, Wrapped},
    pod::{Container, Hook, Pod},
    settings::{Images, Layer, Resolved, Settings},
    shim::PROGRAM,
    skip::{ContainerSkip, ShimSkip},
    warning::Warning,
};

/// What is left to the kubelet between the shim's last word and its kill. Unit: seconds.
const LAST_WORD: i64 = 1;

/// Decides about the shim in each container, after the drains and the grace period.
pub(super) fn containers(
    pod: &Pod<'_>,
    settings: &Settings<'_>,
    resolved: &Resolved<'_, '_>,
    delivery: &Delivery<'_>,
    grace: &GracePlan<'_>,
    containers: &mut [ContainerPlan<'_>],
) {
    let alone = pod.containers().len() == 1;
    for (container, planned) in pod.containers().zip(containers) {
        let asked = planned.shim_asked.value;
        if asked == ShimMode::Off {
            continue;
        }
        let has_hook = planned.pre_stop.is_some() || container.pre_stop().as_shim().is_some();
        let found = (asked == ShimMode::Init)
            .then(|| entrypoint::find(container, alone, resolved, &settings.cluster.images));
        planned.shim = match (delivery.reaches(container), found) {
            (_, Some(Ok(Found::Wrapped))) => ShimOutcome::Kept,
            (Ok(()), Some(Ok(Found::Entrypoint(found)))) => {
                let budget = budget(container, planned, grace);
                let stop_signal = stop_signal(container, &settings.cluster.images);
                ShimOutcome::Init(Box::new(wrapped(container, resolved, found, stop_signal, budget)))
            }
            (Ok(()), None) if has_hook => ShimOutcome::Hook,
            // There is nothing that it would do.
            (Ok(()), None) => ShimOutcome::Off,
            (Err(_), None) if !is_missed(planned) => ShimOutcome::Off,
            (Ok(()), Some(Err(reason))) | (Err(reason), _) => ShimOutcome::Skipped(reason),
        };
    }
}

/// Whether a container that cannot have the shim's hook would be better off with it. A native sleep does as well
/// where a fixed time was asked for.
fn is_missed(planned: &ContainerPlan<'_>) -> bool {
    match planned.outcome {
        Outcome::Skipped(reason) => matches!(reason, ContainerSkip::NeedsShim | ContainerSkip::OwnPreStop),
        Outcome::Added(drain) | Outcome::Raised(drain) | Outcome::Kept(drain) => {
            let limit = planned.drain_limit.map(|limit| limit.to);
            let meant = planned.drain_asked.map(|asked| asked.value);
            let meant = meant.map(|drain| limit.map_or(drain, |limit| drain.limited_to(limit)));
            meant.is_some_and(Drain::is_range) && !drain.is_range()
        }
    }
}

/// How long the stop may take from the stop signal on: what the drain leaves of the grace period. Where a hook of the
/// user's runs as well, nobody knows; and what is longer than the shim can be told, the kubelet ends.
fn budget(container: &Container<'_>, planned: &ContainerPlan<'_>, grace: &GracePlan<'_>) -> Option<Seconds> {
    let runs_own = |hook: &PreStop| hook.then.is_some();
    let drain = match (planned.outcome.drain().map(Drain::most), planned.drain_before) {
        _ if planned.pre_stop.as_deref().is_some_and(runs_own) => return None,
        _ if container.pre_stop().as_shim().as_ref().is_some_and(runs_own) => return None,
        (Some(drain), _) | (None, Some(drain)) => drain,
        (None, None) if matches!(container.pre_stop(), Hook::None) => Seconds::ZERO,
        (None, None) => return None,
    };
    let left = grace.after.saturating_sub(drain.into()).saturating_sub(LAST_WORD).max(1);
    (left <= Seconds::MAX.into()).then(|| Seconds::saturating_from(left))
}

/// The command that an earlier pass has made, with the budget that there is now, where that is another one. What a
/// webhook has put a program of its own in front of stays as it is.
fn with_present_budget(
    container: &Container<'_>,
    planned: &ContainerPlan<'_>,
    grace: &GracePlan<'_>,
) -> Option<Vec<String>> {
    let mut words = container.command().enumerate();
    let (program, verb) = (words.next()?.1, words.next()?.1);
    if program != PROGRAM || verb != "run" {
        return None;
    }
    let (place, told) = loop {
        match words.next()?.1 {
            "--" => return None,
            // A command may have such a word of its own.
            "--status-command" | "--stop-command" => drop(words.find(|(_, word)| *word == ";")),
            "--budget" => break words.next()?,
            _ => {}
        }
    };
    let now = budget(container, planned, grace);
    if told.parse().ok() == now {
        return None;
    }
    let mut command: Vec<String> = container.command().map(str::to_owned).collect();
    match now {
        Some(budget) => command[place] = budget.to_string(),
        None => drop(command.drain(place - 1..=place)),
    }
    Some(command)
}

/// The entrypoint with the shim in front of it.
fn wrapped(
    container: &Container<'_>,
    resolved: &Resolved<'_, '_>,
    found: Entrypoint<'_>,
    stop_signal: Option<Signal>,
    budget: Option<Seconds>,
) -> Wrapped {
    let plan = StopPlan { budget, ..stop_plan(container.name(), resolved, &found, stop_signal) };
    let mut command = vec![PROGRAM.to_owned(), "run".to_owned()];
    // What an annotation says is meant as it stands, and Kubernetes would expand it here.
    command.extend(plan.render().into_iter().map(|word| escaped(&hook::text(word))));
    command.push("--".to_owned());
    command.extend(found.words.into_iter().map(std::borrow::Cow::into_owned));
    Wrapped { plan, command, instead_of: found.init.name }
}

/// What the runtime sends to the container, as far as that is said: by the Pod, or by the operator of the image. KILL
/// and the like begin no stop.
fn stop_signal(container: &Container<'_>, images: &Images) -> Option<Signal> {
    let said = match container.stop_signal() {
        Some(signal) => signal.parse().ok(),
        None => images.stop_signal(container.image()),
    };
    said.filter(|signal| signal.is_passed_on())
}

/// The stop plan of a container. A profile and what stands beside it count by their layers; of one layer, what was
/// said expressly counts more than what the profile implies.
fn stop_plan(
    name: &str,
    resolved: &Resolved<'_, '_>,
    found: &Entrypoint<'_>,
    stop_signal: Option<Signal>,
) -> StopPlan {
    let profile = resolved.profile(name);
    let beats_profile = |layer: Layer| profile.is_none_or(|profile| layer >= profile.layer);
    let of_profile = profile.map_or_else(StopPlan::default, |profile| profile.value.plan());
    let mut plan = of_profile.clone();

    plan.rewrite = found.init.rewrite.clone();
    plan.rewrite.extend(&of_profile.rewrite);
    if let Some(said) = resolved.rewrite(name) {
        plan.rewrite.extend(said.value);
        if !beats_profile(said.layer) {
            plan.rewrite.extend(&of_profile.rewrite);
        }
    }
    let of_init = found.init.scope.filter(|_| profile.is_none());
    let implied = if found.is_shell { Scope::Group } else { of_init.unwrap_or(of_profile.scope) };
    let said = resolved.signal_scope(name).filter(|said| found.is_shell || beats_profile(said.layer));
    plan.scope = said.map_or(implied, |said| said.value);
    if let Some(said) = resolved.exit_code(name).filter(|said| beats_profile(said.layer)) {
        plan.exit_codes = said.value.clone();
    }
    if let Some(signal) = stop_signal {
        plan.triggers = plan.triggers.union(SignalSet::of(&[signal]));
        // Whatever the runtime is told to send, it means the end, and the server ends by the profile's signal.
        if let Some(profile) = profile.filter(|_| plan.rewrite.iter().all(|(from, _)| from != signal))
            && profile.value.delivers != signal
        {
            plan.rewrite.set(signal, Some(profile.value.delivers));
        }
    }
    plan.status_command = resolved.status_command(name).cloned();
    plan.stop_command = resolved.stop_command(name).cloned();
    plan
}

/// The steps that put the shim in front of entrypoints.
pub(super) fn steps(
    pod: &Pod<'_>,
    containers: &[ContainerPlan<'_>],
    grace: &GracePlan<'_>,
    steps: &mut Vec<Step>,
) {
    for (index, (container, planned)) in pod.containers().zip(regular(containers)).enumerate() {
        let action = match &planned.shim {
            ShimOutcome::Init(wrapped) => {
                let (present, command) = (container.has_command(), wrapped.command.clone());
                Action::WrapEntrypoint { container: index, present, command }
            }
            ShimOutcome::Kept => match with_present_budget(container, planned, grace) {
                Some(command) => Action::WrapEntrypoint { container: index, present: true, command },
                None => continue,
            },
            ShimOutcome::Off | ShimOutcome::Hook | ShimOutcome::Skipped(_) => continue,
        };
        steps.push(Step { action, layer: Some(planned.shim_asked.layer) });
    }
}

/// What the containers' authors should know about the shim that they do not get.
pub(super) fn warnings(containers: &[ContainerPlan<'_>], warnings: &mut Vec<Warning>) {
    for planned in regular(containers) {
        let ShimOutcome::Skipped(reason) = planned.shim else { continue };
        // What the operator asks of all Pods cannot fit each of them, and the status says so.
        let meant = planned.shim_asked.layer > Layer::Cluster || reason == ShimSkip::NoShimImage;
        let told =
            matches!(planned.outcome, Outcome::Skipped(ContainerSkip::NeedsShim | ContainerSkip::OwnPreStop));
        if meant || told {
            warnings.push(Warning::ShimSkipped { container: planned.name.into(), reason });
        }
    }
}
