//! The rules, one file a subject: who is judged, which drain a container gets, and the grace period that the
//! Pod then needs.

mod drain;
mod eligibility;
mod grace;

use crate::{
    plan::{ContainerKind, ContainerPlan, GracePlan, Plan},
    pod::Pod,
    settings::{Mistake, OnInvalid, PodAnnotations, Resolved, Settings},
    warning::Warning,
};

/// Applies all rules to a Pod.
pub(crate) fn apply<'a>(pod: &'a Pod<'a>, settings: &Settings<'a>) -> Plan<'a> {
    let before = grace::before(pod);
    let mut plan = Plan {
        skipped: None,
        denied: None,
        containers: Vec::new(),
        grace: GracePlan { before, after: before, raised_by: None },
        steps: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(skip) = eligibility::before_annotations(pod, settings) {
        plan.skipped = Some(skip);
        return plan;
    }
    let annotations = PodAnnotations::read(pod.fermata_annotations());
    if let Some(skip) = eligibility::after_annotations(pod, &annotations) {
        plan.skipped = Some(skip);
        return plan;
    }
    let resolved = Resolved::new(settings, &annotations);
    let mistakes = eligibility::mistakes(pod, settings, &annotations);
    if settings.cluster.on_invalid == OnInvalid::Deny {
        plan.denied = denial(&mistakes);
        if plan.denied.is_some() {
            return plan;
        }
    }
    plan.warnings.extend(mistakes.into_iter().map(Warning::Mistake));

    let mut containers = drain::wish(pod, settings, &resolved, &mut plan.warnings);
    plan.grace = grace::settle(before, settings, &mut containers, &mut plan.warnings);
    drain::steps(pod, &containers, &mut plan.steps);
    grace::steps(pod, &plan.grace, &mut plan.steps);
    drain::warnings(pod, &containers, settings, plan.grace.after, &mut plan.warnings);
    plan.containers = containers;
    plan
}

/// The message that refuses a Pod for the mistakes in its own annotations.
fn denial(mistakes: &[Mistake]) -> Option<String> {
    let own: Vec<_> = mistakes
        .iter()
        .filter(|mistake| mistake.may_deny())
        .map(|mistake| mistake.to_string())
        .take(crate::warning::MAX_WARNINGS)
        .collect();
    (!own.is_empty()).then(|| format!("fermata: {}", own.join("; ")))
}

/// The regular containers of a plan, which are the ones that can have a drain.
fn regular<'p, 'a>(containers: &'p [ContainerPlan<'a>]) -> impl Iterator<Item = &'p ContainerPlan<'a>> {
    containers.iter().filter(|container| container.kind == ContainerKind::Regular)
}
