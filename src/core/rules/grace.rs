//! The grace period that a Pod needs for its drains.
//!
//! Kubernetes counts the grace period from the deletion, hooks included, so a drain takes its time from the
//! app. The rule gives it back: the longest drain may have become longer, and the grace period grows by just that.
//! It is the longest that counts, and not each container's own, because a container that another webhook adds in
//! the same admission would otherwise be paid for twice. A command that sleeps and stays as it is was never a drain
//! of ours, and nothing was paid for it: whatever it takes, its neighbours keep their own time.

use fermata_stop_plan::Drain;

use super::regular;
use crate::{
    plan::{Action, ContainerPlan, DEFAULT_GRACE_PERIOD, GraceNeed, GracePlan, GraceReason, Outcome, Step},
    pod::{Hook, Pod, Presence},
    settings::{Layer, Settings},
    warning::{AUTOSCALER_PATIENCE, Warning},
};

/// What the kubelet grants a container after its hook, whatever is left (`minimumGracePeriodInSeconds`).
const LEAST_OWN_TIME: i64 = 2;

/// The grace period that counts before any change, unit: seconds.
pub(super) fn before(pod: &Pod<'_>) -> i64 {
    match pod.grace_period() {
        Presence::Absent | Presence::Null => DEFAULT_GRACE_PERIOD,
        // The API server stores a negative one as 1.
        Presence::Value(seconds) if seconds < 0 => 1,
        Presence::Value(seconds) => seconds,
    }
}

/// The longest grace period that the Pod may get, unit: seconds, if the operator has set one. One that the Pod
/// came with is never lowered.
pub(super) fn ceiling(before: i64, settings: &Settings<'_>) -> Option<i64> {
    settings.cluster.limits.max_grace_period.map(|limit| i64::from(limit).max(before))
}

/// The grace period that the containers' drains need, under the ceiling.
pub(super) fn settle<'a>(
    pod: &Pod<'_>,
    before: i64,
    ceiling: Option<i64>,
    containers: &[ContainerPlan<'a>],
    warnings: &mut Vec<Warning>,
) -> GracePlan<'a> {
    let mut plan = needed(before, longest_before(pod, before, containers), containers);
    if let Some(limit) = ceiling.filter(|&ceiling| plan.after > ceiling) {
        warnings.push(Warning::GraceLimited { needed: plan.after, limit });
        plan.after = limit;
    }
    if plan.after == before {
        plan.raised_by = None;
    } else if plan.after > AUTOSCALER_PATIENCE {
        warnings.push(Warning::BeyondAutoscaler { grace_period: plan.after });
    }
    plan
}

/// The longest drain that the grace period is long enough for already. Unit: seconds.
fn longest_before(pod: &Pod<'_>, before: i64, containers: &[ContainerPlan<'_>]) -> i64 {
    let drains = pod.containers().zip(regular(containers)).filter_map(|(container, planned)| {
        let hook = container.pre_stop();
        let may_be_ours = matches!(hook, Hook::Sleep(_)) || hook.as_shim().is_some();
        let changes = matches!(planned.outcome, Outcome::Added(_) | Outcome::Raised(_));
        // A hook that sleeps for longer than the grace period is cut off with it, and often meant to be.
        (may_be_ours || changes).then(|| planned.drain_before.map_or(0, i64::from).min(before))
    });
    drains.max().unwrap_or(0)
}

fn needed<'a>(before: i64, longest_before: i64, containers: &[ContainerPlan<'a>]) -> GracePlan<'a> {
    let mut plan = GracePlan { before, after: before, raised_by: None };
    let mut raise = |to: i64, container: &ContainerPlan<'a>, need: GraceNeed, layer: Option<Layer>| {
        if to > plan.after {
            plan.after = to;
            let layer = layer.unwrap_or(Layer::BuiltIn);
            plan.raised_by = Some(GraceReason { container: container.name, need, layer });
        }
    };
    let own_time = before.saturating_sub(longest_before).max(LEAST_OWN_TIME);
    for container in regular(containers) {
        let layer = container.drain_asked.map(|asked| asked.layer);
        if let Outcome::Added(drain) | Outcome::Raised(drain) = container.outcome {
            let drain = i64::from(drain.most());
            let own_time = if drain > longest_before { own_time } else { LEAST_OWN_TIME };
            raise(drain.saturating_add(own_time), container, GraceNeed::LongerDrain, layer);
        }
        if let Some(own_time) = container.grace_asked {
            let drain = container.outcome.drain().map(Drain::most);
            let drain = drain.or(container.drain_before).map_or(0, i64::from);
            let to = drain.saturating_add(own_time.value.into());
            raise(to, container, GraceNeed::OwnTime, Some(own_time.layer));
        }
    }
    plan
}

/// The step that raises the grace period. It belongs in the same patch as the drain: the API server refuses a
/// sleep that is longer than the grace period.
pub(super) fn steps(pod: &Pod<'_>, grace: &GracePlan<'_>, steps: &mut Vec<Step>) {
    if grace.after > grace.before {
        let present = matches!(pod.grace_period(), Presence::Value(_));
        let layer = grace.raised_by.map(|reason| reason.layer);
        steps.push(Step { action: Action::RaiseGracePeriod { present, to: grace.after }, layer });
    }
}
