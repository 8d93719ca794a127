//! The node that all cases share.

use std::{env, net::SocketAddr, path::Path};

use fermata_test_cluster::{TestNamespace, node::Forward, webhook::OPT_IN_LABEL};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{release::Release, shop::Shop};

/// The shim's image, by the name that the chart gives to it.
const SHIM: &str = concat!("fermata/fermata-shim:", env!("CARGO_PKG_VERSION"));

/// A node with Fermata and the shim's image on it.
pub(crate) struct Stage {
    pub(crate) release: Release,
    /// Whoever takes Fermata away has the node alone.
    installed: RwLock<()>,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let release = Release::install().await;
        let images = env::var_os("FERMATA_IMAGES").unwrap();
        release.node.load_image(&Path::new(&images).join("fermata-shim.oci.tar"), SHIM).await.unwrap();
        Self { release, installed: RwLock::new(()) }
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
        let namespace: TestNamespace =
            self.release.node.control_plane().namespace("shop", &labels, &[]).await?;
        Shop::open(self, namespace).await
    }

    /// The address on this machine that leads to one inside the node.
    pub(crate) fn reach(&self, inside: SocketAddr) -> anyhow::Result<Forward> {
        self.release.node.forward(inside)
    }

    /// Gives Fermata so many replicas, and waits for them.
    pub(crate) async fn scale(&self, replicas: usize) {
        let patch = json!({ "spec": { "replicas": replicas } });
        let deployments = self.release.deployments();
        deployments.patch("fermata", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        self.release.until_ready(replicas).await;
    }

    pub(crate) async fn stop(self) {
        self.release.node.stop().await.unwrap();
    }
}
