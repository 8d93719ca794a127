//! What the cluster knows beside a review: the annotations of its Namespace, and the API server's version.
//!
//! Nothing here may stop a review. Without a cluster, or with one that does not answer, the operator's config file
//! and the Pod's own annotations count, and readiness says what is missing. Where an answer decides whether a Pod is
//! valid at all, its absence leaves the Pod as it was.

pub(crate) mod follow;
mod lookup;
mod namespaces;
mod reach;
mod sight;
mod version;
mod watch;

use std::sync::Arc;

use fermata_core::{ServerVersion, settings::NamespaceSettings};
use kube::Client;
use tokio::time::Instant;

pub(crate) use lookup::is_label;
pub use reach::{ReachError, Reached, client, command_line_client};
pub use sight::Sight;

use crate::telemetry::{Conditions, Metrics};
use lookup::Lookups;
use namespaces::Namespaces;
use version::Version;

/// The cluster, as far as it is there.
pub struct Cluster {
    own_namespace: Option<String>,
    version: Version,
    namespaces: Namespaces,
    lookups: Option<Lookups>,
}

impl Cluster {
    /// A cluster that is reached by this client, or none.
    ///
    /// The version, where one is given, counts whatever the API server says.
    #[must_use]
    pub fn new(
        client: Option<&Client>,
        own_namespace: Option<String>,
        version: Option<ServerVersion>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            own_namespace,
            version: Version::new(version, client.is_some()),
            namespaces: Namespaces::default(),
            lookups: client.map(|client| Lookups::new(client.clone(), Arc::clone(metrics))),
        }
    }

    /// Follows the cluster for as long as the program runs.
    pub async fn follow(self: Arc<Self>, client: Client, conditions: Conditions, metrics: Arc<Metrics>) {
        tokio::join!(
            watch::run(&client, &self.namespaces, &conditions.namespaces, &metrics),
            version::run(&client, &self.version, &conditions.version)
        );
    }

    /// What a Namespace says; nothing where that cannot be found out in time.
    ///
    /// The API server sends a review when its own view of the Namespace has the label, and that view may be ahead
    /// of the watch: so a Namespace that the watch does not know is asked for, once.
    pub async fn namespace(&self, name: &str, deadline: Instant) -> Option<Arc<NamespaceSettings>> {
        if let Some(known) = self.namespaces.get(name) {
            return Some(known);
        }
        self.lookups.as_ref()?.get(name, deadline).await
    }

    /// The Namespace that the program runs in.
    #[must_use]
    pub fn own_namespace(&self) -> Option<&str> {
        self.own_namespace.as_deref()
    }

    /// The API server's version, or an old one where it has not said yet; nothing without a cluster, where a
    /// current one is assumed. Waits only while there was no answer yet.
    pub async fn server_version(&self, deadline: Instant) -> Option<ServerVersion> {
        self.version.get(deadline).await
    }
}
