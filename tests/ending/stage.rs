//! The node that all cases share, or the cluster of the user's own.

use std::{env, path::Path, sync::Mutex};

use fermata_test_cluster::{
    Cluster, TestNamespace,
    wait::{self, Seen},
    webhook::OPT_IN_LABEL,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    release::{BOUND, NAMESPACE, Release},
    shop::Shop,
};

/// The shim's image, by the name that the chart gives to it.
const SHIM: &str = concat!("fermata/fermata-shim:", env!("CARGO_PKG_VERSION"));

/// A cluster with Fermata and the shim's image on it.
pub(crate) struct Stage {
    pub(crate) release: Release,
    /// Whoever takes Fermata away has the node alone.
    installed: RwLock<()>,
    /// The namespaces that were made. Each goes with its case, unless that is cut off.
    shops: Mutex<Vec<String>>,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await.unwrap();
        let namespaces: Api<Namespace> = Api::all(cluster.client().unwrap());
        let is_there = namespaces.get_opt(NAMESPACE).await.unwrap().is_some();
        assert!(!is_there, "there is a namespace {NAMESPACE} already, which would be removed in the end");
        let release = Release::install(cluster).await;
        let images = env::var_os("FERMATA_IMAGES").unwrap();
        release.cluster.load_image(&Path::new(&images).join("fermata-shim.oci.tar"), SHIM).await.unwrap();
        Self { release, installed: RwLock::new(()), shops: Mutex::default() }
    }

    /// Holds Fermata in place.
    pub(crate) async fn installed(&self) -> RwLockReadGuard<'_, ()> {
        self.installed.read().await
    }

    /// Waits until nobody else needs Fermata.
    pub(crate) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.installed.write().await
    }

    /// A Namespace that has opted in, when Fermata is asked for its Pods.
    pub(crate) async fn shop(&self, labels: &[(&str, &str)]) -> anyhow::Result<Shop<'_>> {
        let labels = [&[OPT_IN_LABEL], labels].concat();
        let namespace: TestNamespace = self.release.cluster.namespace("shop", &labels).await?;
        self.shops.lock().unwrap().push(namespace.name().to_owned());
        Shop::open(self, namespace).await
    }

    /// Gives Fermata so many replicas, and waits for them.
    pub(crate) async fn scale(&self, replicas: usize) {
        let patch = json!({ "spec": { "replicas": replicas } });
        let deployments = self.release.deployments();
        deployments.patch("fermata", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        self.release.until_ready(replicas).await;
    }

    pub(crate) async fn stop(self) {
        self.leave().await;
        self.release.cluster.stop().await.unwrap();
    }

    /// Takes away what was brought into a cluster that stays. A node goes with all that is on it.
    pub(crate) async fn leave(&self) {
        if self.release.cluster.node().is_none() {
            self.release.uninstall().await;
            let namespaces: Api<Namespace> = Api::all(self.release.cluster.client().unwrap());
            let shops = self.shops.lock().unwrap().clone();
            for shop in shops {
                // Most are gone with their cases.
                namespaces.delete(&shop, &DeleteParams::background()).await.ok();
            }
            namespaces.delete(NAMESPACE, &DeleteParams::background()).await.unwrap();
            wait::until("Fermata's namespace to be gone", BOUND, async || {
                Ok(match namespaces.get_opt(NAMESPACE).await? {
                    None => Seen::Yes(()),
                    Some(namespace) => Seen::NotYet(format!("{:?}", namespace.status)),
                })
            })
            .await
            .unwrap();
        }
    }
}
