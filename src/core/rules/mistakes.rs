//! Which annotations count for nothing.

use std::collections::HashMap;

use crate::{
    annotation::Key,
    opt_in,
    plan::ContainerKind,
    pod::Pod,
    settings::{Mistake, PodAnnotations, Settings, short_name, short_value},
    skip::ContainerSkip,
    suggest::nearest,
    warning::MAX_WARNINGS,
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
            let key = if values.drain.is_some() { Key::Drain } else { Key::GracePeriod };
            short_name(&format!("{name}.{key}")).into()
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
