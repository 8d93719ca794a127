//! A node, and Fermata on it by Helm.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use fermata_test_cluster::{
    Helm, Image, Node, NodeOptions,
    assets::Binary,
    wait::{self, Seen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, rbac::v1::ClusterRoleBinding};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

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

    /// Puts another one beside it, as tools do that only render charts, and waits until it is ready.
    pub(crate) async fn second(&self) -> Second<'_> {
        let words =
            ["template", "second", CHART, "--namespace=second", "--no-hooks", "--kube-version=1.36.0"];
        let rendered = self.helm.success(&words).await.unwrap();
        let manifest = self.node.scratch().path().join("second.yaml");
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: second\n";
        fs::write(&manifest, format!("{namespace}{rendered}")).unwrap();
        let second = Second { release: self, manifest };
        second.kubectl(&["apply"]).await;
        let deployments: Api<Deployment> = Api::namespaced(self.node.client().unwrap(), "second");
        wait::until("the second one to be ready", BOUND, async || {
            let status = deployments.get("second-fermata").await?.status.unwrap_or_default();
            let is_ready = status.available_replicas == Some(2);
            Ok(if is_ready { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await
        .unwrap();
        second
    }

    /// What `fermata check` says of it, as JSON.
    pub(crate) async fn check(&self) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_fermata"))
            .args(["check", "--output=json", "--kubeconfig"])
            .arg(self.node.kubeconfig_path())
            .output()
            .await
            .unwrap();
        document(&output)
    }

    /// The same, said by one of its Pods, which gets every right for it.
    pub(crate) async fn check_inside(&self) -> Value {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.node.client().unwrap());
        let binding = serde_json::from_value(json!({
            "metadata": { "name": "check-inside" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": "fermata", "namespace": NAMESPACE }],
        }));
        bindings.create(&PostParams::default(), &binding.unwrap()).await.unwrap();
        let output = Command::new(self.node.control_plane().kubectl().expect("kubectl among the assets"))
            .args(["exec", "--namespace", NAMESPACE, "deployment/fermata", "--kubeconfig"])
            .arg(self.node.kubeconfig_path())
            .args(["--", "/fermata", "check", "--output=json"])
            .output()
            .await
            .unwrap();
        bindings.delete("check-inside", &DeleteParams::default()).await.unwrap();
        document(&output)
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

/// A second installation in the Namespace `second`.
pub(crate) struct Second<'r> {
    release: &'r Release,
    manifest: PathBuf,
}

impl Second<'_> {
    /// How many reviews one of its replicas has answered.
    pub(crate) async fn reviews(&self) -> anyhow::Result<f64> {
        let path = "/api/v1/namespaces/second/services/second-fermata-metrics:8080/proxy/metrics";
        let request = http::Request::get(path).body(Vec::new())?;
        let page = self.release.node.client()?.request_text(request).await?;
        let counters = page.lines().filter(|line| line.starts_with("fermata_reviews_total{"));
        Ok(counters.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Takes it away again.
    pub(crate) async fn remove(self) {
        self.kubectl(&["delete", "--wait=false"]).await;
    }

    async fn kubectl(&self, words: &[&str]) {
        let node = &self.release.node;
        let output = Command::new(node.control_plane().kubectl().expect("kubectl among the assets"))
            .args(words)
            .arg("--filename")
            .arg(&self.manifest)
            .arg("--kubeconfig")
            .arg(node.kubeconfig_path())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// How a check of `fermata check` went.
pub(crate) fn state<'d>(document: &'d Value, check: &str) -> &'d str {
    let mut checks = document["checks"].as_array().unwrap().iter();
    let found = checks.find(|one| one["id"] == check).unwrap_or_else(|| panic!("no {check}: {document:#}"));
    found["state"].as_str().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
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
