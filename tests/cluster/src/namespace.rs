//! A namespace per test, so that tests can share one control plane.

use std::{collections::BTreeMap, fmt, thread, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, PostParams},
};

use crate::{
    control_plane::client,
    wait::{self, Seen},
};

/// How long the controller manager may take to furnish a new namespace.
const FURNISHED_BOUND: Duration = Duration::from_secs(30);

/// What becomes of a namespace that no test looks at any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It is deleted, as well as that goes in a drop: its Pods run somewhere, or the cluster is somebody's.
    Deleted,
    /// It stays until the cluster is thrown away. To delete one takes the controllers and the API server a hundred requests,
    /// and to keep it none.
    Kept,
}

/// A namespace with a random name, for the runtime that it was made in. On drop it is deleted, where Pods run at all.
pub struct TestNamespace {
    name: String,
    client: Client,
    /// What it is deleted with.
    config: Option<Config>,
}

impl TestNamespace {
    pub(crate) async fn create(
        config: &Config,
        prefix: &str,
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
        furnished: bool,
        afterwards: Afterwards,
    ) -> anyhow::Result<Self> {
        let client = client(config)?;
        let metadata = ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            labels: Some(owned(labels)),
            annotations: Some(owned(annotations)),
            ..ObjectMeta::default()
        };
        let created = Api::all(client.clone())
            .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
            .await
            .with_context(|| format!("failed to create a namespace {prefix}-..."))?;
        let namespace = Self {
            name: created.name_any(),
            client,
            config: (afterwards == Afterwards::Deleted).then(|| config.clone()),
        };
        if furnished {
            namespace.await_service_account().await?;
        }
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Pods, through the client that has made it: the next one would greet the API server anew.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The `ServiceAccount` admission plugin refuses Pods until the controller manager has made this one.
    async fn await_service_account(&self) -> anyhow::Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let what = format!("the ServiceAccount `default` in the namespace {}", self.name);
        wait::until(&what, FURNISHED_BOUND, async || {
            Ok(match accounts.get_opt("default").await? {
                Some(_) => Seen::Yes(()),
                None => Seen::NotYet("it does not exist".to_owned()),
            })
        })
        .await
    }
}

impl fmt::Debug for TestNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestNamespace").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let Some(config) = self.config.take() else { return };
        let name = std::mem::take(&mut self.name);
        in_background(config, async move |client| {
            Api::<Namespace>::all(client).delete(&name, &DeleteParams::background()).await.ok();
        });
    }
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Does something on a thread and a runtime of its own: a drop cannot wait, and a test's runtime ends with the test.
pub(crate) fn in_background<F, Done>(config: Config, work: F)
where
    F: FnOnce(Client) -> Done + Send + 'static,
    Done: Future<Output = ()>,
{
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if let Ok(client) = client(&config) {
                work(client).await;
            }
        });
    });
}
