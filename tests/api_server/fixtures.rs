//! Every fixture, created at the real API server.

use std::{collections::BTreeMap, path::Path, process::Command};

use fermata_test_cluster::{ControlPlane, namespace::TestNamespace};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use crate::stage::Stage;

struct Fixture {
    name: String,
    flags: Vec<String>,
    documents: Vec<Value>,
    patches: Vec<Value>,
    /// Whether the API server drops fields that it does not know before anybody else sees them: then admission
    /// judges what is left, and preview the whole.
    pruned: bool,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixtures() -> Vec<Fixture> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    files.into_iter().map(|file| fixture(&file)).collect()
}

fn fixture(file: &Path) -> Fixture {
    let text = std::fs::read_to_string(file).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("# flags: ")).unwrap_or_default();
    let flags: Vec<_> = flags.split_whitespace().map(str::to_owned).collect();
    let preview = Command::new(env!("CARGO_BIN_EXE_fermata"))
        .args(["preview", "--quiet", "-o", "patch"])
        .args(&flags)
        .arg(file)
        .current_dir(folder())
        .output()
        .unwrap();
    let patches = String::from_utf8(preview.stdout).unwrap();
    Fixture {
        name: file.file_stem().unwrap().to_str().unwrap().to_lowercase(),
        flags,
        documents: serde_saphyr::from_multiple(&text).unwrap(),
        pruned: text.contains("# pruned"),
        patches: patches.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    }
}

/// The Pods that the documents stand for, in order, as the controllers would create them.
fn pods(documents: &[Value]) -> Vec<Value> {
    let mut pods = Vec::new();
    for document in documents {
        match document["kind"].as_str().unwrap() {
            "Namespace" | "Service" => {}
            "Pod" => pods.push(document.clone()),
            "List" => pods.extend(self::pods(document["items"].as_array().unwrap())),
            kind => {
                let pointer = match kind {
                    "CronJob" => "/spec/jobTemplate/spec/template",
                    "PodTemplate" => "/template",
                    _ => "/spec/template",
                };
                let mut pod = document.pointer(pointer).unwrap().clone();
                pod["apiVersion"] = "v1".into();
                pod["kind"] = "Pod".into();
                let name = document["metadata"]["name"].as_str().unwrap();
                pod["metadata"]["generateName"] = format!("{name}-").into();
                if kind.ends_with("Job") {
                    pod["metadata"]["ownerReferences"] = json!([{
                        "apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": true,
                        "uid": "3f8e6a2c-5f0e-4f1b-9d59-0c0b7e1a2d3c",
                    }]);
                }
                pods.push(pod);
            }
        }
    }
    pods
}

/// Creates a Pod from its JSON as it is: typed structs would drop what a later Kubernetes knows.
async fn create(client: &Client, namespace: &str, pod: &Value, dry_run: bool) -> kube::Result<Value> {
    let mut pod = pod.clone();
    pod["metadata"].as_object_mut().unwrap().remove("namespace");
    let query = if dry_run { "?dryRun=All" } else { "" };
    let request = Request::post(format!("/api/v1/namespaces/{namespace}/pods{query}"))
        .header("content-type", "application/json")
        .body(pod.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}

/// Puts the volumes, and what each container mounts, in the order of their names: the API server's own plugins add
/// to them before Fermata does, or after.
fn in_order(pod: &Value) -> Value {
    fn sort(list: &mut Value) {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(|item| item["name"].to_string());
        }
    }
    let mut spec = pod["spec"].clone();
    sort(&mut spec["volumes"]);
    for name in ["containers", "initContainers"] {
        for container in spec[name].as_array_mut().into_iter().flatten() {
            sort(&mut container["volumeMounts"]);
        }
    }
    spec
}

/// What is left of a stored Pod when names that the API server makes up are taken out.
fn comparable(pod: &Value) -> Value {
    let text = json!({ "spec": in_order(pod), "annotations": pod["metadata"]["annotations"], "labels": pod["metadata"]["labels"] });
    let mut text = text.to_string();
    while let Some(start) = text.find("kube-api-access-") {
        text.replace_range(start..start + "kube-api-access-".len() + 5, "TOKEN");
    }
    serde_json::from_str(&text).unwrap()
}

fn apply(pod: &Value, patch: &Value) -> Value {
    let mut pod = pod.clone();
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

/// The namespaces that a fixture names, each with a real one in its place.
async fn namespaces(stage: &Stage, fixture: &Fixture) -> BTreeMap<String, TestNamespace> {
    let mut namespaces = BTreeMap::new();
    for document in fixture.documents.iter().filter(|document| document["kind"] == "Namespace") {
        let metadata = &document["metadata"];
        let opted_in = metadata["labels"]["fermata.dev/inject"] == "enabled";
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(metadata["annotations"].clone()).unwrap_or_default();
        let annotations: Vec<_> =
            annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let namespace = stage.namespace(opted_in, &annotations).await;
        namespaces.insert(metadata["name"].as_str().unwrap().to_owned(), namespace);
    }
    namespaces
}

/// A Pod that is accepted as it is, is accepted with its drain; what preview says of it is what is stored; and a
/// dry run gives the same as the real run.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_bare_is_accepted_drained_and_stored_as_previewed() {
    let cluster = ControlPlane::shared().await.unwrap();
    let client = cluster.client().unwrap();
    let bare = cluster.namespace("bare", &[], &[]).await.unwrap();
    let mut stages: BTreeMap<Vec<String>, Stage> = BTreeMap::new();
    let (mut accepted, mut wrapped) = (0, 0);
    let mut refused = Vec::new();
    for fixture in fixtures() {
        if !stages.contains_key(&fixture.flags) {
            let config = |flag: &String| {
                if flag.starts_with("config/") {
                    folder().join(flag).display().to_string()
                } else {
                    flag.clone()
                }
            };
            let flags: Vec<_> = fixture.flags.iter().map(config).collect();
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            stages.insert(fixture.flags.clone(), Stage::new(&flags).await);
        }
        let stage = &stages[&fixture.flags];
        let namespaces = namespaces(stage, &fixture).await;
        let pods = pods(&fixture.documents);
        assert_eq!(pods.len(), fixture.patches.len(), "{}", fixture.name);
        for (index, (pod, patch)) in pods.iter().zip(&fixture.patches).enumerate() {
            let mut pod = pod.clone();
            if pod["metadata"].get("generateName").is_none() {
                pod["metadata"]["name"] = format!("{}-{index}", fixture.name).into();
            }
            let named = pod["metadata"]["namespace"].as_str().unwrap_or_default();
            let system = named.starts_with("kube-");
            let namespace =
                if system { named } else { namespaces.get(named).unwrap_or(&stage.namespace).name() };
            let what = format!("{} #{index}", fixture.name);
            let alone = match create(&client, bare.name(), &pod, true).await {
                Ok(alone) => alone,
                Err(error) => {
                    refused.push(format!("{what}: {error}"));
                    continue;
                }
            };
            if fixture.name.starts_with("e71-deny") {
                let error = create(&client, namespace, &pod, true).await.unwrap_err().to_string();
                assert!(
                    error.contains("fermata.dev/drain") && error.contains("is not a duration"),
                    "{error}"
                );
                continue;
            }
            let previewed = create(&client, bare.name(), &apply(&pod, patch), true)
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let dry = create(&client, namespace, &pod, true)
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            if !fixture.pruned {
                assert_eq!(comparable(&dry), comparable(&previewed), "{what}");
            }
            // The class of service is the API server's own word, and it is said when the Pod is created.
            assert_eq!(dry["status"]["qosClass"], alone["status"]["qosClass"], "{what}");
            wrapped += usize::from(
                dry["spec"]["containers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|container| container["command"][0] == "/fermata/fermata-shim"),
            );
            if !system {
                let real = create(&client, namespace, &pod, false)
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(comparable(&real), comparable(&dry), "{what}");
            }
            accepted += 1;
        }
    }
    println!("{accepted} Pods, {wrapped} of them with the shim as PID 1; refused bare: {refused:#?}");
    assert!(accepted >= 150 && wrapped >= 60, "only {accepted} Pods were accepted bare, {wrapped} wrapped");
    assert!(!refused.iter().any(|refused| refused.starts_with('s')), "{refused:#?}");
}
