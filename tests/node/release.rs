//! A node, and Fermata on it by Helm.

use std::{env, path::Path, time::Duration};

use fermata_test_cluster::{
    Cluster, Helm, Image,
    assets::Binary,
    wait::{self, Seen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, api::ListParams};

/// Where it is installed.
pub(crate) const NAMESPACE: &str = "fermata";

pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/fermata");
const IMAGE: &str = concat!("fermata/fermata:", env!("CARGO_PKG_VERSION"));
pub(crate) const BOUND: Duration = Duration::from_mins(2);

/// An installation by the chart's default values.
pub(crate) struct Release {
    pub(crate) cluster: Cluster,
    pub(crate) helm: Helm,
}

impl Release {
    pub(crate) async fn install(cluster: Cluster) -> Self {
        load_image(&cluster).await;
        let helm = Helm::prepare(Binary::Helm, Some(&cluster.kubeconfig_path())).await.unwrap();
        let release = Self { cluster, helm };
        release.install_again().await;
        release
    }

    /// By the chart's default values.
    pub(crate) async fn install_again(&self) {
        self.run(&["install", "fermata", CHART, "--create-namespace", "--wait", "--timeout=2m"]).await;
    }

    pub(crate) async fn uninstall(&self) {
        self.run(&["uninstall", "fermata"]).await;
    }

    /// Waits until the Deployment has so many replicas as it wants them, and no others are left.
    pub(crate) async fn until_ready(&self, replicas: usize) {
        let deployments = self.deployments();
        let count = |given: Option<i32>| usize::try_from(given.unwrap_or_default()).unwrap();
        wait::until("the replicas to be ready", BOUND, async || {
            let deployment = deployments.get("fermata").await?;
            let status = deployment.status.clone().unwrap_or_default();
            let current = status.observed_generation == deployment.metadata.generation
                && count(status.updated_replicas) == replicas
                && count(status.available_replicas) == replicas;
            let pods = self.replicas().await;
            let all = pods.len() == replicas && pods.iter().all(is_ready);
            Ok(if current && all { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await
        .unwrap();
    }

    /// Those that are being ended too.
    pub(crate) async fn replicas(&self) -> Vec<Pod> {
        let list = ListParams::default().labels("app.kubernetes.io/component=webhook");
        self.pods().list(&list).await.unwrap().items
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.cluster.client().unwrap(), NAMESPACE)
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client().unwrap(), NAMESPACE)
    }

    /// Helm, in the Namespace of the installation.
    pub(crate) async fn run(&self, words: &[&str]) {
        let words = [words, &["--namespace", NAMESPACE]].concat();
        if let Err(error) = self.helm.success(&words).await {
            // What Helm says of a Pod that does not get ready is that it did not.
            let replicas: Vec<_> = self.replicas().await.into_iter().map(|pod| pod.status).collect();
            panic!("{error:#}\n{replicas:#?}");
        }
    }
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn load_image(cluster: &Cluster) {
    if let Some(folder) = env::var_os("FERMATA_IMAGES").filter(|folder| !folder.is_empty()) {
        cluster.load_image(&Path::new(&folder).join("fermata.oci.tar"), IMAGE).await.unwrap();
        return;
    }
    let image = Image::new(IMAGE)
        .dynamic_program("/fermata", Path::new(env!("CARGO_BIN_EXE_fermata")))
        .unwrap()
        .entrypoint(&["/fermata"])
        .user(65532);
    cluster.load(&image).await.unwrap();
}
