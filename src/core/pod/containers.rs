//! The containers of a Pod, and what the view reads of each.

use std::{fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use super::{Hook, Lifecycle, Presence, Text, object::Object};

/// More containers than etcd could store in one Pod: an object may have 1.5 MiB.
const LIMIT: usize = 10_000;

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
    startup_probe: Option<Object<Probe>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    termination_grace_period_seconds: Option<i64>,
}

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
}

/// A list of containers that is not longer than a Pod can have.
#[derive(Debug)]
pub(super) struct Containers<'a>(Vec<Object<Container<'a>>>);

impl<'a> Containers<'a> {
    pub(super) fn as_slice(&self) -> &[Object<Container<'a>>] {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Containers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContainersVisitor;

        impl<'de> Visitor<'de> for ContainersVisitor {
            type Value = Containers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of containers")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut containers = Vec::with_capacity(4);
                while let Some(container) = list.next_element()? {
                    if containers.len() == LIMIT {
                        return Err(S::Error::custom(format_args!("more than {LIMIT} containers")));
                    }
                    containers.push(container);
                }
                Ok(Containers(containers))
            }
        }

        deserializer.deserialize_seq(ContainersVisitor).map(|containers: Containers<'de>| containers)
    }
}
