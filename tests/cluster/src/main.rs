//! `fermata-test-cluster`: a control plane, or a whole node, to try things on by hand.

mod installation;
mod trial;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, Node, NodeOptions,
    assets::{Assets, Binary},
    node,
};
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane on this machine, without root: etcd, kube-apiserver, kube-controller-manager.
#[derive(Debug, Parser)]
#[command(name = "fermata-test-cluster", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the programs that are missing, and print the folder that has them
    Assets {
        /// Also those of a node
        #[arg(long)]
        node: bool,
    },
    /// Start a whole node that runs Pods, print how to reach it, and remove it on Ctrl-C; needs root and Linux
    Node {
        /// An absent or empty directory to use instead of a temporary one; it is removed in the end
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Start a whole node, or use a cluster that is there; install Fermata on it with Helm, print how to reach it, and remove
    /// all on Ctrl-C
    Cluster {
        /// The folder with `fermata.oci.tar` and `fermata-shim.oci.tar`, as `make images` leaves them
        #[arg(long, value_name = "DIR")]
        images: PathBuf,
        /// The chart's folder
        #[arg(long, value_name = "DIR")]
        chart: PathBuf,
        /// The context, in your kubeconfig, of a cluster to use in place of a node: needs no root, and kind or k3d
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
        /// The command that gives an OCI archive, whose path is put behind it, to the nodes of a cluster that is neither kind's
        /// nor k3d's
        #[arg(long, value_name = "COMMAND", requires = "context")]
        load: Option<String>,
    },
    /// Show Fermata at work: apply a sample Deployment and print what became of its Pods
    Try {
        /// The `fermata` executable
        #[arg(long, value_name = "FILE")]
        fermata: PathBuf,
        /// Leave everything running until Ctrl-C, and print how to reach it
        #[arg(long)]
        keep: bool,
    },
    /// Start a control plane, print how to reach it, and remove it on Ctrl-C
    Up {
        /// An absent or empty directory to use instead of a temporary one; it is removed in the end
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
        /// A further argument of the API server; may be given several times
        #[arg(long = "api-server-arg", value_name = "ARG", allow_hyphen_values = true)]
        api_server_args: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(Cli::parse().command)).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a shell reports of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let finished = match command {
        Command::Assets { node } => assets(node).await?,
        Command::Node { scratch } => Box::pin(run_node(scratch)).await?,
        Command::Cluster { images, chart, context, load } => {
            let source = installation::Source::new(&images, &chart)?;
            match context {
                None => Box::pin(show_cluster(&source)).await?,
                Some(context) => Box::pin(visit(&context, load.as_deref(), &source)).await?,
            }
        }
        Command::Try { fermata, keep } => Box::pin(show(&fermata, keep)).await?,
        Command::Up { scratch, api_server_args } => {
            up(ControlPlaneOptions { scratch, api_server_args, ..ControlPlaneOptions::default() }).await?
        }
    };
    if finished.is_none() {
        eprintln!("stopped before it was done; everything it had started is removed");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

async fn assets(node: bool) -> anyhow::Result<Option<()>> {
    let mut wanted = Binary::ALL.to_vec();
    if node {
        wanted.extend(Binary::NODE);
    }
    let Some(assets) = unless_stopped(Assets::prepare(&wanted)).await? else { return Ok(None) };
    println!("{}", assets.folder().display());
    Ok(Some(()))
}

async fn show(fermata: &Path, keep: bool) -> anyhow::Result<Option<()>> {
    let Some(trial) = Box::pin(unless_stopped(trial::run(fermata))).await? else { return Ok(None) };
    if keep {
        trial.print_how_to_reach();
        told_to_stop().await?;
    }
    trial.stop().await?;
    println!("\nEverything is stopped and removed.");
    Ok(Some(()))
}

async fn up(options: ControlPlaneOptions) -> anyhow::Result<Option<()>> {
    let started = Instant::now();
    let Some(control_plane) = unless_stopped(ControlPlane::start(options)).await? else { return Ok(None) };
    println!(
        "Kubernetes {} is ready at {} after {:.1} s",
        control_plane.server_version(),
        control_plane.server_url(),
        started.elapsed().as_secs_f64()
    );
    println!("export KUBECONFIG={}", control_plane.kubeconfig_path().display());
    if let Some(kubectl) = control_plane.kubectl() {
        println!("kubectl: {}", kubectl.display());
    }
    println!("logs:    {}", control_plane.scratch().path().display());
    println!("Ctrl-C stops it and removes everything.");
    told_to_stop().await?;
    control_plane.stop().await.map(Some)
}

async fn run_node(scratch: Option<PathBuf>) -> anyhow::Result<Option<()>> {
    node::check()?;
    let started = Instant::now();
    let options = NodeOptions {
        control_plane: ControlPlaneOptions { scratch, ..ControlPlaneOptions::default() },
        ..NodeOptions::default()
    };
    let Some(node) = unless_stopped(Node::start(options)).await? else { return Ok(None) };
    println!(
        "a node with Kubernetes {} is ready after {:.1} s",
        node.control_plane().server_version(),
        started.elapsed().as_secs_f64()
    );
    installation::print_how_to_reach(&node);
    println!("Ctrl-C stops it and removes everything.");
    told_to_stop().await?;
    node.stop().await.map(Some)
}

async fn show_cluster(source: &installation::Source) -> anyhow::Result<Option<()>> {
    node::check()?;
    let Some(cluster) = Box::pin(unless_stopped(installation::OnNode::start(source))).await? else {
        return Ok(None);
    };
    cluster.print();
    println!("\nCtrl-C stops it and removes everything.");
    told_to_stop().await?;
    Box::pin(cluster.stop()).await?;
    println!("\nEverything is stopped and removed.");
    Ok(Some(()))
}

/// The same on a cluster that is there, which is left as it was whatever happens in between.
async fn visit(
    context: &str,
    load: Option<&str>,
    source: &installation::Source,
) -> anyhow::Result<Option<()>> {
    let Some(guest) = unless_stopped(installation::Guest::arrive(context, load, source)).await? else {
        return Ok(None);
    };
    let installed = Box::pin(unless_stopped(guest.install(source))).await;
    if matches!(installed, Ok(Some(()))) {
        guest.print();
        println!("\nCtrl-C removes it.");
        told_to_stop().await?;
    }
    let left = Box::pin(guest.leave()).await;
    let installed = installed?;
    left?;
    println!("\nEverything is removed.");
    Ok(installed)
}

/// Does something long, unless told to stop meanwhile: then what it has started goes away with this process.
async fn unless_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    tokio::select! {
        // Listens before the work begins, whose first part may take its time without ever waiting: a signal then would end
        // this process on the spot.
        biased;
        stopped = told_to_stop() => stopped.map(|()| None),
        done = work => done.map(Some),
    }
}

/// Resolves at Ctrl-C, TERM, or when the terminal goes away.
async fn told_to_stop() -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("failed to listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
