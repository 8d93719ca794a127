//! The annotation `fermata.dev/status`: what was done to a Pod, written on the Pod.
//!
//! It also names annotations that were ignored: the warnings about them go to whoever creates the Pod, which for
//! a Deployment is a controller that shows them to nobody.
//!
//! It describes the ending that the Pod has in the end, so that a second pass finds it already right. It is
//! never read back to decide anything: whoever copies or forges one changes nothing.

use std::fmt::Write;

use fermata_stop_plan::Seconds;

use crate::{
    annotation::STATUS,
    plan::{Action, ContainerKind, Outcome, Plan, ShimOutcome, Step},
    pod::{ANNOTATIONS_SIZE_LIMIT, AnnotationsPath, Pod},
    warning::Warning,
};

/// How many containers are listed by name; a report must stay small.
const LISTED: usize = 32;

/// Adds the step that writes the status, unless it stands there already or has no room.
pub(crate) fn report(pod: &Pod<'_>, plan: &mut Plan<'_>) {
    // A Pod without containers is refused by the API server, and there is nothing to say about it.
    if plan.containers.is_empty() {
        return;
    }
    let status = render(plan);
    let old = pod.status();
    if old == Some(status.as_str()) {
        return;
    }
    let others = annotations_added(pod, plan);
    let size = pod.annotations_size()
        + others.unwrap_or(0)
        + status.len()
        + if old.is_none() { STATUS.len() } else { 0 };
    if size - old.map_or(0, str::len) > ANNOTATIONS_SIZE_LIMIT {
        plan.warnings.push(Warning::NoRoomForStatus);
        return;
    }
    // An annotation that was written before has made the way.
    let path = if others.is_some() { AnnotationsPath::Annotations } else { pod.annotations_path() };
    let action = Action::Annotate { key: STATUS, present: old.is_some(), path, value: status };
    plan.steps.push(Step { action, layer: None });
}

/// How many bytes the plan's other annotations add, if there are any.
fn annotations_added(pod: &Pod<'_>, plan: &Plan<'_>) -> Option<usize> {
    let added = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Annotate { key, value, .. } => Some(key.len() + value.len()),
        _ => None,
    });
    added
        .reduce(|sum, bytes| sum + bytes)
        .map(|sum| sum.saturating_sub(pod.safe_to_evict().map_or(0, str::len)))
}

/// The status, as JSON on one line.
fn render(plan: &Plan<'_>) -> String {
    let mut drained = String::new();
    let mut skipped = String::new();
    let mut shim = String::new();
    let mut listed = 0;
    let mut unlisted = 0;
    for container in plan.containers.iter().filter(|container| container.kind != ContainerKind::Init) {
        if listed == LISTED {
            unlisted += 1;
            continue;
        }
        listed += 1;
        match container.outcome {
            Outcome::Added(drain) | Outcome::Raised(drain) | Outcome::Kept(drain) => {
                // A hook of the user's may sleep for longer than the Pod may take.
                let drain = drain.limited_to(Seconds::saturating_from(plan.grace.after));
                member(&mut drained, container.name, drain);
            }
            Outcome::Skipped(reason) => member(&mut skipped, container.name, reason),
        }
        match &container.shim {
            ShimOutcome::Off => {}
            // A second pass finds it kept.
            ShimOutcome::Init(_) | ShimOutcome::Kept => member(&mut shim, container.name, "init"),
            outcome => member(&mut shim, container.name, outcome.as_str()),
        }
    }
    let mut status =
        format!(r#"{{"version":"{}","gracePeriodSeconds":{}"#, env!("CARGO_PKG_VERSION"), plan.grace.after);
    for (name, members) in [("drain", drained), ("skipped", skipped), ("shim", shim)] {
        if !members.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(status, r#","{name}":{{{members}}}"#);
        }
    }
    // In an order of their own: that of the annotations in the object may be another one next time.
    let mut ignored: Vec<_> = plan.warnings.iter().filter_map(Warning::ignored_annotation).collect();
    ignored.sort_unstable();
    ignored.truncate(LISTED);
    if !ignored.is_empty() {
        let _ = write!(status, r#","ignored":{}"#, serde_json::Value::from(ignored));
    }
    if unlisted > 0 {
        let _ = write!(status, r#","unlisted":{unlisted}"#);
    }
    status.push('}');
    status
}

/// Adds `"name":"value"`. Legal names need no escape; others are the API server's to refuse, but must not
/// break the JSON.
fn member(members: &mut String, name: &str, value: impl std::fmt::Display) {
    if !members.is_empty() {
        members.push(',');
    }
    let _ = write!(members, "{}:\"{value}\"", serde_json::Value::from(name));
}
