//! The containers of a Pod, and what the view reads of each.

use std::ops::Deref;

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Hook, Lifecycle, Port, Presence, Resources, Text, VolumeMount,
    list::{List, Listed},
    object::Object,
    security::SecurityContext,
    volumes::VolumeDevice,
};

/// What the view reads of a container, init container or native sidecar.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    lifecycle: Presence<Object<Lifecycle<'a>>>,
    #[serde(borrow)]
    restart_policy: Option<Text<'a>>,
    liveness_probe: Option<Object<Probe>>,
    readiness_probe: Option<Object<Probe>>,
    startup_probe: Option<Object<Probe>>,
    security_context: Option<Object<SecurityContext>>,
    #[serde(borrow)]
    image: Option<Text<'a>>,
    #[serde(borrow, default)]
    command: Presence<List<Text<'a>>>,
    #[serde(borrow)]
    args: Option<List<Text<'a>>>,
    #[serde(borrow)]
    ports: Option<List<Object<ContainerPort<'a>>>>,
    #[serde(borrow)]
    resources: Option<Object<Resources<'a>>>,
    #[serde(borrow, default)]
    volume_mounts: Presence<List<Object<VolumeMount<'a>>>>,
    #[serde(borrow)]
    volume_devices: Option<List<Object<VolumeDevice<'a>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    termination_grace_period_seconds: Option<i64>,
    period_seconds: Option<i64>,
    exec: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    container_port: Option<i64>,
}

/// How often a probe is made where it does not say (`periodSeconds`). Unit: seconds.
const DEFAULT_PROBE_PERIOD: i64 = 10;

impl<'a> Container<'a> {
    /// The container's name; empty where the object has none, which the API server will refuse.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The container's `lifecycle`, which holds its hooks, if it has one.
    #[must_use]
    pub fn lifecycle(&self) -> Option<&Lifecycle<'a>> {
        self.lifecycle.value().map(Deref::deref)
    }

    /// The preStop hook, [`Hook::None`] where there is none.
    #[must_use]
    pub fn pre_stop(&self) -> &Hook<'a> {
        self.lifecycle().map_or(&Hook::None, Lifecycle::pre_stop)
    }

    /// For an entry of `initContainers`: whether it is a native sidecar, which runs as long as the Pod does.
    #[must_use]
    pub fn is_native_sidecar(&self) -> bool {
        self.restart_policy.as_ref().is_some_and(|policy| policy.as_str() == "Always")
    }

    /// The shortest grace period that a probe sets for its own kills, unit: seconds. It replaces the Pod's.
    #[must_use]
    pub fn probe_grace_period(&self) -> Option<i64> {
        let probes = [self.liveness_probe.as_ref(), self.startup_probe.as_ref()];
        probes.into_iter().flatten().filter_map(|probe| probe.termination_grace_period_seconds).min()
    }

    /// How often the readiness probe connects to the container, unit: seconds; nothing where it does not. Readiness
    /// probes go on while a Pod terminates.
    #[must_use]
    pub fn readiness_connects_every(&self) -> Option<i64> {
        let probe = self.readiness_probe.as_ref().filter(|probe| probe.exec.is_none())?;
        Some(probe.period_seconds.filter(|period| *period > 0).unwrap_or(DEFAULT_PROBE_PERIOD))
    }

    /// Whether it is a process of a Windows host.
    pub(super) fn is_host_process(&self) -> bool {
        self.security_context.as_deref().is_some_and(SecurityContext::is_host_process)
    }

    /// The stop signal that the Pod gives it in place of the image's.
    #[must_use]
    pub fn stop_signal(&self) -> Option<&str> {
        self.lifecycle().and_then(Lifecycle::stop_signal)
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &str {
        self.image.as_ref().map_or("", Text::as_str)
    }

    /// The words that run in place of the image's ENTRYPOINT and CMD; empty where the Pod does not say.
    pub fn command(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.command.value().map_or(&[][..], Deref::deref).iter().map(Text::as_str)
    }

    /// Whether the member `command` is there, and not null.
    #[must_use]
    pub fn has_command(&self) -> bool {
        self.command.value().is_some()
    }

    /// The words that come behind the command, or in place of the image's CMD.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.args.as_ref().map_or(&[][..], Deref::deref).iter().map(Text::as_str)
    }

    /// The number of one of its ports by its name.
    #[must_use]
    pub fn port(&self, port: &Port<'_>) -> Option<u16> {
        let number = match port {
            Port::Number(number) => *number,
            Port::Name(name) => {
                let ports = self.ports.as_deref().unwrap_or_default();
                ports.iter().find(|port| port.name == *name)?.container_port?
            }
        };
        u16::try_from(number).ok().filter(|number| *number > 0)
    }

    /// Its resources.
    pub(crate) fn resources(&self) -> Resources<'a> {
        self.resources.as_deref().copied().unwrap_or_default()
    }

    /// Its mounts; nothing where the member is absent or null.
    #[must_use]
    pub fn volume_mounts(&self) -> Option<impl ExactSizeIterator<Item = &VolumeMount<'a>>> {
        self.volume_mounts.value().map(|mounts| mounts.iter().map(Deref::deref))
    }

    /// All paths in the container at which the Pod puts something.
    pub(crate) fn mounted_paths(&self) -> impl Iterator<Item = &str> {
        let devices = self.volume_devices.as_deref().unwrap_or_default();
        let mounts = self.volume_mounts().into_iter().flatten().map(VolumeMount::mount_path);
        mounts.chain(devices.iter().map(|device| device.device_path.as_str()))
    }
}

impl Listed for Object<Container<'_>> {
    const PLURAL: &'static str = "containers";
}

impl Listed for Object<ContainerPort<'_>> {
    const PLURAL: &'static str = "ports";
}
