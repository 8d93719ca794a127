//! What the API server stores when Fermata has a say.

use std::{process::Command, time::Duration};

use fermata_test_cluster::{
    http,
    wait::{self, Seen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

use crate::{
    injector::CONTAINER,
    stage::{STATUS, Stage, pod, typed},
};

fn sleep(pod: &Pod, container: &str) -> Option<i64> {
    let containers = &pod.spec.as_ref().unwrap().containers;
    let container = containers.iter().find(|each| each.name == container).unwrap();
    Some(container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref()?.seconds)
}

fn grace(pod: &Pod) -> i64 {
    pod.spec.as_ref().unwrap().termination_grace_period_seconds.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_stored_with_its_drain() {
    let stage = Stage::new(&[]).await;
    let pods = stage.namespace.pods();
    pods.create(&PostParams::default(), &typed(&pod("plain", &json!({})))).await.unwrap();
    let stored = pods.get("plain").await.unwrap();
    assert_eq!((sleep(&stored, "app"), grace(&stored)), (Some(15), 45));
    let status: serde_json::Value =
        serde_json::from_str(&stored.metadata.annotations.unwrap()[STATUS]).unwrap();
    assert_eq!(status["drain"]["app"], "15s");
    assert_eq!(status["gracePeriodSeconds"], 45);
}

/// A Namespace can be labelled, annotated and filled in one go: its annotations count for its very first Pod.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_annotation_counts_for_the_first_pod_already() {
    let stage = Stage::new(&[]).await;
    for drain in 20..25 {
        let namespace = stage.namespace(true, &[("fermata.dev/drain", &format!("{drain}s"))]).await;
        let pods = namespace.pods();
        let stored = pods.create(&PostParams::default(), &typed(&pod("first", &json!({})))).await.unwrap();
        assert_eq!((sleep(&stored, "app"), grace(&stored)), (Some(drain), 30 + drain));
    }
}

/// Annotations of a Namespace can change while Fermata runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_namespace_annotation_counts_soon() {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::{Patch, PatchParams};
    let stage = Stage::new(&[]).await;
    let namespaces: Api<Namespace> = Api::all(stage.cluster.client().unwrap());
    let change = json!({ "metadata": { "annotations": { "fermata.dev/drain": "33s" } } });
    namespaces.patch(stage.namespace.name(), &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let pods = stage.namespace.pods();
    let dry_run = PostParams { dry_run: true, field_manager: None };
    wait::until("the new drain", Duration::from_secs(30), async || {
        let answer = pods.create(&dry_run, &typed(&pod("later", &json!({})))).await?;
        let drain = sleep(&answer, "app");
        Ok(if drain == Some(33) { Seen::Yes(()) } else { Seen::NotYet(format!("{drain:?}")) })
    })
    .await
    .unwrap();
}

/// The API server calls webhooks in the order of their configurations' names: `fermata` before `z-mesh`, which
/// adds a container, and then `fermata` once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_another_webhook_adds_is_drained_and_the_grace_period_paid_once() {
    let stage = Stage::new(&[]).await;
    let _mesh = stage.mesh().await;
    let pods = stage.namespace.pods();
    let stored = pods.create(&PostParams::default(), &typed(&pod("meshed", &json!({})))).await.unwrap();
    assert_eq!(sleep(&stored, "app"), Some(15));
    assert_eq!(sleep(&stored, CONTAINER), Some(15));
    assert_eq!(grace(&stored), 45);
    let status: serde_json::Value =
        serde_json::from_str(&stored.metadata.annotations.unwrap()[STATUS]).unwrap();
    assert_eq!(status["drain"], json!({ "app": "15s", CONTAINER: "15s" }));
}

/// The sample goes through the controllers: Deployment, ReplicaSet, Pods.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_deployment_are_stored_with_their_drains() {
    let stage = Stage::new(&[]).await;
    let sample = include_str!("../../deploy/samples/deployment.yaml");
    let deployment: Deployment = serde_saphyr::from_str(sample).unwrap();
    let client = stage.cluster.client().unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client, stage.namespace.name());
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let pods = stage.namespace.pods();
    let pods = wait::until("two Pods", Duration::from_secs(30), async || {
        let pods = pods.list(&ListParams::default()).await?.items;
        Ok(if pods.len() == 2 { Seen::Yes(pods) } else { Seen::NotYet(format!("{} Pods", pods.len())) })
    })
    .await
    .unwrap();
    for pod in pods {
        assert_eq!((sleep(&pod, "shop"), sleep(&pod, "exporter"), grace(&pod)), (Some(15), Some(5), 75));
    }
}

/// Older API servers than this one cannot be had here, but Fermata can be told that this is one.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_api_server_gets_no_native_sleep() {
    let stage = Stage::new(&["--server-version", "1.29"]).await;
    let pods = stage.namespace.pods();
    let stored = pods.create(&PostParams::default(), &typed(&pod("old", &json!({})))).await.unwrap();
    assert_eq!((sleep(&stored, "app"), grace(&stored)), (None, 30));
    let page =
        http::get(&format!("http://127.0.0.1:{}/metrics", stage.fermata.ports().admin)).await.unwrap().body;
    let counted =
        page.lines().find_map(|line| line.strip_prefix(r#"fermata_containers_total{outcome="needs-shim"} "#));
    assert!(counted.is_some_and(|count| count != "0"), "{page}");
    assert!(stored.metadata.annotations.unwrap()[STATUS].contains("needs-shim"));
}

/// What a person sees who makes a mistake: the Pod starts, and `kubectl` says what is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_told_to_whoever_uses_kubectl() {
    let stage = Stage::new(&[]).await;
    let manifest = stage.files.path("mistake.json");
    let mistake = pod("mistaken", &json!({ "metadata": { "annotations": { "fermata.dev/drain": "soon" } } }));
    std::fs::write(&manifest, mistake.to_string()).unwrap();
    // An envtest folder of the user's own always has kubectl.
    let kubectl = stage.cluster.kubectl().expect("kubectl among the assets");
    let output = Command::new(kubectl)
        .args(["create", "--namespace", stage.namespace.name(), "--filename"])
        .arg(&manifest)
        .env("KUBECONFIG", stage.cluster.kubeconfig_path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(
            "Warning: fermata: fermata.dev/drain: \"soon\" is not a duration; use a duration such as 15s"
        ),
        "{said}"
    );
    let stored = stage.namespace.pods().get("mistaken").await.unwrap();
    assert_eq!(sleep(&stored, "app"), Some(15));
}
