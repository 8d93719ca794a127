//! Which Pods are judged, and which of their annotations count for nothing.

use crate::{
    annotation::Key,
    opt_in,
    plan::ContainerKind,
    pod::{Pod, Presence},
    settings::{Mistake, PodAnnotations, Settings, short_name, short_value},
    skip::{ContainerSkip, PodSkip},
    suggest::nearest,
};

/// Why the Pod is left alone, as far as that can be said without reading its annotations.
pub(super) fn before_annotations(pod: &Pod<'_>, settings: &Settings<'_>) -> Option<PodSkip> {
    // The request's namespace counts: the object's may be empty, and the API server fills it in later.
    let namespace = settings.namespace_name.or(pod.namespace()).unwrap_or_default();
    let judged = [
        (PodSkip::Mirror, pod.is_mirror()),
        (PodSkip::SystemNamespace, opt_in::SYSTEM_NAMESPACES.contains(&namespace)),
        (PodSkip::OwnNamespace, settings.own_namespace == Some(namespace)),
        (PodSkip::NotOptedIn, settings.namespace.is_some_and(|namespace| !namespace.opted_in)),
        (PodSkip::OptedOut, pod.inject_label() == Some(opt_in::DISABLED)),
        (PodSkip::Windows, pod.is_windows()),
        (PodSkip::GraceZero, pod.grace_period() == Presence::Value(0)),
    ];
    judged.into_iter().find_map(|(skip, applies)| applies.then_some(skip))
}

/// Why the Pod is left alone unless its own annotations ask for something.
pub(super) fn after_annotations(pod: &Pod<'_>, annotations: &PodAnnotations<'_>) -> Option<PodSkip> {
    let asks = annotations.pod.drain.is_some()
        || annotations.containers.iter().any(|(_, values)| values.drain.is_some());
    (pod.is_owned_by_job() && !asks).then_some(PodSkip::OwnedByJob)
}

/// All mistakes in the annotations that apply to this Pod.
pub(super) fn mistakes(
    pod: &Pod<'_>,
    settings: &Settings<'_>,
    annotations: &PodAnnotations<'_>,
) -> Vec<Mistake> {
    let mut mistakes = annotations.mistakes.clone();
    if let Some(value) =
        pod.inject_label().filter(|value| ![opt_in::ENABLED, opt_in::DISABLED].contains(value))
    {
        mistakes.push(Mistake::InjectLabel { value: short_value(value).into() });
    }
    for (name, values) in &annotations.containers {
        // One of the container's annotations stands for all of them: they share the same mistake.
        let key = if values.drain.is_some() { Key::Drain } else { Key::GracePeriod };
        let annotation = format!("{name}.{key}");
        match kind_of(pod, name) {
            Some(ContainerKind::Regular) => {}
            Some(kind) => mistakes.push(Mistake::NeverDrained {
                annotation: short_name(&annotation).into(),
                container: short_name(name).into(),
                reason: if kind == ContainerKind::NativeSidecar {
                    ContainerSkip::NativeSidecar
                } else {
                    ContainerSkip::InitContainer
                },
            }),
            None => mistakes.push(unknown_container(pod, &annotation, name)),
        }
    }
    // Only the Pod's own list can be mistaken about this Pod: the lists of the layers below are for many Pods,
    // and name containers that some of them do not have.
    for name in annotations.pod.containers.iter().flatten() {
        if kind_of(pod, name).is_none() {
            mistakes.push(unknown_container(pod, &Key::Containers.to_string(), name));
        }
    }
    mistakes.extend(settings.namespace.iter().flat_map(|namespace| &namespace.mistakes).cloned());
    mistakes
}

fn unknown_container(pod: &Pod<'_>, annotation: &str, name: &str) -> Mistake {
    let known = pod.containers().iter().map(crate::pod::Container::name);
    Mistake::UnknownContainer {
        annotation: short_name(annotation).into(),
        container: short_name(name).into(),
        nearest: nearest(name, known).map(Into::into),
    }
}

fn kind_of(pod: &Pod<'_>, name: &str) -> Option<ContainerKind> {
    if pod.containers().iter().any(|container| container.name() == name) {
        return Some(ContainerKind::Regular);
    }
    let init = pod.init_containers().iter().find(|container| container.name() == name)?;
    Some(if init.is_native_sidecar() { ContainerKind::NativeSidecar } else { ContainerKind::Init })
}
