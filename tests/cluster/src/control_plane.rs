//! etcd, kube-apiserver and kube-controller-manager as one thing that is started, used and stopped.

mod programs;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::{api::core::v1::ServiceAccount, apimachinery::pkg::version::Info};
use kube::{Api, Client, Config, config::AuthInfo};
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    assets::{Assets, Binary},
    credentials::{Authority, Credentials},
    namespace::{Afterwards, TestNamespace},
    network,
    node::{Enclosure, Forward, NODE_NAME},
    ports,
    process::{Process, Program},
    scratch::Scratch,
    wait::{self, Seen},
};

/// How long the whole start may take, building the programs aside.
const START_BOUND: Duration = Duration::from_mins(1);

/// The control plane that the tests of one process share.
static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct ControlPlaneOptions {
    /// Whether to run the controller manager. Without it no controller acts, and no namespace gets its `default`
    /// `ServiceAccount`, which Pods need.
    pub controller_manager: bool,
    /// Feature gates of the API server.
    pub feature_gates: BTreeMap<String, bool>,
    /// API groups and versions to serve or not: `admissionregistration.k8s.io/v1beta1=true`.
    pub runtime_config: Vec<String>,
    /// Further arguments of the API server; they win over the built-in ones.
    pub api_server_args: Vec<String>,
    /// An absent or empty directory to use, and to remove in the end, instead of a temporary one.
    pub scratch: Option<PathBuf>,
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self {
            controller_manager: true,
            feature_gates: BTreeMap::new(),
            runtime_config: Vec::new(),
            api_server_args: Vec::new(),
            scratch: None,
        }
    }
}

impl ControlPlaneOptions {
    pub(crate) fn open_scratch(&self) -> anyhow::Result<Scratch> {
        match &self.scratch {
            Some(path) => Scratch::at(path),
            None => Scratch::create(),
        }
    }
}

/// Where a control plane runs.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) scratch: Scratch,
    /// The node that it is part of; without one it is on this machine's loopback address.
    pub(crate) enclosure: Option<Arc<Enclosure>>,
}

impl Site {
    /// Starts a program with the network of this place.
    fn start(&self, program: Program) -> anyhow::Result<Process> {
        let program = match &self.enclosure {
            Some(enclosure) => enclosure.in_network(program),
            None => program,
        };
        Process::start(&self.scratch, program)
    }
}

/// A running control plane. Dropping it ends its processes and removes its files, in the background;
/// [`ControlPlane::stop`] waits for that.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order of their ending.
    controller_manager: Option<Process>,
    api_server: Process,
    api_server_program: Program,
    etcd: Process,
    /// By which the API server is reached that is part of a node.
    forward: Option<Forward>,
    site: Site,
    assets: Assets,
    credentials: Credentials,
    config: Config,
    server_url: String,
    kubeconfig: PathBuf,
    version: Info,
}

impl ControlPlane {
    /// Starts a control plane, building its programs first if need be, and waits until Pods can be created.
    ///
    /// # Errors
    ///
    /// When the programs cannot be had, one of them ends early, or readiness does not come; with the end of the log.
    pub async fn start(options: ControlPlaneOptions) -> anyhow::Result<Self> {
        // Somebody else's dependencies may bring a second provider; rustls would then refuse to choose.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut wanted = vec![Binary::Etcd, Binary::KubeApiserver, Binary::Kubectl];
        if options.controller_manager {
            wanted.push(Binary::KubeControllerManager);
        }
        let assets = Assets::prepare(&wanted).await?;
        let site = Site { scratch: options.open_scratch()?, enclosure: None };
        Self::start_at(site, assets, &options).await
    }

    /// Starts a control plane at a place of its own.
    pub(crate) async fn start_at(
        site: Site,
        assets: Assets,
        options: &ControlPlaneOptions,
    ) -> anyhow::Result<Self> {
        // On the heap, for it is large, and so would be the future of every test that awaits it.
        Box::pin(Self::start_programs(site, assets, options))
            .await
            .context("failed to start the control plane")
    }

    /// The control plane that the tests of one process share, started on first use.
    ///
    /// Statics are never dropped: it ends with the process, by its supervisors.
    ///
    /// # Errors
    ///
    /// When it does not start; the next caller tries again.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        SHARED.get_or_try_init(|| Self::start(ControlPlaneOptions::default())).await
    }

    async fn start_programs(
        site: Site,
        assets: Assets,
        options: &ControlPlaneOptions,
    ) -> anyhow::Result<Self> {
        let deadline = Instant::now() + START_BOUND;
        let pki = site.scratch.path().join("pki");
        std::fs::create_dir(&pki)?;
        let credentials = Credentials::issue(pki)?;
        if site.enclosure.is_some() {
            credentials.issue_for_node(NODE_NAME)?;
        }

        let etcd = site.start(programs::etcd(&assets, site.scratch.path())?)?;
        let mut attempt = 1;
        let (api_server, api_server_program, forward, config, version) = loop {
            // A node's network is its own, with all ports free.
            let (port, forward) = match &site.enclosure {
                Some(enclosure) => {
                    let port = network::API_SERVER_PORT;
                    (port, Some(enclosure.forward((Ipv4Addr::LOCALHOST, port).into())?))
                }
                None => (ports::free()?, None),
            };
            let program = programs::api_server(&assets, &site, &credentials, port, options)?;
            let api_server = site.start(program.clone())?;
            let seen_at = forward.as_ref().map_or(port, |forward| forward.address().port());
            let config = client_config(&credentials, &format!("https://127.0.0.1:{seen_at}"))?;
            match ready(&config, deadline, &etcd, &api_server).await {
                Ok(version) => break (api_server, program, forward, config, version),
                Err(_) if attempt < ports::ATTEMPTS && ports::was_taken(&api_server.log()) => attempt += 1,
                Err(error) => return Err(error),
            }
        };

        let server_url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let kubeconfig = site.scratch.path().join("kubeconfig");
        credentials.write_kubeconfig("admin", &server_url, &kubeconfig)?;
        let mut control_plane = Self {
            controller_manager: None,
            api_server,
            api_server_program,
            etcd,
            forward,
            site,
            assets,
            credentials,
            config,
            server_url,
            kubeconfig,
            version,
        };
        if options.controller_manager {
            control_plane.start_controller_manager(deadline).await?;
        }
        Ok(control_plane)
    }

    async fn start_controller_manager(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let kubeconfig = self.scratch().path().join("kube-controller-manager.kubeconfig");
        let url = match self.forward {
            Some(_) => format!("https://127.0.0.1:{}", network::API_SERVER_PORT),
            None => self.server_url.clone(),
        };
        self.credentials.write_kubeconfig("kube-controller-manager", &url, &kubeconfig)?;
        let program = programs::controller_manager(&self.assets, &self.credentials, &kubeconfig)?;
        let process = self.site.start(program)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, "default");
        let what = "the controller manager to make the ServiceAccount `default`";
        wait::until(what, remaining(deadline), async || {
            let looked = self.api_server.while_running(accounts.get_opt("default"));
            Ok(match process.while_running(looked).await?? {
                Ok(Some(_)) => Seen::Yes(()),
                Ok(None) => Seen::NotYet("it does not exist".to_owned()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })
        .await
        .with_context(|| process.log_tail())?;
        self.controller_manager = Some(process);
        Ok(())
    }

    /// A kubeconfig with the rights of a cluster administrator.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// A new client with the rights of a cluster administrator.
    ///
    /// A client belongs to the runtime that it was made in, and each `#[tokio::test]` has its own: do not share one
    /// between tests.
    ///
    /// # Errors
    ///
    /// When called outside a runtime's context or with broken credentials.
    pub fn client(&self) -> anyhow::Result<Client> {
        client(&self.config)
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The certificate of the authority that signed the API server's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.credentials.authority.pem()
    }

    /// The authority itself, to issue further client certificates.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.credentials.authority
    }

    /// The path of kubectl, if there is one.
    #[must_use]
    pub fn kubectl(&self) -> Option<&Path> {
        self.assets.path(Binary::Kubectl)
    }

    /// The directory of logs and files, removed in the end; also for what works against this control plane.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.site.scratch
    }

    /// What the API server says of its version, like `v1.37.2`.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.version.git_version
    }

    /// The API server's process, for its log and its process id.
    #[must_use]
    pub fn api_server(&self) -> &Process {
        &self.api_server
    }

    /// Ends the API server alone; its port is then closed, and its data stay.
    ///
    /// # Errors
    ///
    /// When it is still there after KILL.
    pub async fn stop_api_server(&self) -> anyhow::Result<()> {
        self.api_server.stop().await.map(drop)
    }

    /// Starts the API server again, on the same port and the same data, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not get ready; somebody else may have taken its port meanwhile.
    pub async fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server = self.site.start(self.api_server_program.clone())?;
        let deadline = Instant::now() + START_BOUND;
        ready(&self.config, deadline, &self.etcd, &self.api_server).await.map(drop)
    }

    /// Makes a namespace with a name of its own and waits until Pods can be created in it.
    ///
    /// # Errors
    ///
    /// When the API server refuses it or its `ServiceAccount` does not appear.
    pub async fn namespace(
        &self,
        prefix: &str,
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) -> anyhow::Result<TestNamespace> {
        let furnished = self.controller_manager.is_some();
        let afterwards = if self.site.enclosure.is_some() { Afterwards::Deleted } else { Afterwards::Kept };
        TestNamespace::create(&self.config, prefix, labels, annotations, furnished, afterwards).await
    }

    /// A client with the rights of a cluster administrator that calls the API server by another URL.
    pub(crate) fn client_at(&self, url: &str) -> anyhow::Result<Client> {
        client(&client_config(&self.credentials, url)?)
    }

    /// What else is needed to start something beside it.
    pub(crate) fn parts(&self) -> (&Assets, &Credentials, &Scratch) {
        (&self.assets, &self.credentials, &self.site.scratch)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Ends all processes in order, waits until they are gone, and removes all files.
    ///
    /// # Errors
    ///
    /// When something is still there in the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { controller_manager, api_server, etcd, site, .. } = self;
        if let Some(process) = controller_manager {
            process.stop().await?;
        }
        api_server.stop().await?;
        etcd.stop().await?;
        site.scratch.remove().await
    }
}

/// Waits for the API server's own word that it is ready; gives its version.
async fn ready(
    config: &Config,
    deadline: Instant,
    etcd: &Process,
    api_server: &Process,
) -> anyhow::Result<Info> {
    let client = client(config)?;
    let waited = wait::until("the API server's /readyz", remaining(deadline), async || {
        let looked = api_server.while_running(client.request_text(http_get("/readyz")?));
        Ok(match etcd.while_running(looked).await?? {
            Ok(_) => Seen::Yes(()),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    })
    .await;
    // A process that ended early is named with its own log already.
    if api_server.exit_code().is_none() && etcd.exit_code().is_none() {
        waited.with_context(|| format!("{}\n{}", etcd.log_tail(), api_server.log_tail()))?;
    } else {
        waited?;
    }
    Ok(client.apiserver_version().await?)
}

fn http_get(path: &str) -> anyhow::Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

pub(crate) fn client(config: &Config) -> anyhow::Result<Client> {
    Client::try_from(config.clone()).context("failed to make a Kubernetes client")
}

/// Made by hand rather than from the kubeconfig: that would take up a proxy from the environment, which has no way
/// to this machine's loopback.
fn client_config(credentials: &Credentials, server_url: &str) -> anyhow::Result<Config> {
    let mut config = Config::new(server_url.parse()?);
    config.root_cert = Some(vec![credentials.authority.der().to_vec()]);
    config.auth_info = AuthInfo {
        client_certificate: Some(credentials.file("admin.crt")),
        client_key: Some(credentials.file("admin.key")),
        ..AuthInfo::default()
    };
    // A test wants to see a refusal the first time.
    config.default_retry = false;
    Ok(config)
}
