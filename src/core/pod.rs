//! A read-only view of a Pod, borrowed from the bytes of the request.
//!
//! Only what decides about a Pod's ending is read; everything else is skipped over without being stored. The
//! view is never written back: a Pod that makes a round trip through a typed struct loses every field that the
//! struct does not know, which on a newer cluster deletes what users wrote.

mod hook;
mod presence;
mod sleep_command;
mod text;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

pub use hook::{Hook, HookKind, Lifecycle};
pub use presence::Presence;
pub use text::Text;

use crate::opt_in::PREFIX;

/// The annotation by which the kubelet marks its copy of a static Pod. Changing the copy changes nothing on
/// the node.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What the view reads of a Pod.
#[derive(Debug, Deserialize)]
pub struct Pod<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Presence<Metadata<'a>>,
    #[serde(borrow, default)]
    spec: Presence<Spec<'a>>,
}

/// What the view reads of a Pod's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    labels: Presence<Labels<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Presence<Annotations<'a>>,
    #[serde(borrow, default)]
    owner_references: Presence<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Labels<'a> {
    #[serde(borrow, rename = "fermata.dev/inject")]
    inject: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerReference<'a> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    controller: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    containers: Presence<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    init_containers: Presence<Vec<Container<'a>>>,
    #[serde(default)]
    termination_grace_period_seconds: Presence<i64>,
    #[serde(borrow)]
    os: Option<Os<'a>>,
    #[serde(borrow)]
    node_selector: Option<NodeSelector<'a>>,
}

#[derive(Debug, Deserialize)]
struct Os<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct NodeSelector<'a> {
    #[serde(borrow, rename = "kubernetes.io/os")]
    os: Option<Text<'a>>,
}

/// What the view reads of a container, init container or native sidecar.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    lifecycle: Presence<Lifecycle<'a>>,
    #[serde(borrow)]
    restart_policy: Option<Text<'a>>,
    liveness_probe: Option<Probe>,
    startup_probe: Option<Probe>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    termination_grace_period_seconds: Option<i64>,
}

impl<'a> Pod<'a> {
    /// Reads a Pod from its JSON.
    ///
    /// # Errors
    ///
    /// When the bytes are not JSON, or when a field that decides about the ending has a type that the
    /// Kubernetes API does not give it; the error names the path of that field.
    pub fn parse(json: &'a [u8]) -> Result<Self, UnreadablePod> {
        // Asking for paths costs time, so it is only done for the Pod that has already failed.
        serde_json::from_slice(json).or_else(|_| {
            let mut reader = serde_json::Deserializer::from_slice(json);
            serde_path_to_error::deserialize(&mut reader).map_err(|error| {
                let path = error.path().to_string();
                UnreadablePod { path, reason: error.into_inner().to_string() }
            })
        })
    }

    /// The Pod's name, or the prefix that the API server will complete, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = self.metadata.value();
        metadata
            .and_then(|metadata| metadata.name.as_ref().or(metadata.generate_name.as_ref()))
            .map_or("", Text::as_str)
    }

    /// The namespace that the object names. In a request it may be absent: the request's own counts.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.value().and_then(|metadata| metadata.namespace.as_ref()).map(Text::as_str)
    }

    /// The value of the label `fermata.dev/inject`, by which a Pod opts out.
    #[must_use]
    pub fn inject_label(&self) -> Option<&str> {
        self.metadata
            .value()
            .and_then(|metadata| metadata.labels.value())
            .and_then(|labels| labels.inject.as_ref())
            .map(Text::as_str)
    }

    /// The Pod's annotations under Fermata's prefix, in the order of the object.
    pub fn fermata_annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.annotations().map_or(&[][..], |annotations| &annotations.own);
        own.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The status annotation that the Pod carries, if it does.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.fermata_annotations()
            .find(|(key, _)| *key == crate::annotation::STATUS)
            .map(|(_, status)| status)
    }

    /// The bytes that keys and values of all annotations take together. The API server refuses an object
    /// above 256 KiB.
    #[must_use]
    pub fn annotations_size(&self) -> usize {
        self.annotations().map_or(0, |annotations| annotations.size)
    }

    /// Whether the kubelet authored this Pod as the mirror of a static one.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.annotations().is_some_and(|annotations| annotations.mirror)
    }

    /// Whether a Job controls this Pod.
    #[must_use]
    pub fn is_owned_by_job(&self) -> bool {
        let owners = self.metadata.value().and_then(|metadata| metadata.owner_references.value());
        owners.into_iter().flatten().any(|owner| {
            owner.controller == Some(true)
                && owner.kind.as_str() == "Job"
                && owner.api_version.as_str().starts_with("batch/")
        })
    }

    /// Whether this Pod is for Windows nodes, by `spec.os.name` or by its node selector.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        let Some(spec) = self.spec.value() else { return false };
        let os = spec.os.as_ref().and_then(|os| os.name.as_ref());
        let node = spec.node_selector.as_ref().and_then(|selector| selector.os.as_ref());
        [os, node].into_iter().flatten().any(|name| name.as_str() == "windows")
    }

    /// `spec.terminationGracePeriodSeconds` as it is written.
    #[must_use]
    pub fn grace_period(&self) -> Presence<i64> {
        self.spec.value().map_or(Presence::Absent, |spec| spec.termination_grace_period_seconds)
    }

    /// The regular containers, in order.
    #[must_use]
    pub fn containers(&self) -> &[Container<'a>] {
        self.spec.value().and_then(|spec| spec.containers.value()).map_or(&[], Vec::as_slice)
    }

    /// The init containers and native sidecars, in order.
    #[must_use]
    pub fn init_containers(&self) -> &[Container<'a>] {
        self.spec.value().and_then(|spec| spec.init_containers.value()).map_or(&[], Vec::as_slice)
    }

    fn annotations(&self) -> Option<&Annotations<'a>> {
        self.metadata.value().and_then(|metadata| metadata.annotations.value())
    }
}

impl<'a> Container<'a> {
    /// The container's name; empty where the object has none, which the API server will refuse.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The container's `lifecycle`, which holds its hooks.
    #[must_use]
    pub const fn lifecycle(&self) -> &Presence<Lifecycle<'a>> {
        &self.lifecycle
    }

    /// The preStop hook, [`Hook::None`] where there is none.
    #[must_use]
    pub fn pre_stop(&self) -> &Hook<'a> {
        self.lifecycle.value().map_or(&Hook::None, Lifecycle::pre_stop)
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

/// A Pod that cannot be judged because it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct UnreadablePod {
    /// Where in the Pod, such as `spec.containers[0].name`; `.` for the whole.
    pub path: String,
    /// What was found there and what was expected.
    pub reason: String,
}

/// The annotations that matter here, and the size of all of them.
#[derive(Debug, Default)]
pub(crate) struct Annotations<'a> {
    own: Vec<(Text<'a>, Text<'a>)>,
    size: usize,
    mirror: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnnotationsVisitor).map(|annotations: Annotations<'de>| annotations)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut annotations = Annotations::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let value = map.next_value::<Text<'de>>()?;
            annotations.size = annotations.size.saturating_add(key.as_str().len() + value.as_str().len());
            if key.as_str() == MIRROR {
                annotations.mirror = true;
            } else if is_own(key.as_str()) {
                // Of a key that stands twice, nobody can say which value the API server means.
                if annotations.own.iter().any(|(known, _)| known.as_str() == key.as_str()) {
                    return Err(serde::de::Error::custom(format_args!(
                        "duplicate annotation `{}`",
                        key.as_str()
                    )));
                }
                annotations.own.push((key, value));
            }
        }
        Ok(annotations)
    }
}

/// Whether an annotation key is `fermata.dev/...` or `CONTAINER.fermata.dev/...`.
fn is_own(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| {
        prefix.strip_suffix(PREFIX).is_some_and(|container| container.is_empty() || container.ends_with('.'))
    })
}

/// Skips a value of any shape without storing it.
pub(crate) fn skip_value<'de, M: MapAccess<'de>>(map: &mut M) -> Result<(), M::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

impl<'a> From<Text<'a>> for Cow<'a, str> {
    fn from(text: Text<'a>) -> Self {
        text.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::{Pod, Presence};

    fn pod(json: &str) -> Pod<'_> {
        Pod::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn absent_and_null_parents_are_read_alike() {
        for json in [
            "{}",
            r#"{"metadata":null,"spec":null}"#,
            r#"{"metadata":{"annotations":null,"labels":null,"ownerReferences":null},"spec":{"containers":null,"initContainers":null}}"#,
        ] {
            let pod = pod(json);
            assert_eq!(pod.name(), "");
            assert_eq!(pod.fermata_annotations().count(), 0);
            assert!(pod.containers().is_empty() && pod.init_containers().is_empty());
            assert_eq!(pod.grace_period(), Presence::Absent);
            assert!(!pod.is_mirror() && !pod.is_windows() && !pod.is_owned_by_job());
        }
    }

    #[test]
    fn only_own_annotations_are_kept_and_all_are_measured() {
        let pod = pod(r#"{"metadata":{"annotations":{
            "fermata.dev/drain":"1s","app.fermata.dev/drain":"2s","notfermata.dev/drain":"3s","fermata.dev":"4s","x/y":"é"}}}"#);
        let own: Vec<_> = pod.fermata_annotations().collect();
        assert_eq!(own, [("fermata.dev/drain", "1s"), ("app.fermata.dev/drain", "2s")]);
        assert_eq!(pod.annotations_size(), 17 + 2 + 21 + 2 + 20 + 2 + 11 + 2 + 3 + 2);
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        for (json, path) in [
            (r#"{"spec":{"containers":[{"name":"a"},{"name":7}]}}"#, "spec.containers[1].name"),
            (r#"{"spec":{"terminationGracePeriodSeconds":30.0}}"#, "spec.terminationGracePeriodSeconds"),
            (
                r#"{"spec":{"terminationGracePeriodSeconds":9223372036854775808}}"#,
                "spec.terminationGracePeriodSeconds",
            ),
            (r#"{"metadata":{"annotations":{"a":1}}}"#, "metadata.annotations.a"),
            (r#"{"spec":{"containers":{}}}"#, "spec.containers"),
        ] {
            let error = Pod::parse(json.as_bytes()).unwrap_err();
            assert_eq!(error.path, path, "{error}");
        }
    }

    #[test]
    fn duplicates_of_what_decides_are_refused() {
        for json in [
            r#"{"spec":{"containers":[],"containers":[]}}"#,
            r#"{"metadata":{"annotations":{"fermata.dev/drain":"1s","fermata.dev/drain":"9s"}}}"#,
            r#"{"spec":{"containers":[{"lifecycle":{"preStop":{"sleep":{"seconds":1}},"preStop":null}}]}}"#,
        ] {
            assert!(Pod::parse(json.as_bytes()).unwrap_err().reason.contains("duplicate"), "{json}");
        }
    }

    #[test]
    fn a_field_that_does_not_decide_may_hold_anything() {
        let deep = format!(r#"{{"spec":{{"future":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        pod(&deep);
        pod(r#"{"spec":{"future":1e400,"other":"\ud800"},"spec2":{},"spec2":{}}"#);
    }

    #[test]
    fn windows_is_seen_in_both_places() {
        assert!(pod(r#"{"spec":{"os":{"name":"windows"}}}"#).is_windows());
        assert!(pod(r#"{"spec":{"nodeSelector":{"kubernetes.io/os":"windows"}}}"#).is_windows());
        assert!(
            !pod(r#"{"spec":{"nodeSelector":{"kubernetes.io/os":"linux","a":"b"},"os":{"name":"linux"}}}"#)
                .is_windows()
        );
    }

    #[test]
    fn only_a_controlling_job_counts() {
        let owned = |owner: &str| {
            pod(&format!(r#"{{"metadata":{{"ownerReferences":[{owner}]}}}}"#)).is_owned_by_job()
        };
        assert!(owned(r#"{"apiVersion":"batch/v1","kind":"Job","controller":true}"#));
        assert!(!owned(r#"{"apiVersion":"batch/v1","kind":"Job"}"#));
        assert!(!owned(r#"{"apiVersion":"example.com/v1","kind":"Job","controller":true}"#));
        assert!(!owned(r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","controller":true}"#));
    }
}
