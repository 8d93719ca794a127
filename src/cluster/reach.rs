//! Which cluster, and how it is reached.

use std::{env, path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// Why a cluster that was named cannot be used. That one is not there at all is no error, and neither is one that
/// does not answer. The fault is part of each message, and for that reason no source: a chain of errors would say
/// it twice.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The file says nothing that can be used.
    #[error("cannot use {origin}: {fault}")]
    Kubeconfig {
        /// Where it was named.
        origin: String,
        /// What is wrong with it.
        fault: Box<KubeconfigError>,
    },
    /// The Pod's own access is not as Kubernetes mounts it.
    #[error(
        "KUBERNETES_SERVICE_HOST is set, but the Pod's access to the cluster cannot be used: {0}; mount the service account token, or unset the variable"
    )]
    InCluster(Box<kube::config::InClusterError>),
    /// No client can be made of it.
    #[error("cannot make a client for the cluster: {0}")]
    Client(Box<kube::Error>),
}

/// Stands for no proxy while the configuration is read: kube looks into the environment where a cluster names none,
/// and this build cannot go through a proxy. One that is there for other programs must not end this one.
const NO_PROXY: &str = "http://no-proxy.invalid";

/// A cluster that can be talked to.
pub struct Reached {
    /// The way to it.
    pub client: Client,
    /// Where its API server is, as it was named.
    pub server: String,
    /// The Namespace that this runs in, where it is a Pod in it.
    pub own_namespace: Option<String>,
}

/// The client for the cluster: of the file that is named, of `KUBECONFIG`, or of the Pod that this is; nothing
/// outside of all of them.
///
/// # Errors
///
/// When one of them is there and cannot be used.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Option<Reached>, ReachError> {
    let context = KubeConfigOptions::default();
    if let Some(config) = named(kubeconfig, &context).await? {
        return connect(config, None).map(Some);
    }
    let Some((config, namespace)) = in_cluster()? else { return Ok(None) };
    connect(config, Some(namespace)).map(Some)
}

/// The client for the cluster as kubectl finds it: also in `~/.kube/config`, which goes before the Pod that this is,
/// and by a context other than the current one.
///
/// # Errors
///
/// When one of them is there and cannot be used.
pub async fn command_line_client(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Option<Reached>, ReachError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = named(kubeconfig, &options).await?;
    let file = env::home_dir().map(|home| home.join(".kube/config")).filter(|file| file.is_file());
    if let (None, Some(file)) = (&config, file) {
        let origin = file.display().to_string();
        config = from_kubeconfig(Kubeconfig::read_from(&file).map(Some), origin, &options).await?;
    }
    let (mut config, own_namespace) = match config {
        Some(config) => (config, None),
        None => match in_cluster()? {
            Some((config, namespace)) => (config, Some(namespace)),
            None => return Ok(None),
        },
    };
    // Whoever waits for an answer wants to see the first one: a replica that is not ready says so by a 503.
    config.default_retry = false;
    connect(config, own_namespace).map(Some)
}

/// What `--kubeconfig` or `KUBECONFIG` names.
async fn named(kubeconfig: Option<&Path>, context: &KubeConfigOptions) -> Result<Option<Config>, ReachError> {
    if let Some(path) = kubeconfig {
        let origin = format!("--kubeconfig {}", path.display());
        from_kubeconfig(Kubeconfig::read_from(path).map(Some), origin, context).await
    } else if is_set("KUBECONFIG") {
        from_kubeconfig(Kubeconfig::from_env(), "KUBECONFIG".into(), context).await
    } else {
        Ok(None)
    }
}

/// The access that Kubernetes mounts into a Pod, and the Pod's Namespace.
fn in_cluster() -> Result<Option<(Config, String)>, ReachError> {
    if !runs_in_cluster() {
        return Ok(None);
    }
    let config = Config::incluster().map_err(|error| ReachError::InCluster(Box::new(error)))?;
    let namespace = config.default_namespace.clone();
    Ok(Some((config, namespace)))
}

/// Whether this is a Pod. Of which cluster is another question: it may have been told of a second one.
fn runs_in_cluster() -> bool {
    is_set("KUBERNETES_SERVICE_HOST")
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn connect(mut config: Config, own_namespace: Option<String>) -> Result<Reached, ReachError> {
    config.connect_timeout = Some(Duration::from_secs(5));
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = Client::try_from(config).map_err(|error| ReachError::Client(Box::new(error)))?;
    Ok(Reached { client, server, own_namespace })
}

async fn from_kubeconfig(
    kubeconfig: Result<Option<Kubeconfig>, KubeconfigError>,
    origin: String,
    context: &KubeConfigOptions,
) -> Result<Option<Config>, ReachError> {
    let config = async {
        let Some(mut kubeconfig) = kubeconfig? else { return Ok(None) };
        for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.proxy_url.get_or_insert_with(|| NO_PROXY.to_owned());
        }
        let mut config = Config::from_custom_kubeconfig(kubeconfig, context).await?;
        config.proxy_url.take_if(|proxy| proxy.host() == NO_PROXY.strip_prefix("http://"));
        Ok(Some(config))
    };
    config.await.map_err(|fault| ReachError::Kubeconfig { origin, fault: Box::new(fault) })
}
