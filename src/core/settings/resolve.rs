//! Lays the layers over each other.

use std::{borrow::Cow, collections::BTreeMap};

use fermata_stop_plan::{Command, DEFAULT_QUIET, Drain, ExitCodes, Profile, Rewrite, Scope, Seconds};

use super::{Layer, LayerValues, PodAnnotations, Settings, Sourced};
use crate::annotation::{BUILT_IN_DRAIN, ShimMode};

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
    pub(crate) fn drain(&self, container: &str) -> Sourced<Drain> {
        self.of_container(container, |values| values.drain)
            .unwrap_or(Sourced { value: BUILT_IN_DRAIN, layer: Layer::BuiltIn })
    }

    /// How long no new connection must come for a range to end early.
    pub(crate) fn quiet(&self, container: &str) -> Seconds {
        self.of_container(container, |values| values.quiet).map_or(DEFAULT_QUIET, |quiet| quiet.value)
    }

    /// The own time that a container's app wants after its stop signal, if anybody said.
    pub(crate) fn grace_period(&self, container: &str) -> Option<Sourced<Seconds>> {
        self.of_container(container, |values| values.grace_period)
    }

    /// Whether a container gets the shim.
    pub(crate) fn shim(&self, container: &str) -> Sourced<ShimMode> {
        self.of_container(container, |values| values.shim)
            .unwrap_or(Sourced { value: ShimMode::Off, layer: Layer::BuiltIn })
    }

    /// Which server it is, if anybody said. Where somebody said that it is none, that counts as nobody.
    pub(crate) fn profile(&self, container: &str) -> Option<Sourced<&'static Profile>> {
        let said = self.of_container(container, |values| values.profile)?;
        said.value.map(|value| Sourced { value, layer: said.layer })
    }

    /// The signal map, if anybody said.
    pub(crate) fn rewrite(&self, container: &str) -> Option<Sourced<&'b Rewrite>> {
        self.of_container(container, |values| values.rewrite.as_ref())
    }

    /// Whom to signal, if anybody said.
    pub(crate) fn signal_scope(&self, container: &str) -> Option<Sourced<Scope>> {
        self.of_container(container, |values| values.signal_scope)
    }

    /// What to run when the stop signal comes, if anybody said.
    pub(crate) fn status_command(&self, container: &str) -> Option<&'b Command> {
        self.of_container(container, |values| values.status_command.as_ref())?.value.as_ref()
    }

    /// What to run in place of the stop signal, if anybody said.
    pub(crate) fn stop_command(&self, container: &str) -> Option<&'b Command> {
        self.of_container(container, |values| values.stop_command.as_ref())?.value.as_ref()
    }

    /// What a stop reports, if anybody said.
    pub(crate) fn exit_code(&self, container: &str) -> Option<Sourced<&'b ExitCodes>> {
        self.of_container(container, |values| values.exit_code.as_ref())
    }

    /// What the image starts, if anybody said.
    pub(crate) fn entrypoint(&self, container: &str) -> Option<Sourced<&'b Command>> {
        let said = self.of_container(container, |values| values.entrypoint.as_ref())?;
        said.value.as_ref().map(|value| Sourced { value, layer: said.layer })
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
