//! Which Pods are judged.

use crate::{
    opt_in,
    pod::{Pod, Presence},
    settings::{LayerValues, PodAnnotations, Settings},
    skip::PodSkip,
};

/// Why the Pod is not Fermata's to judge: it does not take part, and what its annotations say does not matter.
pub(super) fn is_none_of_ours(pod: &Pod<'_>, settings: &Settings<'_>) -> Option<PodSkip> {
    // The request's namespace counts: the object's may be empty, and the API server fills it in later.
    let namespace = settings.namespace_name.or(pod.namespace()).unwrap_or_default();
    let judged = [
        (PodSkip::Mirror, pod.is_mirror()),
        (PodSkip::SystemNamespace, opt_in::SYSTEM_NAMESPACES.contains(&namespace)),
        (PodSkip::OwnNamespace, settings.own_namespace == Some(namespace)),
        (PodSkip::NotOptedIn, settings.namespace.is_some_and(|namespace| !namespace.opted_in)),
        (PodSkip::OptedOut, pod.inject_label() == Some(opt_in::DISABLED)),
    ];
    judged.into_iter().find_map(|(skip, applies)| applies.then_some(skip))
}

/// Why a Pod that takes part is left alone as a whole.
pub(super) fn is_left_alone(pod: &Pod<'_>, annotations: &PodAnnotations<'_>) -> Option<PodSkip> {
    let asks = |values: &LayerValues<'_>| values.drain.is_some() || values.shim.is_some();
    let asks = asks(&annotations.pod) || annotations.containers.values().any(asks);
    let judged = [
        (PodSkip::Windows, pod.is_windows()),
        (PodSkip::GraceZero, pod.grace_period() == Presence::Value(0)),
        (PodSkip::OwnedByJob, pod.is_owned_by_job() && !asks),
    ];
    judged.into_iter().find_map(|(skip, applies)| applies.then_some(skip))
}
