//! What an operator does with an installation.

use std::process::Output;

use fermata_test_cluster::{Helm, Node, assets::Binary};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::release::{CHART, NAMESPACE, Release};

impl Release {
    pub(crate) fn node(&self) -> &Node {
        self.cluster.node().expect("a node of our own")
    }

    pub(crate) async fn helm(&self, binary: Binary) -> Helm {
        Helm::prepare(binary, Some(self.node().kubeconfig_path())).await.unwrap()
    }

    /// With the chart's default values but for those of the flags, until the new replicas are all there is.
    pub(crate) async fn upgrade(&self, flags: &[&str]) {
        self.run(&[&["upgrade", "fermata", CHART, "--wait", "--timeout=2m"], flags].concat()).await;
        self.until_ready(2).await;
    }

    /// As `kubectl rollout restart` does.
    pub(crate) async fn restart(&self) {
        self.deployments().restart("fermata").await.unwrap();
        self.until_ready(2).await;
    }

    /// What `fermata check` says of it, as JSON.
    pub(crate) async fn check(&self) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_fermata"))
            .args(["check", "--output=json", "--kubeconfig"])
            .arg(self.node().kubeconfig_path())
            .output()
            .await
            .unwrap();
        document(&output)
    }

    /// The same, said by one of its Pods, which gets every right for it.
    pub(crate) async fn check_inside(&self) -> Value {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.node().client().unwrap());
        let binding = serde_json::from_value(json!({
            "metadata": { "name": "check-inside" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": "fermata", "namespace": NAMESPACE }],
        }));
        bindings.create(&PostParams::default(), &binding.unwrap()).await.unwrap();
        let output = Command::new(self.node().control_plane().kubectl().expect("kubectl among the assets"))
            .args(["exec", "--namespace", NAMESPACE, "deployment/fermata", "--kubeconfig"])
            .arg(self.node().kubeconfig_path())
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
