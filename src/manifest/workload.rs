//! The Pods in a document: those that stand there, and those that a controller makes from a template.

use fermata_core::annotation::{Key, Name};
use serde_json::{Map, Value, json};

/// Something in a document that matters here.
#[derive(Debug)]
pub(crate) enum Finding {
    Pod(Box<Found>),
    Namespace(Namespace),
    /// Something that should be an object, or hold a Pod, and does not.
    Broken(Broken),
    /// An object of a kind that is not known here and looks as if it made Pods.
    Stranger {
        kind: String,
        name: String,
        path: Vec<String>,
    },
}

/// A Pod, and where its manifest stands.
#[derive(Debug)]
pub(crate) struct Found {
    /// The kind of the object that the document has: `Deployment`, or `Pod` itself.
    pub(crate) kind: String,
    /// That object's name.
    pub(crate) name: String,
    /// The namespace that it goes to.
    pub(crate) namespace: String,
    /// The way from the document's root to that object.
    pub(crate) object: Vec<String>,
    /// The way from the document's root to the Pod or its template.
    pub(crate) path: Vec<String>,
    /// Fermata's annotations that stand where nobody reads them: on the object that makes the Pod, or among labels.
    pub(crate) misplaced: Vec<Misplaced>,
    /// The Pod as the API server would be asked to create it.
    pub(crate) pod: Value,
}

/// An annotation in the wrong place.
#[derive(Debug)]
pub(crate) struct Misplaced {
    pub(crate) annotation: String,
    /// Where it stands, such as `the Deployment's own annotations`.
    pub(crate) found: String,
    /// Where it belongs, such as `spec.template.metadata.annotations`.
    pub(crate) belongs: String,
}

/// A Namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
}

/// Something that cannot be judged.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The object's kind and name, as far as it has them.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
    /// Whether the document is no Kubernetes object at all.
    pub(crate) foreign: bool,
}

/// A kind whose objects hold a Pod template.
struct Workload {
    group: &'static str,
    kind: &'static str,
    /// The way to the template; empty for a Pod.
    template: &'static [&'static str],
    /// Who the Pods' controller is: its `apiVersion` and kind.
    controller: Option<(&'static str, &'static str)>,
}

const WORKLOADS: [Workload; 9] = [
    Workload { group: "", kind: "Pod", template: &[], controller: None },
    Workload { group: "", kind: "PodTemplate", template: &["template"], controller: None },
    Workload {
        group: "",
        kind: "ReplicationController",
        template: &["spec", "template"],
        controller: Some(("v1", "ReplicationController")),
    },
    Workload {
        group: "apps",
        kind: "Deployment",
        template: &["spec", "template"],
        controller: Some(("apps/v1", "ReplicaSet")),
    },
    Workload {
        group: "apps",
        kind: "ReplicaSet",
        template: &["spec", "template"],
        controller: Some(("apps/v1", "ReplicaSet")),
    },
    Workload {
        group: "apps",
        kind: "StatefulSet",
        template: &["spec", "template"],
        controller: Some(("apps/v1", "StatefulSet")),
    },
    Workload {
        group: "apps",
        kind: "DaemonSet",
        template: &["spec", "template"],
        controller: Some(("apps/v1", "DaemonSet")),
    },
    Workload {
        group: "batch",
        kind: "Job",
        template: &["spec", "template"],
        controller: Some(("batch/v1", "Job")),
    },
    Workload {
        group: "batch",
        kind: "CronJob",
        template: &["spec", "jobTemplate", "spec", "template"],
        controller: Some(("batch/v1", "Job")),
    },
];

/// Finds what matters in a document. Objects without a namespace of their own go to the one that is given.
pub(crate) fn find(document: &Value, namespace: &str) -> Vec<Finding> {
    let mut search = Search { namespace, path: Vec::new(), found: Vec::new() };
    if document.is_object() {
        search.object(document, None);
    } else {
        let way_out = match document {
            Value::Array(_) => "; write the objects one after the other, or as the items of a List",
            _ => "",
        };
        let message = format!("expected a Kubernetes object, found {}{way_out}", shape(document));
        search.broken(("", ""), message, true);
    }
    search.found
}

struct Search<'s> {
    namespace: &'s str,
    path: Vec<String>,
    found: Vec<Finding>,
}

impl Search<'_> {
    /// Looks at an object. One in a typed list may leave out what the list says: its `apiVersion` and kind.
    fn object(&mut self, object: &Value, of_list: Option<(&str, &str)>) {
        let listed = of_list.unwrap_or_default();
        let api_version = text(object, "apiVersion").unwrap_or(listed.0);
        let kind = text(object, "kind").unwrap_or(listed.1);
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("", "Namespace") => self.found.extend(namespace(object).map(Finding::Namespace)),
            ("", "List") => self.list(object, None),
            _ => {
                let known = |kind: &str| {
                    WORKLOADS.iter().find(|workload| workload.group == group && workload.kind == kind)
                };
                if let Some(workload) = known(kind) {
                    self.workload(object, workload);
                } else if let Some(of) = kind.strip_suffix("List").filter(|kind| known(kind).is_some()) {
                    self.list(object, Some((api_version, of)));
                } else if object.pointer("/spec/template/spec/containers").is_some_and(Value::is_array) {
                    self.found.push(Finding::Stranger {
                        kind: kind.to_owned(),
                        name: object
                            .get("metadata")
                            .and_then(|metadata| text(metadata, "name"))
                            .unwrap_or_default()
                            .to_owned(),
                        path: self.path.clone(),
                    });
                }
            }
        }
    }

    fn list(&mut self, list: &Value, of: Option<(&str, &str)>) {
        let items = match list.get("items") {
            None | Some(Value::Null) => return,
            Some(Value::Array(items)) => items,
            Some(items) => {
                let message = format!("expected items to be an array, found {}", shape(items));
                return self.broken(("List", ""), message, false);
            }
        };
        self.path.push("items".to_owned());
        for (index, item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            if !item.is_object() {
                self.broken(
                    ("List", ""),
                    format!("expected items[{index}] to be an object, found {}", shape(item)),
                    false,
                );
            } else if of.is_none() && text(item, "kind").is_none() {
                self.broken(("List", ""), format!("items[{index}] has no kind"), false);
            } else {
                self.object(item, of);
            }
            self.path.pop();
        }
        self.path.pop();
    }

    fn workload(&mut self, object: &Value, workload: &Workload) {
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        let name = text(metadata, "name").or(text(metadata, "generateName")).unwrap_or_default();
        let namespace = text(metadata, "namespace").filter(|name| !name.is_empty()).unwrap_or(self.namespace);
        let template = workload.template.iter().try_fold(object, |value, step| value.get(step));
        let Some(template) = template.filter(|template| template.is_object()) else {
            let way = workload.template.join(".");
            let message = match template {
                None | Some(Value::Null) => {
                    format!("there is no {way}, without which the API server refuses it")
                }
                Some(template) => format!("expected {way} to be an object, found {}", shape(template)),
            };
            return self.broken((workload.kind, name), message, false);
        };
        let pod = if workload.template.is_empty() {
            template.clone()
        } else {
            pod(template, name, namespace, workload.controller)
        };
        let misplaced = misplaced(object, template, workload);
        let template = workload.template.iter().map(|&step| step.to_owned());
        self.found.push(Finding::Pod(Box::new(Found {
            kind: workload.kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            object: self.path.clone(),
            path: self.path.iter().cloned().chain(template).collect(),
            misplaced,
            pod,
        })));
    }

    fn broken(&mut self, (kind, name): (&str, &str), message: String, foreign: bool) {
        self.found.push(Finding::Broken(Broken {
            kind: kind.to_owned(),
            name: name.to_owned(),
            path: self.path.clone(),
            message,
            foreign,
        }));
    }
}

/// The annotations that were meant for the Pod and stand elsewhere: on the Deployment itself, which is the commonest
/// slip of all, or among the labels.
fn misplaced(object: &Value, template: &Value, workload: &Workload) -> Vec<Misplaced> {
    let way = [workload.template, &[""]].concat().join(".");
    let belongs = format!("{way}metadata.annotations");
    let keys = |of: &Value, member: &str| -> Vec<String> {
        let members = of.get("metadata").and_then(|metadata| metadata.get(member)).and_then(Value::as_object);
        members.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let known = |key: &String| Name::of(key).is_some_and(|name| Key::named(name.name).is_some());
    let of = |keys: Vec<String>, found: String| {
        let belongs = belongs.clone();
        keys.into_iter().filter(known).map(move |annotation| Misplaced {
            annotation,
            found: found.clone(),
            belongs: belongs.clone(),
        })
    };
    let mut misplaced: Vec<_> = of(keys(template, "labels"), format!("{way}metadata.labels")).collect();
    if !workload.template.is_empty() {
        let kind = workload.kind;
        misplaced.extend(of(keys(object, "annotations"), format!("the {kind}'s own metadata.annotations")));
        misplaced.extend(of(keys(object, "labels"), format!("the {kind}'s own metadata.labels")));
    }
    misplaced
}

/// The Pod that a controller makes from a template.
///
/// Controllers take labels, annotations and finalizers over, and name the Pod themselves (`GetPodFromTemplate`).
/// What comes out wrong here, such as a `metadata` that is no object, the judge will say.
fn pod(template: &Value, name: &str, namespace: &str, controller: Option<(&str, &str)>) -> Value {
    let metadata = match template.get("metadata") {
        None | Some(Value::Null) => json!({}),
        Some(metadata) => metadata.clone(),
    };
    let metadata = match metadata {
        Value::Object(template) => Value::Object(pod_metadata(template, name, namespace, controller)),
        other => other,
    };
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata });
    if let Some(spec) = template.get("spec") {
        pod["spec"] = spec.clone();
    }
    pod
}

fn pod_metadata(
    template: Map<String, Value>,
    name: &str,
    namespace: &str,
    controller: Option<(&str, &str)>,
) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("generateName".to_owned(), format!("{name}-").into());
    metadata.insert("namespace".to_owned(), namespace.into());
    metadata.extend(
        template
            .into_iter()
            .filter(|(key, _)| ["labels", "annotations", "finalizers"].contains(&key.as_str())),
    );
    if let Some((api_version, kind)) = controller {
        let owner = json!([{
            "apiVersion": api_version,
            "kind": kind,
            "name": name,
            "uid": "",
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
        metadata.insert("ownerReferences".to_owned(), owner);
    }
    metadata
}

fn namespace(object: &Value) -> Option<Namespace> {
    let metadata = object.get("metadata")?;
    let texts = |member: &str| {
        let members = metadata.get(member).and_then(Value::as_object);
        members
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    Some(Namespace {
        name: text(metadata, "name")?.to_owned(),
        labels: texts("labels"),
        annotations: texts("annotations"),
    })
}

fn text<'v>(object: &'v Value, member: &str) -> Option<&'v str> {
    object.get(member).and_then(Value::as_str)
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Finding, find};

    fn workload(api_version: &str, kind: &str, spec: &Value) -> Value {
        json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "web", "namespace": "shop" }, "spec": spec })
    }

    fn paths(document: &Value) -> Vec<String> {
        find(document, "default")
            .iter()
            .map(|finding| match finding {
                Finding::Pod(found) => {
                    format!("{}/{} {}/{}", found.kind, found.path.join("."), found.namespace, found.name)
                }
                Finding::Namespace(namespace) => format!("namespace {}", namespace.name),
                Finding::Broken(broken) => format!("broken {} {}", broken.path.join("."), broken.message),
                Finding::Stranger { kind, name, .. } => format!("stranger {kind}/{name}"),
            })
            .collect()
    }

    #[test]
    fn annotations_in_the_wrong_place_are_found() {
        let mut deployment = workload(
            "apps/v1",
            "Deployment",
            &json!({ "template": {
            "metadata": { "labels": { "fermata.dev/drain": "1s" }, "annotations": { "fermata.dev/drain": "2s" } },
            "spec": { "containers": [] },
        } }),
        );
        deployment["metadata"]["annotations"] =
            json!({ "fermata.dev/drain": "3s", "fermata.dev/status": "", "a/b": "" });
        let found = find(&deployment, "default");
        let [Finding::Pod(found)] = &found[..] else { panic!("{found:?}") };
        let places: Vec<_> = found.misplaced.iter().map(|each| each.found.as_str()).collect();
        assert_eq!(places, ["spec.template.metadata.labels", "the Deployment's own metadata.annotations"]);
        assert!(found.misplaced.iter().all(|each| each.belongs == "spec.template.metadata.annotations"));
    }

    #[test]
    fn a_kind_that_is_not_known_is_noticed_if_it_makes_pods() {
        let spec = json!({ "template": { "spec": { "containers": [] } } });
        assert_eq!(paths(&workload("argoproj.io/v1alpha1", "Rollout", &spec)), ["stranger Rollout/web"]);
        assert!(paths(&workload("example.com/v1", "Thing", &json!({}))).is_empty());
    }

    #[test]
    fn every_kind_has_its_template() {
        let template = json!({ "template": { "spec": { "containers": [] } } });
        for (api_version, kind) in [
            ("apps/v1", "Deployment"),
            ("apps/v1", "ReplicaSet"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1beta2", "DaemonSet"),
            ("batch/v1", "Job"),
            ("v1", "ReplicationController"),
        ] {
            let found = paths(&workload(api_version, kind, &template));
            assert_eq!(found, [format!("{kind}/spec.template shop/web")]);
        }
        let cron = workload("batch/v1", "CronJob", &json!({ "jobTemplate": { "spec": template } }));
        assert_eq!(paths(&cron), ["CronJob/spec.jobTemplate.spec.template shop/web"]);
        let template = json!({ "apiVersion": "v1", "kind": "PodTemplate", "template": {} });
        assert_eq!(paths(&template), ["PodTemplate/template default/"]);
        assert_eq!(paths(&json!({ "apiVersion": "v1", "kind": "Pod" })), ["Pod/ default/"]);
    }

    #[test]
    fn other_kinds_and_other_groups_are_none_of_our_business() {
        let template = json!({ "template": {} });
        for (api_version, kind) in [
            ("v1", "Deployment"),
            ("apps.openshift.io/v1", "Deployment"),
            ("apps/v1", "Pod"),
            ("batch.volcano.sh/v1alpha1", "Job"),
            ("v1", "ConfigMap"),
            ("v1", "ConfigMapList"),
            ("", ""),
        ] {
            assert!(paths(&workload(api_version, kind, &template)).is_empty(), "{api_version} {kind}");
        }
    }

    #[test]
    fn lists_are_opened() {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } });
        let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "n" } });
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": [pod, 7, null, {}, space] });
        assert_eq!(
            paths(&list),
            [
                "Pod/items.0 default/a",
                "broken items.1 expected items[1] to be an object, found a number",
                "broken items.2 expected items[2] to be an object, found null",
                "broken items.3 items[3] has no kind",
                "namespace n",
            ]
        );
        let typed = json!({ "apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{ "spec": { "template": {} } }] });
        assert_eq!(paths(&typed), ["Deployment/items.0.spec.template default/"]);
        let empty = json!({ "apiVersion": "v1", "kind": "List", "items": null });
        assert!(paths(&empty).is_empty());
    }

    #[test]
    fn a_controller_makes_the_pod_of_its_template() {
        let spec = json!({ "template": {
            "metadata": { "name": "ignored", "labels": { "a": "b" }, "annotations": null },
            "spec": { "containers": [] },
        } });
        let found = find(&workload("batch/v1", "Job", &spec), "default");
        let [Finding::Pod(found)] = &found[..] else { panic!("{found:?}") };
        let owner = json!({
            "apiVersion": "batch/v1", "kind": "Job", "name": "web", "uid": "", "controller": true, "blockOwnerDeletion": true,
        });
        assert_eq!(
            found.pod,
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "generateName": "web-",
                    "namespace": "shop",
                    "labels": { "a": "b" },
                    "annotations": null,
                    "ownerReferences": [owner],
                },
                "spec": { "containers": [] },
            })
        );
    }

    #[test]
    fn what_holds_no_pod_is_named() {
        assert_eq!(paths(&json!("text")), ["broken  expected a Kubernetes object, found text"]);
        assert_eq!(
            paths(&workload("apps/v1", "Deployment", &json!(null))),
            ["broken  there is no spec.template, without which the API server refuses it"]
        );
        assert_eq!(
            paths(&workload("apps/v1", "Deployment", &json!({ "template": [] }))),
            ["broken  expected spec.template to be an object, found an array"]
        );
    }
}
