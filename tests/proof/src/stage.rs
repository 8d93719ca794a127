//! The node with everything on it that a cell needs: the applications' images, and Fermata, installed by Helm.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{Helm, Node, NodeOptions, assets::Binary, node::NODE_NAME};
use k8s_openapi::api::core::v1::{Node as NodeObject, NodeCondition};
use kube::Api;

use crate::app::App;

/// The chart's folder.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/fermata");

/// The first port of the proxies.
const FIRST_PORT: u16 = 18_000;

/// What is built outside of this program.
#[derive(Clone, Debug)]
pub struct Builds {
    /// The static program of the applications.
    pub app: PathBuf,
    /// The static program that sends load.
    pub load: PathBuf,
    /// The folder with the archives that `make images` makes.
    pub images: PathBuf,
}

/// The node.
#[derive(Debug)]
pub struct Stage {
    /// It runs the Pods.
    pub node: Node,
    load: PathBuf,
    ports: AtomicU16,
}

impl Stage {
    /// Starts a node, gives it all images, and installs Fermata.
    ///
    /// # Errors
    ///
    /// When something is missing, or Fermata does not get ready.
    pub async fn start(builds: &Builds) -> anyhow::Result<Self> {
        let node = Node::start(NodeOptions::default()).await?;
        for app in App::ALL {
            node.load(&app.image(&builds.app)?).await?;
        }
        let version = env!("CARGO_PKG_VERSION");
        for name in ["fermata", "fermata-shim"] {
            let archive = builds.images.join(format!("{name}.oci.tar"));
            node.load_image(&archive, &format!("fermata/{name}:{version}"))
                .await
                .context("`make images` builds the images")?;
        }
        let stage = Self { node, load: builds.load.clone(), ports: AtomicU16::new(FIRST_PORT) };
        stage.install().await?;
        Ok(stage)
    }

    async fn install(&self) -> anyhow::Result<()> {
        let helm = Helm::prepare(Binary::Helm, Some(self.node.kubeconfig_path())).await?;
        let chart = Path::new(CHART).canonicalize()?;
        helm.success(&[
            "install",
            "fermata",
            &chart.display().to_string(),
            "--namespace=fermata",
            "--create-namespace",
            "--wait",
            "--timeout=2m",
            // A Pod that Fermata has missed would spoil its cell.
            "--set=webhook.failurePolicy=Fail",
        ])
        .await?;
        Ok(())
    }

    /// The program that sends load.
    #[must_use]
    pub fn load(&self) -> &Path {
        &self.load
    }

    /// A port of the node that nobody has.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.fetch_add(1, Ordering::Relaxed)
    }

    /// Fails when the node is gone.
    ///
    /// # Errors
    ///
    /// When its API server does not answer, or the kubelet has not for long.
    pub async fn check(&self) -> anyhow::Result<()> {
        let client = self.node.client()?;
        let node = Api::<NodeObject>::all(client).get(NODE_NAME).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let is_ready = |condition: &NodeCondition| condition.type_ == "Ready" && condition.status == "True";
        ensure!(conditions.iter().any(is_ready), "the node is not ready: {conditions:?}");
        Ok(())
    }

    /// Takes everything away.
    ///
    /// # Errors
    ///
    /// When something is still there.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.node.stop().await
    }
}
