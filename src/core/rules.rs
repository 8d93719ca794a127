//! The rules, one file a subject: who is judged, which drain a container gets, the grace period that the Pod then
//! needs, which entrypoints run under the shim, and how the shim gets there.

mod deliver;
mod drain;
mod eligibility;
mod entrypoint;
mod grace;
mod hook;
mod mistakes;
mod wrap;

use crate::{
    plan::{ContainerKind, ContainerPlan, GracePlan, Judgement, Plan},
    pod::Pod,
    settings::{OnInvalid, PodAnnotations, Resolved, Settings},
    status,
    warning::Warning,
};

/// Plans the ending of one Pod.
///
/// Pure: the same Pod and settings give the same plan, and planning the patched Pod gives no step.
#[must_use]
pub fn plan<'a>(pod: &'a Pod<'a>, settings: &Settings<'a>) -> Plan<'a> {
    let mut plan = apply(pod, settings);
    if plan.judgement == Judgement::Judged {
        status::report(pod, &mut plan);
    }
    plan
}

/// Applies all rules to a Pod.
fn apply<'a>(pod: &'a Pod<'a>, settings: &Settings<'a>) -> Plan<'a> {
    let before = grace::before(pod);
    let mut plan = Plan {
        judgement: Judgement::Judged,
        containers: Vec::new(),
        grace: GracePlan { before, after: before, raised_by: None },
        steps: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(reason) = eligibility::is_none_of_ours(pod, settings) {
        plan.judgement = Judgement::Skipped(reason);
        return plan;
    }
    let annotations = PodAnnotations::read(pod.fermata_annotations());
    let mistakes = mistakes::find(pod, settings, &annotations);
    if settings.cluster.on_invalid == OnInvalid::Deny
        && let Some(message) = mistakes::denial(&mistakes)
    {
        plan.judgement = Judgement::Denied(message);
        return plan;
    }
    plan.warnings.extend(mistakes.into_iter().map(Warning::Mistake));
    if let Some(reason) = eligibility::is_left_alone(pod, &annotations) {
        plan.judgement = Judgement::Skipped(reason);
        if !annotations.is_empty() {
            plan.warnings.push(Warning::NoEffect { reason });
        }
        return plan;
    }
    let resolved = Resolved::new(settings, &annotations);
    let ceiling = grace::ceiling(before, settings);
    let delivery = deliver::Delivery::of(pod, settings);
    plan.containers = drain::containers(pod, settings, &resolved, ceiling, &delivery);
    plan.grace = grace::settle(pod, before, ceiling, &plan.containers, &mut plan.warnings);
    wrap::containers(pod, settings, &resolved, &delivery, &plan.grace, &mut plan.containers);
    drain::steps(pod, &plan.containers, &mut plan.steps);
    wrap::steps(pod, &plan.containers, &plan.grace, &mut plan.steps);
    deliver::steps(pod, &delivery, &plan.containers, &mut plan.steps);
    grace::steps(pod, &plan.grace, &mut plan.steps);
    drain::warnings(pod, &plan.containers, plan.grace.after, &mut plan.warnings);
    wrap::warnings(&plan.containers, &mut plan.warnings);
    mistakes::without_init(&annotations, &plan.containers, &mut plan.warnings);
    plan
}

/// The regular containers of a plan, which are the ones that can have a drain.
fn regular<'p, 'a>(containers: &'p [ContainerPlan<'a>]) -> impl Iterator<Item = &'p ContainerPlan<'a>> {
    containers.iter().filter(|container| container.kind == ContainerKind::Regular)
}
