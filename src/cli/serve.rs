//! `fermata serve`: answers reviews until it is told to end.

mod certificate;

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::{Args, value_parser};
use fermata_core::ServerVersion;
use fermata_stop_plan::Seconds;
use kube::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    background,
    cluster::{self, Cluster, ReachError},
    config::live::{ConfigWatch, LiveSettings},
    server::{
        ConnectionLimits, Connections, Ending, Listener, Transport,
        admin::{self, Admin, Lost},
        mutate::{self, Admission, ReviewLimits},
    },
    telemetry::{
        Conditions, Metrics,
        logs::{self, LogFormat},
        metrics::Refusal,
    },
    tls::{
        self,
        expiry::{self, Late},
    },
};
use certificate::{Certificate, CertificateOptions};

/// How often to look whether files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// How long the work at hand may take after the last connection was accepted.
const FINISH: Duration = Duration::from_secs(5);

/// How many connections there may be on the admin port.
const ADMIN_CONNECTIONS: usize = 64;

/// Options of `fermata serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// Address for reviews, by TLS; the default is every address of either family
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// Address for /livez, /readyz and /metrics, by plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    pub admin_listen: SocketAddr,

    /// Where the certificate comes from
    #[command(flatten)]
    pub certificate: CertificateOptions,

    /// The operator's settings; read again when they change
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How to reach the cluster, if not by KUBECONFIG or as a Pod in it
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The Namespace that this runs in, whose Pods are never touched
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,

    /// The API server's version, instead of asking it
    #[arg(long, value_name = "VERSION")]
    pub server_version: Option<ServerVersion>,

    /// How long to go on answering after a signal to end
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub drain: Seconds,

    /// The most connections for reviews at a time
    #[arg(long, value_name = "COUNT", default_value = "1024")]
    pub max_connections: NonZeroUsize,

    /// Threads that answer reviews [default: one a core, at most 4]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as fermata=debug,kube=info
    #[arg(long, value_name = "LEVEL", env = "FERMATA_LOG", default_value = "info")]
    pub log_level: String,
}

/// Serves until a signal to end, or a fault at the start.
///
/// # Errors
///
/// When something that was asked for cannot be had: a port, a certificate, a file, a cluster.
pub fn run(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let logs = logs::init(options.log_format, &options.log_level)?;
    allow_files();
    let cores = available_parallelism().map_or(1, NonZeroUsize::get).min(4);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(options.workers.map_or(cores, usize::from))
        // For files and for large reviews, of which there are never many.
        .max_blocking_threads(16)
        .thread_name("fermata")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let lost = logs.lost();
    let code = runtime.block_on(serve(options, Arc::new(move || lost.dropped_lines())));
    // Whatever is still under way has had its time.
    runtime.shutdown_background();
    code
}

/// Takes as many open files as the system allows. The soft limit is there for programs that use `select`, and often
/// too low for the connections that are allowed here.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Without a cluster the config file and the Pods have their say, and that is all.
fn go_without_cluster(conditions: &Conditions) {
    tracing::warn!("no cluster: labels and annotations of Namespaces are not read; --kubeconfig names one");
    conditions.namespaces.absent("not watched: no cluster");
    conditions.version.absent("not asked: no cluster");
}

async fn serve(options: ServeOptions, log_lines_lost: Lost) -> anyhow::Result<ExitCode> {
    let ServeOptions {
        listen,
        admin_listen,
        certificate,
        config,
        kubeconfig,
        own_namespace,
        server_version,
        drain,
        max_connections,
        workers: _,
        log_format: _,
        log_level: _,
    } = options;
    let mut signals = Signals::catch()?;
    let metrics = Arc::new(Metrics::default());
    let conditions = Conditions::default();

    // Whatever can be wrong with the options is found before anything is started.
    let (settings, config_watch) = match config {
        Some(path) => {
            let watch = ConfigWatch::start(path, Arc::clone(&metrics), Arc::clone(&conditions.config))?;
            (watch.live(), Some(watch))
        }
        None => (Arc::new(LiveSettings::default()), None),
    };
    let (client, own_namespace) = reach(kubeconfig.as_deref(), own_namespace).await?;
    let mut certificate = Certificate::new(certificate, own_namespace.as_deref(), &metrics)?;
    let files = certificate.files.take();
    let holder = Arc::clone(&certificate.holder);
    let keeper = certificate.keeper(client.as_ref(), &conditions, &metrics)?;
    if holder.current().is_some() {
        expiry::report(&holder, Late::FROM_ELSEWHERE, &metrics, &conditions.tls);
    }
    let tls = tls::server_config(holder).context("cannot set up TLS")?;
    let reviews_port = Listener::bind(listen, "--listen")?;
    let admin_port = Listener::bind(admin_listen, "--admin-listen")?;

    if let Some(watch) = config_watch {
        tokio::spawn(watch.run(LOOK));
    }
    if let Some(watch) = files {
        tokio::spawn(watch.run(LOOK, Arc::clone(&conditions.tls)));
    }
    if let Some(keeper) = keeper {
        background::keep("authority", Arc::clone(&metrics), move || keeper.clone().run());
    }
    let cluster = Arc::new(Cluster::new(client.as_ref(), own_namespace, server_version, &metrics));
    if let Some(client) = client {
        let (cluster, conditions, counts) = (Arc::clone(&cluster), conditions.clone(), Arc::clone(&metrics));
        background::keep("cluster", Arc::clone(&metrics), move || {
            Arc::clone(&cluster).follow(client.clone(), conditions.clone(), Arc::clone(&counts))
        });
    } else {
        go_without_cluster(&conditions);
    }

    let (ending, admin_ending) = (Ending::default(), Ending::default());
    let limits = ConnectionLimits { connections: max_connections.get(), ..ConnectionLimits::default() };
    let connections = Connections::counting(limits, metrics.connections_shed.clone());
    let admission =
        Arc::new(Admission::new(settings, cluster, Arc::clone(&metrics), ReviewLimits::default()));
    let admin = Admin {
        conditions: conditions.clone(),
        metrics: Arc::clone(&metrics),
        connections: Arc::clone(&connections),
        admission: Arc::clone(&admission),
        log_lines_lost,
    };
    tracing::info!(
        reviews = %reviews_port.address(),
        admin = %admin_port.address(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let transport = Transport::tls(tls, &metrics);
    let router = mutate::router(Arc::clone(&admission));
    let crowded = move || admission.crowded();
    let mut reviews =
        tokio::spawn(reviews_port.serve(transport, connections, router, crowded, ending.clone()));
    let admin_limits = ConnectionLimits { connections: ADMIN_CONNECTIONS, ..limits };
    let admin_connections = Connections::counting(admin_limits, metrics.connections_shed.clone());
    let crowded = move || metrics.refused(Refusal::AdminConnections);
    let router = admin::router(admin);
    tokio::spawn(admin_port.serve(Transport::Plain, admin_connections, router, crowded, admin_ending));

    let first = unless_ended(&mut reviews, signals.next()).await?;
    tracing::info!(signal = first.name(), %drain, "ending; a second signal ends at once");
    conditions.serving.failed(format!("draining after {}", first.name()));
    let drain = Duration::from_secs(drain.get().into());
    tokio::spawn(async move { ending.run(drain, FINISH).await });
    tokio::select! {
        biased;
        second = signals.next() => {
            tracing::warn!(signal = second.name(), "leaving at once");
            return Ok(ExitCode::from(second.exit_code()));
        }
        // Ends by itself once nothing is left to do, or is cut off at the last step.
        ended = reviews => ended.map_err(|fault| no_reviews(&fault))?,
    }
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// Waits for something for as long as reviews are accepted: without them nothing is left to wait for, and only a
/// restart helps, which the end of the program brings about.
async fn unless_ended<T>(reviews: &mut JoinHandle<()>, other: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        done = other => Ok(done),
        ended = reviews => Err(match ended {
            Ok(()) => no_reviews(&"it has ended"),
            Err(fault) => no_reviews(&fault),
        }),
    }
}

/// Says that the task has gone that accepts reviews.
fn no_reviews(why: &impl fmt::Display) -> anyhow::Error {
    tracing::error!(%why, "reviews are not accepted any more; leaving, to be started anew");
    anyhow!("reviews are not accepted any more: {why}")
}

/// The client for the cluster, and the Namespace that this runs in: as given, or as the Pod's own access names it.
async fn reach(
    kubeconfig: Option<&Path>,
    own_namespace: Option<String>,
) -> Result<(Option<Client>, Option<String>), ReachError> {
    let (client, namespace) = cluster::client(kubeconfig)
        .await?
        .map_or((None, None), |reached| (Some(reached.client), reached.own_namespace));
    // An empty one is what a manifest gives that means to fill the variable in and does not.
    Ok((client, own_namespace.filter(|name| !name.is_empty()).or(namespace)))
}

/// A signal to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Interrupt,
    Terminate,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
        }
    }

    /// What a shell reports for a program that the signal has killed.
    const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signals to end, caught from the first moment on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.interrupt.recv() => End::Interrupt,
            _ = self.terminate.recv() => End::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::unless_ended;

    #[tokio::test]
    async fn a_panic_of_what_accepts_reviews_ends_the_wait_for_a_signal() {
        let mut panics = tokio::spawn(async { panic!("on purpose") });
        let error = unless_ended(&mut panics, pending::<()>()).await.unwrap_err().to_string();
        assert!(error.contains("reviews are not accepted any more: ") && error.contains("panic"), "{error}");
        let mut accepts = tokio::spawn(pending());
        assert_eq!(unless_ended(&mut accepts, async { 1 }).await.unwrap(), 1);
        accepts.abort();
    }
}
