//! The control plane as a test uses it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions,
    wait::{self, Seen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::{from_value, json};

fn pod(name: &str) -> anyhow::Result<Pod> {
    Ok(from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "app", "image": "registry.example/app:1" }] },
    }))?)
}

#[tokio::test]
async fn a_pod_is_created_and_read_back() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    ensure!(cluster.server_version().starts_with("v1.37."), "unexpected {}", cluster.server_version());

    let namespace = cluster.namespace("pods", &[("team", "a")], &[("note", "b")]).await?;
    let pods = namespace.pods();
    pods.create(&PostParams::default(), &pod("web")?).await?;
    let stored = pods.get("web").await?;
    let spec = stored.spec.context("expected a spec")?;
    assert_eq!(spec.termination_grace_period_seconds, Some(30), "the API server's default is missing");
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    Ok(())
}

#[tokio::test]
async fn a_deployment_gets_its_pods() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let namespace = cluster.namespace("deployments", &[], &[]).await?;
    let deployment: Deployment = from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "registry.example/app:1" }] },
            },
        },
    }))?;
    Api::namespaced(cluster.client()?, namespace.name()).create(&PostParams::default(), &deployment).await?;

    let pods = namespace.pods();
    wait::until("two Pods of the Deployment", Duration::from_secs(30), async || {
        let count = pods.list(&ListParams::default()).await?.items.len();
        Ok(if count == 2 { Seen::Yes(()) } else { Seen::NotYet(format!("{count} Pods")) })
    })
    .await
}

#[tokio::test]
async fn two_control_planes_do_not_clash_and_leave_nothing_behind() -> anyhow::Result<()> {
    let (one, other) = tokio::try_join!(
        ControlPlane::start(ControlPlaneOptions::default()),
        ControlPlane::start(ControlPlaneOptions::default()),
    )?;
    assert_ne!(one.server_url(), other.server_url());
    let namespace = one.namespace("only-here", &[], &[]).await?;
    namespace.pods().create(&PostParams::default(), &pod("web")?).await?;
    let elsewhere: Api<Pod> = Api::all(other.client()?);
    assert_eq!(elsewhere.list(&ListParams::default()).await?.items.len(), 0);

    let (here, there) = (one.scratch().path().to_owned(), other.scratch().path().to_owned());
    tokio::try_join!(one.stop(), other.stop())?;
    assert!(!here.exists() && !there.exists(), "scratch directories are left");
    Ok(())
}

#[tokio::test]
async fn it_runs_without_a_controller_manager_and_with_options_of_the_api_server() -> anyhow::Result<()> {
    let parent = tempfile::tempdir()?;
    let cluster = ControlPlane::start(ControlPlaneOptions {
        controller_manager: false,
        feature_gates: [("MutatingAdmissionPolicy".to_owned(), true)].into(),
        runtime_config: vec!["admissionregistration.k8s.io/v1beta1=true".to_owned()],
        api_server_args: vec!["--default-not-ready-toleration-seconds=7".to_owned()],
        scratch: Some(parent.path().join("here")),
    })
    .await?;
    assert_eq!(cluster.scratch().path(), parent.path().join("here"));

    // Without the ServiceAccount `default` only a Pod that asks for none could be refused for another reason.
    let namespace = cluster.namespace("bare", &[], &[]).await?;
    let refusal = namespace.pods().create(&PostParams::default(), &pod("web")?).await;
    let refusal = refusal.err().context("expected the Pod to be refused")?.to_string();
    ensure!(refusal.contains("serviceaccount"), "refused for another reason: {refusal}");
    let versions = cluster.client()?.list_api_group_resources("admissionregistration.k8s.io/v1beta1").await?;
    ensure!(!versions.resources.is_empty(), "v1beta1 is not served");

    cluster.stop().await?;
    assert!(!parent.path().join("here").exists());
    Ok(())
}

#[tokio::test]
async fn a_scratch_directory_in_use_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("precious"), "")?;
    let options =
        ControlPlaneOptions { scratch: Some(folder.path().to_owned()), ..ControlPlaneOptions::default() };
    let error = ControlPlane::start(options).await.err().context("expected an error")?;
    ensure!(format!("{error:#}").contains("is not empty"), "{error:#}");
    assert!(folder.path().join("precious").exists());
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_ends_early_is_reported_with_its_log() -> anyhow::Result<()> {
    let started = Instant::now();
    let options = ControlPlaneOptions {
        api_server_args: vec!["--no-such-flag".to_owned()],
        ..ControlPlaneOptions::default()
    };
    let error = format!("{:#}", ControlPlane::start(options).await.err().context("expected an error")?);
    ensure!(error.contains("kube-apiserver ended early"), "{error}");
    ensure!(error.contains("unknown flag: --no-such-flag"), "{error}");
    ensure!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    Ok(())
}
