//! A second installation beside the first.

use std::{fs, path::PathBuf};

use fermata_test_cluster::wait::{self, Seen};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::process::Command;

use crate::release::{BOUND, CHART, Release};

impl Release {
    /// Puts another one beside it, as tools do that only render charts, and waits until it is ready.
    pub(crate) async fn second(&self) -> Second<'_> {
        let words =
            ["template", "second", CHART, "--namespace=second", "--no-hooks", "--kube-version=1.37.0"];
        let rendered = self.helm.success(&words).await.unwrap();
        let manifest = self.node().scratch().path().join("second.yaml");
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: second\n";
        fs::write(&manifest, format!("{namespace}{rendered}")).unwrap();
        let second = Second { release: self, manifest };
        second.kubectl(&["apply"]).await;
        let deployments: Api<Deployment> = Api::namespaced(self.node().client().unwrap(), "second");
        wait::until("the second one to be ready", BOUND, async || {
            let status = deployments.get("second-fermata").await?.status.unwrap_or_default();
            let is_ready = status.available_replicas == Some(2);
            Ok(if is_ready { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await
        .unwrap();
        second
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
        let page = self.release.node().client()?.request_text(request).await?;
        let counters = page.lines().filter(|line| line.starts_with("fermata_reviews_total{"));
        Ok(counters.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Takes it away again.
    pub(crate) async fn remove(self) {
        self.kubectl(&["delete", "--wait=false"]).await;
    }

    async fn kubectl(&self, words: &[&str]) {
        let node = self.release.node();
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
