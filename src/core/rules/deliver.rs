//! How the shim gets into a Pod: an init container copies it from its image into a volume in memory, and the
//! containers that run it mount that read-only.
//!
//! The init container comes first, so that whatever starts later finds the binary. It asks for what the Pod's first
//! container asks for, no more: so the Pod's QoS class stays what it was, its effective request does not grow (init
//! containers count by their maximum), and a quota or a limit range that admits the one admits the other.

use super::hook;
use crate::{
    plan::{Action, ContainerPlan, ShimOutcome, Step},
    pod::{ANNOTATIONS_SIZE_LIMIT, Container, Pod, SAFE_TO_EVICT, VolumeMount},
    settings::{Layer, Settings},
    shim::{FOLDER, NAME, PROGRAM, USER},
    skip::ShimSkip,
};

/// Where the shim comes from.
#[derive(Clone, Copy)]
pub(super) enum Delivery<'s> {
    /// From this image.
    Image(&'s str),
    /// It is there: from an earlier pass, or from a Pod that was taken from a cluster. The init container that brings it
    /// is this one of its kind.
    Delivered(usize),
    /// It cannot be brought.
    Not(ShimSkip),
}

impl<'s> Delivery<'s> {
    /// Looks at the Pod as a whole.
    pub(super) fn of(pod: &Pod<'_>, settings: &Settings<'s>) -> Self {
        let volume = pod.volumes().into_iter().flatten().find(|volume| volume.name() == NAME);
        let init = pod.init_containers().enumerate().find(|(_, container)| container.name() == NAME);
        let regular = pod.containers().any(|container| container.name() == NAME);
        match (volume, init) {
            (Some(volume), Some((index, init))) if !regular && volume.is_in_memory() && installs(init) => {
                Self::Delivered(index)
            }
            (None, None) if !regular => match &settings.cluster.shim_image {
                Some(image) => Self::Image(image),
                None => Self::Not(ShimSkip::NoShimImage),
            },
            _ => Self::Not(ShimSkip::NameTaken),
        }
    }

    /// Whether the shim gets into a container.
    pub(super) fn reaches(&self, container: &Container<'_>) -> Result<(), ShimSkip> {
        if let Self::Not(reason) = self {
            return Err(*reason);
        }
        if is_mounted(container) {
            return Ok(());
        }
        if container.mounted_paths().any(is_below_folder) { Err(ShimSkip::PathTaken) } else { Ok(()) }
    }

    /// Whether a container has the shim already.
    pub(super) fn has_reached(&self, container: &Container<'_>) -> bool {
        matches!(self, Self::Delivered(_)) && is_mounted(container)
    }
}

/// Whether a path leads to the shim's folder or below it. The kubelet takes a relative path from the root, and the
/// runtime resolves what the API server compares letter by letter.
fn is_below_folder(path: &str) -> bool {
    let mut place: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            place.pop();
        } else {
            place.push(part);
        }
    }
    place.first() == FOLDER.strip_prefix('/').as_ref()
}

/// Whether an init container is the one that brings the shim.
fn installs(container: &Container<'_>) -> bool {
    container.command().nth(1) == Some("install") && !container.is_native_sidecar()
}

/// Whether the shim's volume is mounted where it belongs.
fn is_mounted(container: &Container<'_>) -> bool {
    let here = |mount: &VolumeMount<'_>| mount.name() == NAME && mount.mount_path() == FOLDER;
    container.volume_mounts().into_iter().flatten().any(here)
}

/// Whether a container has a use for the shim's binary.
fn needs(container: &Container<'_>, planned: &ContainerPlan<'_>) -> bool {
    let hook = planned.pre_stop.is_some() && hook::program(container) == PROGRAM;
    hook || matches!(planned.shim, ShimOutcome::Init(_))
}

/// The steps that bring the shim to the containers that have a use for it.
pub(super) fn steps(
    pod: &Pod<'_>,
    delivery: &Delivery<'_>,
    containers: &[ContainerPlan<'_>],
    steps: &mut Vec<Step>,
) {
    let mut asked_by = None;
    for (index, (container, planned)) in pod.containers().zip(containers).enumerate() {
        if needs(container, planned) {
            let layer = Some(planned.shim_asked.layer);
            asked_by = asked_by.max(layer);
            if !is_mounted(container) {
                let present = container.volume_mounts().is_some();
                steps.push(Step { action: Action::MountShim { container: index, present }, layer });
            }
        }
    }
    match (delivery, asked_by) {
        (Delivery::Delivered(index), _) => keep_resources(pod, *index, steps),
        (Delivery::Image(image), Some(layer)) => bring(pod, image, layer, steps),
        (Delivery::Image(_), None) | (Delivery::Not(_), _) => {}
    }
}

/// What the container that brings the shim asks for, as JSON.
fn resources(pod: &Pod<'_>) -> Option<Box<str>> {
    pod.containers().next()?.resources().to_json().map(|resources| resources.get().into())
}

/// Whoever sets or changes resources in the same admission looks at what the Pod's author wrote.
fn keep_resources(pod: &Pod<'_>, index: usize, steps: &mut Vec<Step>) {
    let given = pod.init_containers().nth(index).and_then(|init| init.resources().to_json());
    if let Some(resources) = resources(pod)
        && given.is_none_or(|given| given.get() != &*resources)
    {
        steps.push(Step { action: Action::SetShimResources { container: index, resources }, layer: None });
    }
}

fn bring(pod: &Pod<'_>, image: &str, layer: Layer, steps: &mut Vec<Step>) {
    let actions = [
        Action::AddShimVolume { present: pod.volumes().is_some() },
        Action::AddShimContainer {
            present: pod.has_init_containers(),
            image: image.to_owned(),
            resources: resources(pod),
            // The kubelet refuses `runAsNonRoot` with user 0, and other users are the Pod's own choice, or the
            // cluster's (OpenShift assigns one).
            run_as_user: pod.run_as_user().filter(|user| *user == 0).map(|_| USER),
        },
    ];
    steps.extend(actions.map(|action| Step { action, layer: Some(layer) }));
    let room =
        ANNOTATIONS_SIZE_LIMIT.saturating_sub(pod.annotations_size() + SAFE_TO_EVICT.len() + NAME.len() + 1);
    // Without room for it, a node that is removed late is better than a Pod that is refused.
    if room > 0
        && let Some(value) = safe_to_evict(pod.safe_to_evict())
    {
        let (present, path) = (pod.safe_to_evict().is_some(), pod.annotations_path());
        let action = Action::Annotate { key: SAFE_TO_EVICT, present, path, value };
        steps.push(Step { action, layer: Some(layer) });
    }
}

/// The list of volumes that cluster-autoscaler may lose, with ours in it; nothing where it is there already. A node
/// with a Pod whose volume is not on the list is never scaled down. The autoscaler takes names with their blanks.
fn safe_to_evict(list: Option<&str>) -> Option<String> {
    let list = list.unwrap_or_default();
    if list.split(',').any(|name| name == NAME) {
        return None;
    }
    let comma = if list.trim().is_empty() || list.trim_end().ends_with(',') { "" } else { "," };
    Some(format!("{}{comma}{NAME}", list.trim()))
}

#[cfg(test)]
mod tests {
    use super::{is_below_folder, safe_to_evict};

    #[test]
    fn paths_are_compared_by_where_they_lead() {
        for path in
            ["/fermata", "/fermata/", "/fermata/x", "fermata", "//fermata", "/./fermata", "/srv/../fermata/x"]
        {
            assert!(is_below_folder(path), "{path}");
        }
        for path in ["", "/", "/fermatas", "/srv/fermata", "/fermata/..", "../srv"] {
            assert!(!is_below_folder(path), "{path}");
        }
    }

    #[test]
    fn the_list_of_volumes_grows_by_one() {
        for (before, after) in [
            (None, Some("fermata-shim")),
            (Some(""), Some("fermata-shim")),
            (Some("cache,tmp"), Some("cache,tmp,fermata-shim")),
            (Some("cache, "), Some("cache,fermata-shim")),
            (Some("cache,fermata-shim"), None),
            (Some("cache, fermata-shim"), Some("cache, fermata-shim,fermata-shim")),
        ] {
            assert_eq!(safe_to_evict(before).as_deref(), after, "{before:?}");
        }
    }
}
