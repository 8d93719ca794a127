//! A read-only view of a Pod, borrowed from the bytes of the request.
//!
//! Only what decides about a Pod's ending is read; everything else is skipped over without being stored. The
//! view is never written back: a Pod that makes a round trip through a typed struct loses every field that the
//! struct does not know, which on a newer cluster deletes what users wrote.

mod annotations;
mod containers;
mod hook;
mod http_get;
mod list;
mod object;
mod presence;
mod resources;
mod security;
mod sleep_command;
mod text;
mod volumes;

use std::ops::Deref;

use serde::Deserialize;

use annotations::Annotations;
pub(crate) use annotations::{SAFE_TO_EVICT, SIZE_LIMIT as ANNOTATIONS_SIZE_LIMIT};
pub use containers::Container;
pub use hook::{Hook, HookKind, Lifecycle};
pub use http_get::{HttpGetAction, Port};
use list::List;
pub(crate) use object::Object;
pub use presence::Presence;
pub(crate) use resources::Resources;
use security::SecurityContext;
pub use text::Text;
pub use volumes::{Volume, VolumeMount};

/// What the view reads of a Pod.
#[derive(Debug, Deserialize)]
pub struct Pod<'a> {
    #[serde(borrow, default)]
    metadata: Presence<Object<Metadata<'a>>>,
    #[serde(borrow, default)]
    spec: Presence<Object<Spec<'a>>>,
}

/// What the view reads of a Pod's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    labels: Presence<Object<Labels<'a>>>,
    #[serde(borrow, default)]
    annotations: Presence<Annotations<'a>>,
    #[serde(borrow, default)]
    owner_references: Presence<Vec<Object<OwnerReference<'a>>>>,
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
    containers: Presence<List<Object<Container<'a>>>>,
    #[serde(borrow, default)]
    init_containers: Presence<List<Object<Container<'a>>>>,
    #[serde(borrow, default)]
    volumes: Presence<List<Object<Volume<'a>>>>,
    security_context: Option<Object<SecurityContext>>,
    host_network: Option<bool>,
    #[serde(default)]
    termination_grace_period_seconds: Presence<i64>,
    #[serde(borrow)]
    os: Option<Object<Os<'a>>>,
    #[serde(borrow)]
    node_selector: Option<Object<NodeSelector<'a>>>,
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

impl<'a> Pod<'a> {
    /// Reads a Pod from its JSON.
    ///
    /// # Errors
    ///
    /// When the bytes are not JSON, or when a field that decides about the ending has a type that the
    /// Kubernetes API does not give it; the error names the path of that field.
    pub fn parse(json: &'a [u8]) -> Result<Self, UnreadablePod> {
        // Asking for paths costs time, so it is only done for the Pod that has already failed.
        serde_json::from_slice(json).map(|Object(pod)| pod).or_else(|_| {
            let mut reader = serde_json::Deserializer::from_slice(json);
            let pod: Object<Self> = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
                let path = error.path().to_string();
                // The one word of Rust that serde would show to people who have none.
                let reason =
                    error.into_inner().to_string().replace("expected i64", "expected a whole number");
                UnreadablePod { path, reason }
            })?;
            // The first reading also looks at what stands behind the Pod.
            reader.end().map_err(|error| UnreadablePod { path: ".".into(), reason: error.to_string() })?;
            Ok(pod.0)
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
        let own = self.annotations().map_or(&[][..], Annotations::own);
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
        self.annotations().map_or(0, Annotations::size)
    }

    /// Whether the kubelet authored this Pod as the mirror of a static one.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.annotations().is_some_and(Annotations::mark_mirror)
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

    /// Whether this Pod is for Windows nodes: by `spec.os.name`, by its node selector, or because its containers are
    /// processes of the host, which there are on Windows only.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        let Some(spec) = self.spec.value() else { return false };
        let of_pod = spec.security_context.as_deref().is_some_and(SecurityContext::is_host_process);
        if of_pod || self.containers().chain(self.init_containers()).any(Container::is_host_process) {
            return true;
        }
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
    pub fn containers(&self) -> impl ExactSizeIterator<Item = &Container<'a>> {
        let containers = self.spec.value().and_then(|spec| spec.containers.value());
        containers.map_or(&[][..], Deref::deref).iter().map(Deref::deref)
    }

    /// The init containers and native sidecars, in order.
    pub fn init_containers(&self) -> impl ExactSizeIterator<Item = &Container<'a>> {
        let containers = self.spec.value().and_then(|spec| spec.init_containers.value());
        containers.map_or(&[][..], Deref::deref).iter().map(Deref::deref)
    }

    /// Whether the member `initContainers` is there, and not null.
    #[must_use]
    pub fn has_init_containers(&self) -> bool {
        self.spec.value().is_some_and(|spec| spec.init_containers.value().is_some())
    }

    /// The volumes, in order; nothing where the member is absent or null.
    #[must_use]
    pub fn volumes(&self) -> Option<impl ExactSizeIterator<Item = &Volume<'a>>> {
        let volumes = self.spec.value().and_then(|spec| spec.volumes.value());
        volumes.map(|volumes| volumes.iter().map(Deref::deref))
    }

    /// The user that containers run as unless they say otherwise, if the Pod says.
    #[must_use]
    pub fn run_as_user(&self) -> Option<i64> {
        self.spec
            .value()
            .and_then(|spec| spec.security_context.as_ref())
            .and_then(|context| context.run_as_user)
    }

    /// Whether the Pod is in the network of its node.
    #[must_use]
    pub fn is_host_network(&self) -> bool {
        self.spec.value().is_some_and(|spec| spec.host_network == Some(true))
    }

    /// The volumes that cluster-autoscaler may lose, as they are written.
    #[must_use]
    pub fn safe_to_evict(&self) -> Option<&str> {
        self.annotations().and_then(Annotations::safe_to_evict)
    }

    /// How much of the way to an annotation the Pod already has.
    pub(crate) fn annotations_path(&self) -> AnnotationsPath {
        match self.metadata.value().map(|metadata| metadata.annotations.value()) {
            None => AnnotationsPath::NoMetadata,
            Some(None) => AnnotationsPath::NoAnnotations,
            Some(Some(_)) => AnnotationsPath::Annotations,
        }
    }

    fn annotations(&self) -> Option<&Annotations<'a>> {
        self.metadata.value().and_then(|metadata| metadata.annotations.value())
    }
}

/// How much of the way to `lifecycle.preStop` a container already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPath {
    /// `lifecycle` is absent or null.
    NoLifecycle,
    /// `lifecycle` is there and has no hook before the stop.
    NoPreStop,
    /// There is a hook.
    PreStop,
}

/// How much of the way to `metadata.annotations` a Pod already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationsPath {
    /// `metadata` is absent or null.
    NoMetadata,
    /// `annotations` is absent or null.
    NoAnnotations,
    /// `annotations` is there.
    Annotations,
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

#[cfg(test)]
mod tests {
    use super::{Hook, Pod, Presence};

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
            assert_eq!(pod.containers().len() + pod.init_containers().len(), 0);
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
            (r#"{"metadata":["shop"]}"#, "metadata"),
            (r#"{"spec":{"containers":[["app"]]}}"#, "spec.containers[0]"),
            (r#"{"spec":{"containers":[{"lifecycle":[]}]}}"#, "spec.containers[0].lifecycle"),
            (
                r#"{"spec":{"containers":[{"lifecycle":{"preStop":{"sleep":[5]}}}]}}"#,
                "spec.containers[0].lifecycle.preStop.sleep",
            ),
            ("[]", "."),
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
    fn more_than_an_api_server_stores_is_not_read() {
        let annotations: Vec<_> = (0..40_000).map(|n| format!(r#""a{n}.fermata.dev/drain":"1s""#)).collect();
        let json = format!(r#"{{"metadata":{{"annotations":{{{}}}}}}}"#, annotations.join(","));
        assert!(Pod::parse(json.as_bytes()).unwrap_err().reason.contains("256 KiB"));
        let json = format!(r#"{{"spec":{{"containers":[{}]}}}}"#, vec!["{}"; 10_001].join(","));
        assert!(Pod::parse(json.as_bytes()).unwrap_err().reason.contains("more than 10000 containers"));
    }

    #[test]
    fn nulls_that_go_reads_as_empty_are_read_so() {
        let pod = pod(
            r#"{"metadata":{"annotations":{"fermata.dev/drain":null}},"spec":{"containers":[{"name":null,"lifecycle":{"preStop":{"sleep":{"seconds":null}}}}]}}"#,
        );
        assert_eq!(pod.fermata_annotations().next(), Some(("fermata.dev/drain", "")));
        assert!(matches!(pod.containers().next().unwrap().pre_stop(), Hook::Sleep(0)));
    }

    #[test]
    fn windows_is_seen_in_both_places() {
        assert!(pod(r#"{"spec":{"os":{"name":"windows"}}}"#).is_windows());
        let context = r#""securityContext":{"windowsOptions":{"hostProcess":true}}"#;
        assert!(pod(&format!(r#"{{"spec":{{{context}}}}}"#)).is_windows());
        assert!(pod(&format!(r#"{{"spec":{{"containers":[{{"name":"a"}},{{{context}}}]}}}}"#)).is_windows());
        assert!(!pod(r#"{"spec":{"securityContext":{"windowsOptions":{}}}}"#).is_windows());
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
