//! A cluster that is there already, such as one of kind or k3d, in place of a node of our own.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{process::Command, sync::Mutex, time::timeout};

use crate::{
    node::{Image, image},
    scratch::Scratch,
};

/// How long an image may take to get to all nodes.
const LOAD_BOUND: Duration = Duration::from_mins(5);

/// How long the API server may take to say its version.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// Somebody else's cluster, reached by a context of their kubeconfig. Nothing is done to it but what is asked for.
#[derive(Debug)]
pub struct ExistingCluster {
    context: String,
    delivery: Delivery,
    config: Config,
    /// Has a kubeconfig in which the context is the current one, for programs that are to use no other.
    scratch: Scratch,
    version: String,
    /// One at a time: what delivers was made for people.
    delivering: Mutex<()>,
}

/// How the nodes of a cluster get images.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Delivery {
    /// `kind load image-archive`
    Kind(String),
    /// `k3d image import`
    K3d(String),
    /// A command for a shell, given the path of the archive behind it.
    Command(String),
}

impl ExistingCluster {
    /// Reaches the cluster of a context of the kubeconfig that kubectl would use: those of `KUBECONFIG`, or `~/.kube/config`.
    /// `load` is a command that gives the OCI archive, whose path is put behind it, to all nodes; kind and k3d are known
    /// by the names of their contexts and need none.
    ///
    /// # Errors
    ///
    /// When there is no such context, nobody answers there, or nothing is known to give its nodes images.
    pub async fn reach(context: &str, load: Option<&str>) -> anyhow::Result<Self> {
        // Somebody else's dependencies may bring a second provider; rustls would then refuse to choose.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut kubeconfig = Kubeconfig::read().context("failed to read the kubeconfig")?;
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|known| known.name.as_str()).collect();
        ensure!(known.contains(&context), "the kubeconfig has no context {context:?}, but {known:?}");
        let delivery = Delivery::of(context, load)?;
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options)
            .await
            .with_context(|| format!("failed to use the context {context}"))?;
        config.default_retry = false;
        let client = Client::try_from(config.clone()).context("failed to make a Kubernetes client")?;
        let version = timeout(ANSWER_BOUND, client.apiserver_version())
            .await
            .with_context(|| format!("{} does not answer", config.cluster_url))?
            .with_context(|| format!("failed to reach {}, the cluster of {context}", config.cluster_url))?
            .git_version;

        let scratch = Scratch::create()?;
        kubeconfig.current_context = Some(context.to_owned());
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(scratch.path().join("kubeconfig"))?;
        // JSON is YAML.
        serde_json::to_writer(file, &kubeconfig)?;
        Ok(Self {
            context: context.to_owned(),
            delivery,
            config,
            scratch,
            version,
            delivering: Mutex::new(()),
        })
    }

    /// The context's name.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// What its API server says of itself, such as `v1.37.2`.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.version
    }

    /// A kubeconfig in which the context is the current one.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.scratch.path().join("kubeconfig")
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A new client with the rights that the context has.
    ///
    /// # Errors
    ///
    /// When called outside a runtime's context.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::try_from(self.config.clone()).context("failed to make a Kubernetes client")
    }

    /// Makes an image and gives it to the nodes.
    ///
    /// # Errors
    ///
    /// When it cannot be delivered; with what the program said that was to do it.
    pub async fn load(&self, image: &Image) -> anyhow::Result<()> {
        let archive = tempfile::Builder::new().suffix(".tar").tempfile_in(self.scratch.path())?;
        image.write(archive.path())?;
        self.deliver(archive.path()).await
    }

    /// Gives the nodes the image in an OCI archive, under a name.
    ///
    /// # Errors
    ///
    /// When there is no such archive or it cannot be delivered.
    pub async fn load_image(&self, archive: &Path, name: &str) -> anyhow::Result<()> {
        let renamed = tempfile::Builder::new().suffix(".tar").tempfile_in(self.scratch.path())?;
        image::rename(archive, name, renamed.path())?;
        self.deliver(renamed.path()).await
    }

    async fn deliver(&self, archive: &Path) -> anyhow::Result<()> {
        let words = self.delivery.words(&archive.display().to_string());
        let (program, args) = words.split_first().context("expected a command")?;
        let _one = self.delivering.lock().await;
        let command = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
        let shown = self.delivery.words("ARCHIVE").join(" ");
        let done = timeout(LOAD_BOUND, command)
            .await
            .with_context(|| format!("{shown} took longer than {} s", LOAD_BOUND.as_secs()))?
            .with_context(|| {
                format!("failed to run {program}, which gives images to the nodes of {}", self.context)
            })?;
        if !done.status.success() {
            let said =
                [done.stderr, done.stdout].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
            bail!("{shown} failed ({}): {}", done.status, said.join("\n"));
        }
        Ok(())
    }
}

impl Delivery {
    fn of(context: &str, load: Option<&str>) -> anyhow::Result<Self> {
        if let Some(command) = load {
            return Ok(Self::Command(command.to_owned()));
        }
        if let Some(name) = context.strip_prefix("kind-") {
            return Ok(Self::Kind(name.to_owned()));
        }
        if let Some(name) = context.strip_prefix("k3d-") {
            return Ok(Self::K3d(name.to_owned()));
        }
        bail!(
            "nothing is known to give images to the nodes of {context:?}, for it is no context of kind or k3d; name a command \
             that does it, such as LOAD='minikube image load': the path of an OCI archive is put behind it"
        )
    }

    fn words(&self, archive: &str) -> Vec<String> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Kind(name) => owned(&["kind", "load", "image-archive", "--name", name, archive]),
            Self::K3d(name) => owned(&["k3d", "image", "import", "--cluster", name, archive]),
            Self::Command(command) => owned(&["sh", "-c", &format!("{command} \"$1\""), "load", archive]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_k3d_are_known_by_their_contexts() -> anyhow::Result<()> {
        let words = |context, load| anyhow::Ok(Delivery::of(context, load)?.words("a.tar").join(" "));
        assert_eq!(words("kind-demo", None)?, "kind load image-archive --name demo a.tar");
        assert_eq!(words("k3d-demo", None)?, "k3d image import --cluster demo a.tar");
        assert_eq!(words("kind-demo", Some("ctr import"))?, "sh -c ctr import \"$1\" load a.tar");
        let refused = words("production", None).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("\"production\"") && error.contains("LOAD=")));
        Ok(())
    }
}
