//! Which annotations count for nothing.

use std::collections::HashMap;

use super::regular;
use crate::{
    annotation::{Key, ShimMode, TABLE},
    opt_in,
    plan::{ContainerKind, ContainerPlan},
    pod::Pod,
    settings::{Mistake, PodAnnotations, Settings, short_key, short_name, short_value},
    skip::ContainerSkip,
    suggest::nearest,
    warning::{MAX_WARNINGS, Warning},
};

/// All mistakes in the annotations that apply to this Pod.
pub(super) fn find(pod: &Pod<'_>, settings: &Settings<'_>, annotations: &PodAnnotations<'_>) -> Vec<Mistake> {
    let mut mistakes = annotations.mistakes.clone();
    if let Some(value) =
        pod.inject_label().filter(|value| ![opt_in::ENABLED, opt_in::DISABLED].contains(value))
    {
        mistakes.push(Mistake::InjectLabel { value: short_value(value).into() });
    }
    if !annotations.containers.is_empty() || annotations.pod.containers.is_some() {
        of_containers(pod, annotations, &mut mistakes);
    }
    mistakes.extend(settings.namespace.iter().flat_map(|namespace| &namespace.mistakes).cloned());
    mistakes
}

/// The mistakes in what names a container.
fn of_containers(pod: &Pod<'_>, annotations: &PodAnnotations<'_>, mistakes: &mut Vec<Mistake>) {
    let init = pod.init_containers().map(|container| (container.name(), ContainerKind::of_init(container)));
    let regular = pod.containers().map(|container| (container.name(), ContainerKind::Regular));
    let kinds: HashMap<&str, ContainerKind> = init.chain(regular).collect();
    // Comparing all names with all containers is work for a large Pod, and only the first mistakes are shown.
    let nearest = |name: &str, position: usize| {
        let known = pod.containers().map(crate::pod::Container::name);
        if position < MAX_WARNINGS { nearest(name, known).map(Into::into) } else { None }
    };
    for (name, values) in &annotations.containers {
        // One of the container's annotations stands for all of them: they share the mistake.
        let annotation = || {
            let key = TABLE.iter().map(|row| row.key).find(|key| values.has(*key)).unwrap_or(Key::Drain);
            short_key(&format!("{name}.{key}")).into()
        };
        match kinds.get(name) {
            Some(ContainerKind::Regular) => {}
            Some(ContainerKind::NativeSidecar) => {
                mistakes.push(Mistake::NeverDrained {
                    annotation: annotation(),
                    reason: ContainerSkip::NativeSidecar,
                });
            }
            Some(ContainerKind::Init) => {
                mistakes.push(Mistake::NeverDrained {
                    annotation: annotation(),
                    reason: ContainerSkip::InitContainer,
                });
            }
            None => {
                let nearest = nearest(name, mistakes.len());
                mistakes.push(Mistake::UnknownContainer { annotation: annotation(), nearest });
            }
        }
    }
    // Only the Pod's own list can be mistaken about this Pod: the lists of the layers below are for many Pods,
    // and name containers that some of them do not have.
    for name in annotations.pod.containers.iter().flatten() {
        if !kinds.contains_key(&**name) {
            let nearest = nearest(name, mistakes.len());
            mistakes.push(Mistake::UnknownInList { container: short_name(name).into(), nearest });
        }
    }
}

/// Annotations of the Pod that say something to the shim in containers that do not have it.
pub(super) fn without_init(
    annotations: &PodAnnotations<'_>,
    containers: &[ContainerPlan<'_>],
    warnings: &mut Vec<Warning>,
) {
    let of_shim = || TABLE.iter().filter(|row| row.needs_init).map(|row| row.key);
    let is_off = |container: &ContainerPlan<'_>| container.shim_asked.value < ShimMode::Init;
    let mut warn = |annotation: String| {
        let annotation = short_key(&annotation).into();
        warnings.push(Warning::Mistake(Mistake::NeedsInit { annotation }));
    };
    if regular(containers).all(is_off) {
        of_shim().filter(|key| annotations.pod.has(*key)).for_each(|key| warn(key.to_string()));
    }
    for container in regular(containers).filter(|container| is_off(container)) {
        let values = annotations.containers.get(container.name);
        let said = |key: &Key| values.is_some_and(|values| values.has(*key));
        of_shim().filter(said).for_each(|key| warn(format!("{}.{key}", container.name)));
    }
}

/// The message that refuses a Pod for the mistakes in its own annotations.
pub(super) fn denial(mistakes: &[Mistake]) -> Option<String> {
    let own: Vec<_> = mistakes
        .iter()
        .filter(|mistake| mistake.may_deny())
        .take(MAX_WARNINGS)
        .map(ToString::to_string)
        .collect();
    (!own.is_empty()).then(|| format!("fermata: {}", own.join("; ")))
}
