//! A cluster that runs Pods, whosever it is.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    assets::{Assets, Binary},
    existing::ExistingCluster,
    namespace::{Afterwards, TestNamespace},
    node::{BUSYBOX, Forward, Image, Node, NodeOptions},
    wait::{self, Seen},
};

/// The context of a cluster that is there already, for tests that would else start a node.
const CONTEXT: &str = "FERMATA_CONTEXT";

/// What gives an OCI archive to the nodes of that cluster; see [`ExistingCluster::reach`].
const LOAD: &str = "FERMATA_LOAD";

/// The Pod by which a Service of a cluster is reached that is not on this machine, and where it listens.
const RELAY: &str = "relay";
const RELAY_PORT: u16 = 8080;

const BOUND: std::time::Duration = std::time::Duration::from_mins(1);

/// A cluster that runs Pods and has [`BUSYBOX`].
#[derive(Debug)]
pub enum Cluster {
    /// A node of our own.
    Node(Box<Node>),
    /// Somebody else's.
    Existing {
        /// It.
        cluster: Box<ExistingCluster>,
        /// The programs to reach it by.
        assets: Assets,
    },
}

/// A port on 127.0.0.1 that leads to one in a cluster, for as long as the value lives.
#[derive(Debug)]
pub struct Reached {
    address: SocketAddr,
    _way: Way,
}

/// What keeps a port open.
#[derive(Debug)]
enum Way {
    Forward { _forward: Forward },
    PortForward { _kubectl: Child },
}

impl Reached {
    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Cluster {
    /// Whether the environment names a cluster that is there already.
    #[must_use]
    pub fn is_given() -> bool {
        text(CONTEXT).is_some()
    }

    /// The cluster that `FERMATA_CONTEXT` names, a context of the user's kubeconfig; else a new node.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, or the node cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        let Some(context) = text(CONTEXT) else {
            return Ok(Self::Node(Box::new(Node::start(NodeOptions::default()).await?)));
        };
        let cluster = ExistingCluster::reach(&context, text(LOAD).as_deref())
            .await
            .with_context(|| format!("{CONTEXT}={context}"))?;
        cluster.load(&Image::busybox(BUSYBOX)?).await?;
        Ok(Self::Existing { cluster: Box::new(cluster), assets: Assets::prepare(&[Binary::Kubectl]).await? })
    }

    /// The node, where it is one of our own.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            Self::Existing { .. } => None,
        }
    }

    /// A new client.
    ///
    /// # Errors
    ///
    /// When called outside a runtime's context.
    pub fn client(&self) -> anyhow::Result<Client> {
        match self {
            Self::Node(node) => node.client(),
            Self::Existing { cluster, .. } => cluster.client(),
        }
    }

    /// A kubeconfig that leads to it.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        match self {
            Self::Node(node) => node.kubeconfig_path().to_owned(),
            Self::Existing { cluster, .. } => cluster.kubeconfig_path(),
        }
    }

    /// kubectl, told to use this cluster.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kubectl(&self) -> anyhow::Result<Command> {
        let program = match self {
            Self::Node(node) => node.control_plane().kubectl(),
            Self::Existing { assets, .. } => assets.path(Binary::Kubectl),
        };
        let mut command = Command::new(program.context("expected kubectl")?);
        command.env("KUBECONFIG", self.kubeconfig_path()).stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Makes an image and gives it to the nodes.
    ///
    /// # Errors
    ///
    /// When they do not get it.
    pub async fn load(&self, image: &Image) -> anyhow::Result<()> {
        match self {
            Self::Node(node) => node.load(image).await,
            Self::Existing { cluster, .. } => cluster.load(image).await,
        }
    }

    /// Gives the nodes the image in an OCI archive, under a name.
    ///
    /// # Errors
    ///
    /// When there is no such archive or they do not get it.
    pub async fn load_image(&self, archive: &Path, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Node(node) => node.load_image(archive, name).await,
            Self::Existing { cluster, .. } => cluster.load_image(archive, name).await,
        }
    }

    /// Makes a namespace whose name begins so.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub async fn namespace(&self, prefix: &str, labels: &[(&str, &str)]) -> anyhow::Result<TestNamespace> {
        match self {
            Self::Node(node) => node.control_plane().namespace(prefix, labels, &[]).await,
            Self::Existing { cluster, .. } => {
                TestNamespace::create(cluster.config(), prefix, labels, &[], true, Afterwards::Deleted).await
            }
        }
    }

    /// Makes a port of a Pod reachable from here.
    ///
    /// # Errors
    ///
    /// When the Pod has no address yet, or it cannot be reached.
    pub async fn reach_pod(&self, namespace: &str, name: &str, port: u16) -> anyhow::Result<Reached> {
        match self {
            Self::Node(node) => {
                let pod = Api::<Pod>::namespaced(node.client()?, namespace).get(name).await?;
                let address =
                    pod.status.and_then(|status| status.pod_ip).context("the Pod has no address")?;
                Ok(Reached::by_forward(node.forward((address.parse::<std::net::IpAddr>()?, port).into())?))
            }
            Self::Existing { .. } => self.port_forward(namespace, name, port).await,
        }
    }

    /// Makes a port of a Service reachable from here, through kube-proxy.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub async fn reach_service(&self, namespace: &str, name: &str, port: u16) -> anyhow::Result<Reached> {
        let service = Api::<Service>::namespaced(self.client()?, namespace).get(name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        if let Self::Node(node) = self {
            let forward = node.forward((address.parse::<std::net::IpAddr>()?, port).into())?;
            return Ok(Reached::by_forward(forward));
        }
        // kubectl would choose one of the Service's Pods and stay with it.
        let pods: Api<Pod> = Api::namespaced(self.client()?, namespace);
        let relay = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": RELAY },
            "spec": { "containers": [{
                "name": RELAY,
                "image": BUSYBOX,
                "command": ["nc", "-ll", "-p", RELAY_PORT.to_string(), "-e", "nc", address, port.to_string()],
            }] },
        });
        pods.patch(RELAY, &PatchParams::apply("fermata-test"), &Patch::Apply(&relay)).await?;
        wait::until("the relay to run", BOUND, async || {
            let status = pods.get(RELAY).await?.status.unwrap_or_default();
            let runs = status.phase.as_deref() == Some("Running");
            Ok(if runs { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await?;
        self.port_forward(namespace, RELAY, RELAY_PORT).await
    }

    async fn port_forward(&self, namespace: &str, pod: &str, port: u16) -> anyhow::Result<Reached> {
        let mut kubectl = self
            .kubectl()?
            .args(["port-forward", "--address=127.0.0.1", "--namespace", namespace, pod, &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run kubectl")?;
        let mut lines = BufReader::new(kubectl.stdout.take().context("expected its output")?).lines();
        let mut errors = BufReader::new(kubectl.stderr.take().context("expected its errors")?).lines();
        let said = lines.next_line().await?.unwrap_or_default();
        let address = said.strip_prefix("Forwarding from ").and_then(|rest| rest.split_once(' '));
        let Some((address, _)) = address else {
            bail!("kubectl port-forward to {pod}: {said}{}", errors.next_line().await?.unwrap_or_default());
        };
        let address = address.parse().with_context(|| format!("kubectl port-forward said {said:?}"))?;
        // It says a line for each connection, and one for each that is closed early. It ends where nobody reads them.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        tokio::spawn(async move { while let Ok(Some(_)) = errors.next_line().await {} });
        Ok(Reached { address, _way: Way::PortForward { _kubectl: kubectl } })
    }

    /// Ends a node of our own, and leaves any other cluster as it is.
    ///
    /// # Errors
    ///
    /// When something of the node is still there in the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Node(node) => node.stop().await,
            Self::Existing { .. } => Ok(()),
        }
    }
}

impl Reached {
    fn by_forward(forward: Forward) -> Self {
        Self { address: forward.address(), _way: Way::Forward { _forward: forward } }
    }
}

fn text(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}
