//! A node, and Fermata on it by Helm.

use std::{env, path::Path, time::Duration};

use fermata_test_cluster::{
    Helm, Image, Node, NodeOptions,
    assets::Binary,
    wait::{self, Seen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};

/// Where it is installed.
pub(crate) const NAMESPACE: &str = "fermata";

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/fermata");
const IMAGE: &str = concat!("fermata/fermata:", env!("CARGO_PKG_VERSION"));
const BOUND: Duration = Duration::from_mins(2);

/// An installation by the chart's default values.
pub(crate) struct Release {
    pub(crate) node: Node,
    helm: Helm,
}

impl Release {
    pub(crate) async fn install() -> Self {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        load_image(&node).await;
        let helm = Helm::prepare(Binary::Helm, Some(node.kubeconfig_path())).await.unwrap();
        let release = Self { node, helm };
        release.run(&["install", "fermata", CHART, "--create-namespace", "--wait", "--timeout=2m"]).await;
        release
    }

    pub(crate) async fn helm(&self, binary: Binary) -> Helm {
        Helm::prepare(binary, Some(self.node.kubeconfig_path())).await.unwrap()
    }

    /// With the chart's default values but for those of the flags, until the new replicas are all there is.
    pub(crate) async fn upgrade(&self, flags: &[&str]) {
        self.run(&[&["upgrade", "fermata", CHART, "--wait", "--timeout=2m"], flags].concat()).await;
        self.until_ready().await;
    }

    pub(crate) async fn uninstall(&self) {
        self.run(&["uninstall", "fermata"]).await;
    }

    /// As `kubectl rollout restart` does.
    pub(crate) async fn restart(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.node.client().unwrap(), NAMESPACE);
        deployments.restart("fermata").await.unwrap();
        self.until_ready().await;
    }

    /// Ends one replica without its grace period.
    pub(crate) async fn kill_one(&self) {
        let name = self.replicas().await[0].name_any();
        self.pods().delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Waits until the Deployment's replicas are as it wants them, and no others are left.
    pub(crate) async fn until_ready(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.node.client().unwrap(), NAMESPACE);
        wait::until("the replicas to be ready", BOUND, async || {
            let deployment = deployments.get("fermata").await?;
            let status = deployment.status.clone().unwrap_or_default();
            let current = status.observed_generation == deployment.metadata.generation
                && status.updated_replicas == Some(2)
                && status.available_replicas == Some(2);
            let replicas = self.replicas().await;
            let all = replicas.len() == 2 && replicas.iter().all(is_ready);
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

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.node.client().unwrap(), NAMESPACE)
    }

    async fn run(&self, words: &[&str]) {
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

async fn load_image(node: &Node) {
    if let Some(folder) = env::var_os("FERMATA_IMAGES").filter(|folder| !folder.is_empty()) {
        node.load_image(&Path::new(&folder).join("fermata.oci.tar"), IMAGE).await.unwrap();
        return;
    }
    let image = Image::new(IMAGE)
        .dynamic_program("/fermata", Path::new(env!("CARGO_BIN_EXE_fermata")))
        .unwrap()
        .entrypoint(&["/fermata"])
        .user(65532);
    node.load(&image).await.unwrap();
}
