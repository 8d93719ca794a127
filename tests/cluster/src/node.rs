//! A whole node: the control plane, and beside it a scheduler, containerd, a kubelet and kube-proxy, so that Pods
//! run, Services lead to them, and their endings can be watched.
//!
//! It lives in network, mount and PID namespaces of its own and in cgroups of its own, so that nodes can be had side
//! by side and nothing of them is left when they, or the process that started them, end. It needs Linux, root, and
//! some packages ([`check`] names them).

mod enclosure;
mod forward;
pub(crate) mod image;
mod prerequisites;
mod programs;

use std::{ffi::OsStr, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};
use tokio::time::{Instant, timeout};

pub(crate) use enclosure::Enclosure;
pub use forward::Forward;
pub use image::{BUSYBOX, Image};
pub use prerequisites::check;

use crate::{
    assets::{Assets, Binary},
    control_plane::{ControlPlane, ControlPlaneOptions, Site},
    network,
    process::Process,
    scratch::Scratch,
    wait::{self, Seen},
};

/// The name of the node.
pub const NODE_NAME: &str = "node";

/// How long the node may take to be ready once the control plane is.
const READY_BOUND: Duration = Duration::from_mins(1);

/// How long containerd may take to answer, and to import an image.
const IMPORT_BOUND: Duration = Duration::from_mins(1);

/// What to start, and how.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// The control plane.
    pub control_plane: ControlPlaneOptions,
    /// Further arguments of the kubelet; they win over the built-in ones.
    pub kubelet_args: Vec<String>,
}

/// A running node. Dropping it ends all of it and removes its files, in the background; [`Node::stop`] waits for that.
#[derive(Debug)]
pub struct Node {
    // In the order of their ending.
    proxy: Process,
    scheduler: Process,
    kubelet: Process,
    containerd: Process,
    enclosure: Arc<Enclosure>,
    control_plane: ControlPlane,
}

impl Node {
    /// Starts a node, building its programs first if need be, and waits until it is ready to run Pods.
    ///
    /// # Errors
    ///
    /// When this machine cannot have one (see [`check`]), a program ends early, or readiness does not come.
    pub async fn start(options: NodeOptions) -> anyhow::Result<Self> {
        check()?;
        // Somebody else's dependencies may bring a second provider; rustls would then refuse to choose.
        rustls::crypto::ring::default_provider().install_default().ok();
        let wanted: Vec<Binary> =
            [Binary::Etcd, Binary::KubeApiserver, Binary::KubeControllerManager, Binary::Kubectl]
                .into_iter()
                .chain(Binary::NODE)
                .collect();
        let assets = Assets::prepare(&wanted).await?;
        Box::pin(Self::start_programs(assets, options)).await.context("failed to start the node")
    }

    async fn start_programs(assets: Assets, options: NodeOptions) -> anyhow::Result<Self> {
        let scratch = options.control_plane.open_scratch()?;
        let enclosure = Arc::new(Enclosure::start(&scratch).await?);
        let containerd = start_containerd(&assets, &scratch, &enclosure)?;
        let archive = scratch.path().join("busybox.tar");
        let ctr = assets.require(Binary::Ctr)?.to_owned();

        let site = Site { scratch, enclosure: Some(Arc::clone(&enclosure)) };
        let (control_plane, imported) = tokio::join!(
            Box::pin(ControlPlane::start_at(site, assets, &options.control_plane)),
            containerd.while_running(async {
                Image::busybox(BUSYBOX)?.write(&archive)?;
                import(&enclosure, &ctr, BUSYBOX, &archive).await
            })
        );
        let control_plane = control_plane?;
        imported?.with_context(|| containerd.log_tail())?;

        let (assets, credentials, scratch) = control_plane.parts();
        let kubeconfig = |user: &str| {
            let path = scratch.path().join(format!("{user}.kubeconfig"));
            let server = format!("https://127.0.0.1:{}", network::API_SERVER_PORT);
            credentials.write_kubeconfig(user, &server, &path).map(|()| path)
        };
        let mut program = programs::kubelet(assets, scratch.path(), credentials, &kubeconfig("kubelet")?)?;
        program.args.extend(options.kubelet_args);
        let kubelet = Process::start(scratch, enclosure.in_all(program))?;
        let program = programs::scheduler(assets, &kubeconfig("kube-scheduler")?)?;
        let scheduler = Process::start(scratch, enclosure.in_network(program))?;
        let program = programs::proxy(assets, &kubeconfig("kube-proxy")?)?;
        let proxy = Process::start(scratch, enclosure.in_all(program))?;

        let node = Self { proxy, scheduler, kubelet, containerd, enclosure, control_plane };
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// The kubelet says that it is ready, and the API server can be reached by its Service's address, which tells that
    /// kube-proxy is at work.
    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.client()?);
        let service = self.forward(SocketAddr::new(network::API_SERVICE_ADDRESS.parse()?, 443))?;
        let client = self.control_plane.client_at(&format!("https://{}", service.address()))?;
        let deadline = Instant::now() + READY_BOUND;
        let waited = wait::until("the node to be ready", READY_BOUND, async || {
            for process in [&self.containerd, &self.kubelet, &self.scheduler, &self.proxy] {
                process.check_running()?;
            }
            Ok(match nodes.get_opt(NODE_NAME).await? {
                Some(node) => readiness(&node),
                None => Seen::NotYet("the kubelet has not registered it".to_owned()),
            })
        })
        .await;
        waited.with_context(|| format!("{}\n{}", self.kubelet.log_tail(), self.containerd.log_tail()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = wait::until("a Service to be reachable", left, async || {
            self.proxy.check_running()?;
            Ok(match client.apiserver_version().await {
                Ok(_) => Seen::Yes(()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })
        .await;
        waited.with_context(|| self.proxy.log_tail())
    }

    /// The control plane, which is reachable from outside the node as any other.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// A new client with the rights of a cluster administrator; see [`ControlPlane::client`].
    ///
    /// # Errors
    ///
    /// When called outside a runtime's context.
    pub fn client(&self) -> anyhow::Result<Client> {
        self.control_plane.client()
    }

    /// A kubeconfig with the rights of a cluster administrator, for use outside the node.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        self.control_plane.kubeconfig_path()
    }

    /// The scratch directory, which has all the logs.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        self.control_plane.scratch()
    }

    /// Makes an address of the node's network, that of a Pod or a Service too, reachable at a port on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port is free or the node is gone.
    pub fn forward(&self, to: SocketAddr) -> anyhow::Result<Forward> {
        self.enclosure.forward(to)
    }

    /// The process id, seen from outside, of process 1 of its namespaces.
    #[must_use]
    pub fn init(&self) -> u32 {
        self.enclosure.init()
    }

    /// A command that runs inside: the node's network, mounts and processes. Paths have to be absolute, for the working
    /// directory is not kept.
    pub fn command(&self, program: impl AsRef<OsStr>) -> tokio::process::Command {
        self.enclosure.command(Path::new(program.as_ref()))
    }

    /// Runs a command inside and gives what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// When it cannot be run or fails; with what it wrote.
    pub async fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let (program, args) = words.split_first().context("expected a command")?;
        output(self.command(program).args(args)).await
    }

    /// Makes an image and gives it to the node.
    ///
    /// # Errors
    ///
    /// When containerd refuses it.
    pub async fn load(&self, image: &Image) -> anyhow::Result<()> {
        let archive = tempfile::Builder::new().suffix(".tar").tempfile_in(self.scratch().path())?;
        image.write(archive.path())?;
        let (assets, _, _) = self.control_plane.parts();
        import(&self.enclosure, assets.require(Binary::Ctr)?, image.name(), archive.path()).await
    }

    /// Gives the node the image in an OCI archive, under a name.
    ///
    /// # Errors
    ///
    /// When there is no such archive or containerd refuses it.
    pub async fn load_image(&self, archive: &Path, name: &str) -> anyhow::Result<()> {
        let (assets, _, _) = self.control_plane.parts();
        let renamed = tempfile::Builder::new().suffix(".tar").tempfile_in(self.scratch().path())?;
        image::rename(archive, name, renamed.path())?;
        import(&self.enclosure, assets.require(Binary::Ctr)?, name, renamed.path()).await
    }

    /// The kubelet's process. It stands for `nsenter`: a signal does not reach the kubelet itself.
    #[must_use]
    pub fn kubelet(&self) -> &Process {
        &self.kubelet
    }

    /// containerd's process; as for [`Node::kubelet`].
    #[must_use]
    pub fn containerd(&self) -> &Process {
        &self.containerd
    }

    /// Ends everything, waits until it is gone, and removes all files and cgroups.
    ///
    /// # Errors
    ///
    /// When something is still there in the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { proxy, scheduler, kubelet, containerd, enclosure, control_plane } = self;
        enclosure.stop().await?;
        for process in [proxy, scheduler, kubelet, containerd] {
            process.stop().await?;
        }
        drop(enclosure);
        control_plane.stop().await
    }
}

fn start_containerd(assets: &Assets, scratch: &Scratch, enclosure: &Enclosure) -> anyhow::Result<Process> {
    let program = programs::containerd(assets, scratch.path(), enclosure.snapshotter())?;
    Process::start(scratch, enclosure.in_all(program))
}

fn readiness(node: &NodeObject) -> Seen<()> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    match ready {
        Some(condition) if condition.status == "True" => Seen::Yes(()),
        Some(condition) => Seen::NotYet(condition.message.clone().unwrap_or_default()),
        None => Seen::NotYet("it has not said so".to_owned()),
    }
}

/// Imports an image and waits until the kubelet can see it.
async fn import(enclosure: &Enclosure, ctr: &Path, name: &str, archive: &Path) -> anyhow::Result<()> {
    let name = image::qualified(name);
    let ctr = |args: &[&str]| {
        let mut command = enclosure.command(ctr);
        command.args(["--namespace", "k8s.io", "images"]).args(args);
        command
    };
    let path = archive.display().to_string();
    let import = ["import", "--snapshotter", enclosure.snapshotter(), &path];
    let deadline = Instant::now() + IMPORT_BOUND;
    wait::until(&format!("containerd to import {name}"), IMPORT_BOUND, async || {
        enclosure.check_running()?;
        Ok(match output(&mut ctr(&import)).await {
            Ok(_) => Seen::Yes(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await?;
    // The part of containerd that serves the kubelet hears of it a moment later, and then puts its label on.
    let seen = format!("name=={name},labels.\"io.cri-containerd.image\"==managed");
    let left = deadline.saturating_duration_since(Instant::now());
    wait::until(&format!("{name} to be seen"), left, async || {
        let list = output(&mut ctr(&["list", "--quiet", &seen])).await?;
        Ok(if list.trim() == name { Seen::Yes(()) } else { Seen::NotYet(list) })
    })
    .await
}

async fn output(command: &mut tokio::process::Command) -> anyhow::Result<String> {
    let done = timeout(IMPORT_BOUND, command.output()).await.context("it did not end in time")??;
    if !done.status.success() {
        let said = [done.stderr, done.stdout].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        bail!("{:?} failed ({}): {}", command.as_std(), done.status, said.join("\n"));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
