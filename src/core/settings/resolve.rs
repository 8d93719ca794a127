//! Lays the layers over each other.

use std::{borrow::Cow, collections::BTreeMap};

use fermata_stop_plan::Seconds;

use super::{Layer, LayerValues, PodAnnotations, Settings, Sourced};
use crate::annotation::BUILT_IN_DRAIN;

/// The layers of one Pod, lowest first, ready to be asked.
pub(crate) struct Resolved<'a, 'b> {
    layers: [(Layer, Option<&'b LayerValues<'a>>); 3],
    containers: &'b BTreeMap<&'a str, LayerValues<'a>>,
}

impl<'a, 'b> Resolved<'a, 'b> {
    pub(crate) fn new(settings: &Settings<'a>, pod: &'b PodAnnotations<'a>) -> Self
    where
        'a: 'b,
    {
        Self {
            layers: [
                (Layer::Cluster, Some(&settings.cluster.defaults)),
                (Layer::Namespace, settings.namespace.map(|namespace| &namespace.values)),
                (Layer::Pod, Some(&pod.pod)),
            ],
            containers: &pod.containers,
        }
    }

    /// The drain of a container, before any limit.
    pub(crate) fn drain(&self, container: &str) -> Sourced<Seconds> {
        self.of_container(container, |values| values.drain)
            .unwrap_or(Sourced { value: BUILT_IN_DRAIN, layer: Layer::BuiltIn })
    }

    /// The own time that a container's app wants after its stop signal, if anybody said.
    pub(crate) fn grace_period(&self, container: &str) -> Option<Sourced<Seconds>> {
        self.of_container(container, |values| values.grace_period)
    }

    /// The names of the containers to drain, if anybody said.
    pub(crate) fn selected(&self) -> Option<Sourced<&'b [Cow<'a, str>]>> {
        self.of_pod(|values| values.containers.as_deref())
    }

    fn of_container<T>(
        &self,
        container: &str,
        value: impl Fn(&'b LayerValues<'a>) -> Option<T>,
    ) -> Option<Sourced<T>> {
        self.containers
            .get(container)
            .and_then(&value)
            .map(|value| Sourced { value, layer: Layer::Container })
            .or_else(|| self.of_pod(value))
    }

    fn of_pod<T>(&self, value: impl Fn(&'b LayerValues<'a>) -> Option<T>) -> Option<Sourced<T>> {
        self.layers
            .iter()
            .rev()
            .find_map(|&(layer, values)| values.and_then(&value).map(|value| Sourced { value, layer }))
    }
}
