//! Where the control plane's programs come from.
//!
//! `KUBEBUILDER_ASSETS` names a folder with ready-made ones, as for every other user of envtest. Without it they are
//! built from the Go modules pinned beside this crate, once, into a cache outside the checkout: Kubernetes publishes
//! no small bundle with a controller manager, and a pinned source build is the same on every machine that has Go.

mod build;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// envtest's variable for a folder with ready-made programs.
pub const FOLDER_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// A program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binary {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Runs the built-in controllers: Deployments, Jobs, service accounts.
    KubeControllerManager,
    /// The command-line client.
    Kubectl,
    /// Helm 4, which installs the chart.
    Helm,
    /// Helm 3, for those who still use it.
    Helm3,
    /// Places Pods on nodes.
    KubeScheduler,
    /// Runs a node's Pods.
    Kubelet,
    /// Makes Services reachable on a node.
    KubeProxy,
    /// The container runtime.
    Containerd,
    /// Stands between containerd and each of its Pods.
    ContainerdShim,
    /// containerd's own client, which imports images.
    Ctr,
}

impl Binary {
    /// What tests need where there is no node: a control plane, and Helm.
    pub const ALL: [Self; 6] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::Kubectl,
        Self::Helm,
        Self::Helm3,
    ];

    /// What makes a node, beside the control plane.
    pub const NODE: [Self; 6] = [
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Containerd,
        Self::ContainerdShim,
        Self::Ctr,
    ];

    /// Its file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Helm3 => "helm3",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Containerd => "containerd",
            Self::ContainerdShim => "containerd-shim-runc-v2",
            Self::Ctr => "ctr",
        }
    }
}

/// The programs, ready to run.
#[derive(Debug, Clone)]
pub struct Assets {
    folder: PathBuf,
    paths: BTreeMap<Binary, PathBuf>,
}

impl Assets {
    /// Finds the wanted programs, building what is missing.
    ///
    /// From a folder named by `KUBEBUILDER_ASSETS`, kubectl may be missing, and what setup-envtest does not bring is
    /// built where it is missing.
    ///
    /// # Errors
    ///
    /// When a program is neither there nor can be built; the message says what to do about it.
    pub async fn prepare(wanted: &[Binary]) -> anyhow::Result<Self> {
        match env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()) {
            Some(folder) => Self::from_folder(Path::new(&folder), wanted).await,
            None => Self::from_modules(wanted).await,
        }
    }

    /// The folder that holds the programs; fit for `KUBEBUILDER_ASSETS`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a program, if it was wanted and is there.
    #[must_use]
    pub fn path(&self, binary: Binary) -> Option<&Path> {
        self.paths.get(&binary).map(PathBuf::as_path)
    }

    /// The path of a program that has to be there.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn require(&self, binary: Binary) -> anyhow::Result<&Path> {
        self.path(binary).with_context(|| format!("{} is not in {}", binary.name(), self.folder.display()))
    }

    async fn from_folder(folder: &Path, wanted: &[Binary]) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder)?;
        let mut paths = BTreeMap::new();
        for &binary in wanted {
            let path = folder.join(binary.name());
            if is_executable(&path) {
                paths.insert(binary, path);
                continue;
            }
            match binary {
                Binary::Kubectl => {}
                Binary::Etcd | Binary::KubeApiserver => bail!(
                    "{FOLDER_VARIABLE} is set to {}, which has no executable {}; set it to a folder made by \
                     setup-envtest, or unset it to build the programs from source",
                    folder.display(),
                    binary.name()
                ),
                _ => {
                    let built = Self::from_modules(&[binary]).await?;
                    paths.extend(built.paths);
                }
            }
        }
        Ok(Self { folder, paths })
    }

    async fn from_modules(wanted: &[Binary]) -> anyhow::Result<Self> {
        let mut folder = None;
        let mut paths = BTreeMap::new();
        for bundle in build::Bundle::ALL {
            let wanted: Vec<Binary> =
                wanted.iter().copied().filter(|binary| build::Bundle::of(*binary) == bundle).collect();
            if wanted.is_empty() {
                continue;
            }
            let cache = build::Cache::open(bundle)?;
            let missing: Vec<Binary> =
                wanted.iter().copied().filter(|binary| !is_executable(&cache.path(*binary))).collect();
            if !missing.is_empty() {
                cache.fill(&missing).await?;
            }
            paths.extend(wanted.iter().map(|&binary| (binary, cache.path(binary))));
            folder.get_or_insert_with(|| cache.folder().to_owned());
        }
        Ok(Self { folder: folder.context("expected a program to be wanted")?, paths })
    }
}

/// The sources of cert-manager, for its custom resource definitions.
pub const CERT_MANAGER: &str = "github.com/cert-manager/cert-manager";

/// The sources of the Prometheus operator, for its custom resource definitions.
pub const PROMETHEUS_OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator";

/// The folder with the sources of [`CERT_MANAGER`] or of [`PROMETHEUS_OPERATOR`], as pinned in `modules/crds`.
///
/// # Errors
///
/// When there is no `go`, or it cannot fetch them.
pub async fn source(path: &str) -> anyhow::Result<PathBuf> {
    build::source("crds", path).await
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
