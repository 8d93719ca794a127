//! `make cluster`: Fermata as Helm installs it, on a whole node of its own or on a cluster that is there already.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    ExistingCluster, Helm, Image, Node, NodeOptions,
    assets::Binary,
    node::{BUSYBOX, NODE_NAME},
    wait::{self, Seen},
    webhook::OPT_IN_LABEL,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// Where Fermata is installed.
const HOME: &str = "fermata";

/// The namespace to try things in.
const SHOP: &str = "shop";

/// The images, by the names that the chart has for them.
const IMAGES: [&str; 2] = ["fermata", "fermata-shim"];

/// How long a namespace may take to be gone, with all Pods in it.
const GONE_BOUND: Duration = Duration::from_mins(3);

/// What is installed from.
pub(crate) struct Source {
    images: PathBuf,
    chart: String,
}

impl Source {
    pub(crate) fn new(images: &Path, chart: &Path) -> anyhow::Result<Self> {
        for name in IMAGES {
            let archive = images.join(format!("{name}.oci.tar"));
            ensure!(archive.is_file(), "there is no {}; `make images` makes it", archive.display());
        }
        Ok(Self { images: images.to_owned(), chart: std::path::absolute(chart)?.display().to_string() })
    }

    /// The archives, and the names of their images.
    fn archives(&self) -> impl Iterator<Item = (PathBuf, String)> {
        IMAGES.into_iter().map(|name| {
            let image = format!("fermata/{name}:{}", env!("CARGO_PKG_VERSION"));
            (self.images.join(format!("{name}.oci.tar")), image)
        })
    }

    /// The chart with its default values, and a namespace that has opted in.
    async fn install(&self, helm: &Helm, client: Client) -> anyhow::Result<()> {
        let namespace = format!("--namespace={HOME}");
        helm.success(&[
            "install",
            "fermata",
            &self.chart,
            &namespace,
            "--create-namespace",
            "--wait",
            "--timeout=2m",
        ])
        .await?;
        let shop: Namespace = serde_json::from_value(json!({
            "metadata": { "name": SHOP, "labels": { OPT_IN_LABEL.0: OPT_IN_LABEL.1 } },
        }))?;
        Api::all(client).create(&PostParams::default(), &shop).await?;
        Ok(())
    }
}

/// A node with Fermata on it.
pub(crate) struct OnNode {
    node: Node,
    /// Keeps Helm's own folders for as long as the node is there.
    _helm: Helm,
}

impl OnNode {
    /// Starts the node, gives it the images, and installs Fermata.
    pub(crate) async fn start(source: &Source) -> anyhow::Result<Self> {
        let started = Instant::now();
        let node = Node::start(NodeOptions::default()).await?;
        say(started, &format!("a node with Kubernetes {} is ready", node.control_plane().server_version()));
        for (archive, image) in source.archives() {
            node.load_image(&archive, &image).await?;
        }
        say(started, "the images are loaded");
        let helm = Helm::prepare(Binary::Helm, Some(node.kubeconfig_path())).await?;
        source
            .install(&helm, node.client()?)
            .await
            .with_context(|| format!("the logs are in {}", node.scratch().path().display()))?;
        say(started, "helm install: Fermata is ready");
        Ok(Self { node, _helm: helm })
    }

    /// Says how to reach it and what to try.
    pub(crate) fn print(&self) {
        println!();
        print_how_to_reach(&self.node);
        print_what_to_try("");
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.node.stop().await
    }
}

/// Fermata on a cluster that is there already.
pub(crate) struct Guest {
    cluster: ExistingCluster,
    helm: Helm,
}

impl Guest {
    /// Gives the cluster the images, and changes nothing else in it.
    ///
    /// # Errors
    ///
    /// When one of the namespaces is there: what is in it is somebody else's, and would be taken away in the end.
    pub(crate) async fn arrive(context: &str, load: Option<&str>, source: &Source) -> anyhow::Result<Self> {
        let started = Instant::now();
        let cluster = ExistingCluster::reach(context, load).await?;
        say(started, &format!("{context} answers, with Kubernetes {}", cluster.server_version()));
        let namespaces: Api<Namespace> = Api::all(cluster.client()?);
        for name in [HOME, SHOP] {
            ensure!(
                namespaces.get_opt(name).await?.is_none(),
                "{context} has a namespace {name} already. This makes it and removes it at the end, so that it must not be there"
            );
        }
        let helm = Helm::prepare(Binary::Helm, Some(&cluster.kubeconfig_path())).await?;
        for (archive, image) in source.archives() {
            cluster.load_image(&archive, &image).await?;
        }
        cluster.load(&Image::busybox(BUSYBOX)?).await?;
        say(started, "the images are loaded; they stay on the nodes");
        Ok(Self { cluster, helm })
    }

    /// Installs Fermata. Whatever comes of it, [`Guest::leave`] takes it away.
    pub(crate) async fn install(&self, source: &Source) -> anyhow::Result<()> {
        println!("\nShould this be killed, these take all away that it leaves:\n");
        let context = self.cluster.context();
        println!("  helm uninstall fermata --namespace {HOME} --kube-context {context}");
        println!("  kubectl --context {context} delete namespace {HOME} {SHOP}\n");
        let started = Instant::now();
        source.install(&self.helm, self.cluster.client()?).await?;
        say(started, "helm install: Fermata is ready");
        Ok(())
    }

    /// Says what to try.
    pub(crate) fn print(&self) {
        print_what_to_try(&format!(" --context {}", self.cluster.context()));
    }

    /// Uninstalls Fermata and removes the namespaces, as far as they are there.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        println!("\nFermata and its namespaces are taken away again ...");
        let namespace = format!("--namespace={HOME}");
        self.helm.success(&["uninstall", "fermata", &namespace, "--ignore-not-found", "--wait"]).await?;
        let namespaces: Api<Namespace> = Api::all(self.cluster.client()?);
        for name in [HOME, SHOP] {
            if namespaces.get_opt(name).await?.is_some() {
                namespaces.delete(name, &DeleteParams::background()).await?;
            }
        }
        for name in [HOME, SHOP] {
            wait::until(&format!("the namespace {name} to be gone"), GONE_BOUND, async || {
                Ok(match namespaces.get_opt(name).await? {
                    None => Seen::Yes(()),
                    Some(namespace) => Seen::NotYet(format!("{:?}", namespace.status)),
                })
            })
            .await?;
        }
        Ok(())
    }
}

fn print_what_to_try(context: &str) {
    println!("\nThe namespace {SHOP} has opted in. To see a Pod get its ending:\n");
    println!("  kubectl{context} --namespace {SHOP} run app --image {BUSYBOX} --command -- sleep 3600");
    println!("  kubectl{context} --namespace {SHOP} get pod app --output yaml");
    println!("  kubectl{context} --namespace {SHOP} delete pod app");
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
