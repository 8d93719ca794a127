//! Helm, the chart, and a control plane to install it on.

use std::{collections::BTreeMap, process::Output, time::Duration};

use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, Helm, TestNamespace,
    assets::Binary,
    wait::{self, Seen},
    webhook::OPT_IN_LABEL,
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, PostParams},
    discovery::{Discovery, Scope},
};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The chart's folder.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/fermata");

/// The version of Kubernetes that is rendered for where no cluster says its own.
pub(crate) const KUBE_VERSION: &str = "1.37.0";

/// Both versions of Helm that people use.
pub(crate) const HELMS: [Binary; 2] = [Binary::Helm, Binary::Helm3];

/// Before anything else, Helm fetches the schemas of all that the API server knows, and holds each object against them: two
/// thirds of the time of an upgrade. What the values can come to is held against the API server's own in [`crate::combinations`].
const UNVALIDATED: &str = "--disable-openapi-validation";

/// What people get who know nothing of that; a later flag wins.
pub(crate) const VALIDATED: &str = "--disable-openapi-validation=false";

/// Helm without a cluster.
pub(crate) async fn offline(binary: Binary) -> Helm {
    Helm::prepare(binary, None).await.unwrap()
}

/// What `helm template` is called with, and further flags.
pub(crate) fn template<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["template", "fermata", CHART, "--namespace", "fermata"];
    if !flags.contains(&"--kube-version") {
        words.extend(["--kube-version", KUBE_VERSION]);
    }
    words.extend(flags);
    words
}

/// The objects of some YAML.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// The one object of a kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind && !is_test(object)).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

/// Whether an object is there for `helm test` alone.
pub(crate) fn is_test(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"].is_string()
}

/// A control plane for tests that take turns, for there is one Fermata in a cluster.
struct Ground {
    cluster: OnceCell<ControlPlane>,
    turn: Mutex<()>,
}

/// That of each Helm, so that the tests of one need not wait for those of the other.
static GROUNDS: [Ground; 2] =
    [const { Ground { cluster: OnceCell::const_new(), turn: Mutex::const_new(()) } }; 2];

/// The turn on the control plane that is shared with other targets' tests.
static SHARED_TURN: Mutex<()> = Mutex::const_new(());

impl Ground {
    /// Its API server goes straight to a Service's endpoints: there is no kube-proxy that could bring it anywhere by the
    /// Service's own address, and what has no endpoint is known to be away at once.
    async fn cluster(&self) -> &ControlPlane {
        let options = ControlPlaneOptions {
            api_server_args: vec!["--enable-aggregator-routing=true".to_owned()],
            ..ControlPlaneOptions::default()
        };
        self.cluster.get_or_try_init(|| ControlPlane::start(options)).await.unwrap()
    }
}

/// A control plane, and the right to have Fermata on it.
pub(crate) struct Stage {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) helm: Helm,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// With this Helm and its control plane.
    pub(crate) async fn new(binary: Binary) -> Self {
        let [helm, helm3] = &GROUNDS;
        let ground = if binary == Binary::Helm3 { helm3 } else { helm };
        Self::on(ground.cluster().await, &ground.turn, binary).await
    }

    /// On a control plane whose API server calls a Service by its own address.
    pub(crate) async fn shared(binary: Binary) -> Self {
        Self::on(ControlPlane::shared().await.unwrap(), &SHARED_TURN, binary).await
    }

    async fn on(cluster: &'static ControlPlane, turn: &'static Mutex<()>, binary: Binary) -> Self {
        let turn = turn.lock().await;
        let helm = Helm::prepare(binary, Some(cluster.kubeconfig_path())).await.unwrap();
        let stage = Self { cluster, helm, _turn: turn };
        // What a test before left that failed is not for this one to stumble over.
        stage.sweep().await;
        stage
    }

    /// Applies YAML as somebody with kubectl does.
    pub(crate) async fn kubectl(&self, words: &[&str]) -> Output {
        let kubectl = self.cluster.kubectl().expect("kubectl among the assets");
        Command::new(kubectl)
            .args(words)
            .env("KUBECONFIG", self.cluster.kubeconfig_path())
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .await
            .unwrap()
    }

    async fn sweep(&self) {
        for release in self.releases().await {
            let [name, namespace] =
                [&release["name"], &release["namespace"]].map(|value| value.as_str().unwrap());
            self.helm.success(&["uninstall", name, "--namespace", namespace]).await.unwrap();
        }
    }

    pub(crate) async fn releases(&self) -> Vec<Value> {
        let list = self.helm.success(&["list", "--all-namespaces", "--output", "json"]).await.unwrap();
        serde_json::from_str(&list).unwrap()
    }

    /// Installs the chart into a namespace of its own, with the namespace's name.
    pub(crate) async fn install(&self, release: &str, namespace: &str, flags: &[&str]) -> String {
        let words = [
            &["install", release, CHART, "--namespace", namespace, "--create-namespace", UNVALIDATED],
            flags,
        ];
        self.helm.success(&words.concat()).await.unwrap()
    }

    /// With the values that the release has, and those of the flags.
    pub(crate) async fn upgrade(&self, release: &str, namespace: &str, flags: &[&str]) {
        let words = [&["upgrade", release, CHART, "--namespace", namespace, UNVALIDATED], flags].concat();
        self.helm.success(&words).await.unwrap();
    }

    pub(crate) async fn uninstall(&self, release: &str, namespace: &str) {
        self.helm.success(&["uninstall", release, "--namespace", namespace]).await.unwrap();
    }

    pub(crate) async fn configurations(&self) -> Vec<MutatingWebhookConfiguration> {
        let api = Api::all(self.cluster.client().unwrap());
        api.list(&kube::api::ListParams::default()).await.unwrap().items
    }

    /// A namespace that has opted in.
    pub(crate) async fn opted_in(&self) -> TestNamespace {
        self.cluster.namespace("shop", &[OPT_IN_LABEL], &[]).await.unwrap()
    }

    /// Every object in the cluster with this label, as `KIND NAMESPACE/NAME`.
    pub(crate) async fn labelled(&self, selector: &str) -> Vec<String> {
        let client = self.cluster.client().unwrap();
        let discovery = Discovery::new(client.clone()).run_aggregated().await.unwrap();
        let mut found = Vec::new();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                // Endpoints and their slices carry the labels of their Service, and go a little later.
                let follows = ["Event", "Endpoints", "EndpointSlice"].contains(&resource.kind.as_str());
                if !capabilities.supports_operation("list") || follows {
                    continue;
                }
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                // The API server says "try again" of a resource that it has only just learnt of.
                let listed = eventually("a list", async || {
                    let list = kube::api::ListParams::default().labels(selector);
                    api.list(&list).await.map_err(|error| error.to_string())
                });
                for object in listed.await.items {
                    let namespace = match capabilities.scope {
                        Scope::Cluster => String::new(),
                        Scope::Namespaced => format!("{}/", object.namespace().unwrap_or_default()),
                    };
                    found.push(format!("{} {namespace}{}", resource.kind, object.name_any()));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Waits until a condition on the cluster holds.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait::until(what, Duration::from_secs(30), async || {
        Ok(match look().await {
            Ok(seen) => Seen::Yes(seen),
            Err(why) => Seen::NotYet(why),
        })
    })
    .await
    .unwrap()
}

/// A Pod such as everybody has.
pub(crate) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "app", "image": "registry.example.com/app:1" }] },
    }))
    .unwrap()
}

/// Creates a Pod in a namespace that has opted in, and gives what was stored.
pub(crate) async fn create(namespace: &TestNamespace, name: &str) -> kube::Result<Pod> {
    namespace.pods().create(&PostParams::default(), &pod(name)).await
}

/// The data of a Pod's or another object's labels, for comparison.
pub(crate) fn labels(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default()
}
