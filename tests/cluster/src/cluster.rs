//! `make cluster`: a whole node with Fermata on it, as Helm installs it.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    Helm, Node, NodeOptions,
    assets::Binary,
    node::{BUSYBOX, NODE_NAME},
    webhook::OPT_IN_LABEL,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use serde_json::json;

/// The namespace to try things in.
const SHOP: &str = "shop";

/// A node with Fermata on it.
pub(crate) struct Cluster {
    node: Node,
    /// Keeps Helm's own folders for as long as the node is there.
    _helm: Helm,
}

impl Cluster {
    /// Starts the node, gives it the images, and installs the chart with its default values.
    pub(crate) async fn start(images: &Path, chart: &Path) -> anyhow::Result<Self> {
        let names = ["fermata", "fermata-shim"];
        for name in names {
            let archive = images.join(format!("{name}.oci.tar"));
            ensure!(archive.is_file(), "there is no {}; `make images` makes it", archive.display());
        }
        let chart = std::path::absolute(chart)?.display().to_string();

        let started = Instant::now();
        let node = Node::start(NodeOptions::default()).await?;
        say(started, &format!("a node with Kubernetes {} is ready", node.control_plane().server_version()));
        for name in names {
            let image = format!("fermata/{name}:{}", env!("CARGO_PKG_VERSION"));
            node.load_image(&images.join(format!("{name}.oci.tar")), &image).await?;
        }
        say(started, "the images are loaded");
        let helm = Helm::prepare(Binary::Helm, Some(node.kubeconfig_path())).await?;
        helm.success(&[
            "install",
            "fermata",
            &chart,
            "--namespace=fermata",
            "--create-namespace",
            "--wait",
            "--timeout=2m",
        ])
        .await
        .with_context(|| format!("the logs are in {}", node.scratch().path().display()))?;
        say(started, "helm install: Fermata is ready");
        let shop: Namespace = serde_json::from_value(json!({
            "metadata": { "name": SHOP, "labels": { OPT_IN_LABEL.0: OPT_IN_LABEL.1 } },
        }))?;
        Api::all(node.client()?).create(&PostParams::default(), &shop).await?;
        Ok(Self { node, _helm: helm })
    }

    /// Says how to reach it and what to try.
    pub(crate) fn print(&self) {
        println!();
        print_how_to_reach(&self.node);
        println!("\nThe namespace {SHOP} has opted in. To see a Pod get its ending:\n");
        println!("  kubectl --namespace {SHOP} run app --image {BUSYBOX} --command -- sleep 3600");
        println!("  kubectl --namespace {SHOP} get pod app --output yaml");
        println!("  kubectl --namespace {SHOP} delete pod app");
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.node.stop().await
    }
}

/// Says how to reach a node.
pub(crate) fn print_how_to_reach(node: &Node) {
    println!("export KUBECONFIG={}", node.kubeconfig_path().display());
    if let Some(kubectl) = node.control_plane().kubectl() {
        println!("kubectl: {}", kubectl.display());
    }
    println!(
        "node:    {NODE_NAME}; enter it by nsenter --target {} --net --mount --pid --cgroup",
        node.init()
    );
    println!("image:   {BUSYBOX} is there to be run");
    println!("logs:    {}", node.scratch().path().display());
}

fn say(started: Instant, what: &str) {
    println!("{:5.1} s  {what}", started.elapsed().as_secs_f64());
}
