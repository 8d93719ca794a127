//! A running Fermata, registered with the shared API server for namespaces of its own.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use fermata_test_cluster::{
    ControlPlane,
    fermata::{Fermata, Launch, Ports},
    namespace::TestNamespace,
    pod_load::is_judged,
    scratch::Scratch,
    webhook::{FailurePolicy, OPT_IN_LABEL, WebhookOptions, WebhookRegistration},
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::injector::{CONTAINER, Injector};

/// The annotation that shows that a Pod has been judged.
pub(crate) const STATUS: &str = "fermata.dev/status";

/// The label by which a stage's namespaces are told from those of others.
const STAGE_LABEL: &str = "fermata.test/stage";

/// How long Fermata drains in these tests.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// Where a Fermata keeps its files, and how the API server trusts it.
pub(crate) struct Files {
    scratch: Scratch,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { scratch: Scratch::create().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The certificate authority of a self-signed Fermata, which it writes when it starts.
    pub(crate) fn ca(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).unwrap()
    }
}

/// Starts a `fermata serve` with a certificate of its own making.
pub(crate) async fn serve(cluster: &ControlPlane, files: &Files, flags: &[&str]) -> Fermata {
    let ca = files.text("ca.pem");
    serve_with(cluster, files, &[&["--tls-self-signed", "--tls-ca-out", &ca][..], flags].concat()).await
}

/// Starts a `fermata serve`.
pub(crate) async fn serve_with(cluster: &ControlPlane, files: &Files, flags: &[&str]) -> Fermata {
    let launch = |ports: Ports| Launch {
        binary: env!("CARGO_BIN_EXE_fermata").into(),
        args: [
            "serve",
            "--listen",
            &format!("127.0.0.1:{}", ports.webhook),
            "--admin-listen",
            &format!("127.0.0.1:{}", ports.admin),
            "--kubeconfig",
            cluster.kubeconfig_path().to_str().unwrap(),
            "--drain",
            &format!("{}s", DRAIN.as_secs()),
        ]
        .iter()
        .chain(flags)
        .map(ToString::to_string)
        .collect(),
        env: Vec::new(),
        readiness_url: format!("http://127.0.0.1:{}/readyz", ports.admin),
        grace: DRAIN + Duration::from_secs(8),
    };
    Fermata::start(&files.scratch, launch).await.unwrap()
}

/// A Fermata, its registration, and a namespace that has opted in.
pub(crate) struct Stage {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) files: Files,
    pub(crate) fermata: Fermata,
    pub(crate) namespace: TestNamespace,
    /// Registered for as long as the stage stands.
    _registration: WebhookRegistration,
    name: String,
}

impl Stage {
    pub(crate) async fn new(flags: &[&str]) -> Self {
        let cluster = ControlPlane::shared().await.unwrap();
        let files = Files::new();
        let fermata = serve(cluster, &files, flags).await;
        let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
        let options =
            WebhookOptions { failure_policy: FailurePolicy::Fail, ..WebhookOptions::new(url, files.ca()) };
        Self::registered(cluster, files, fermata, options).await
    }

    /// Registers a Fermata that runs already.
    pub(crate) async fn registered(
        cluster: &'static ControlPlane,
        files: Files,
        fermata: Fermata,
        mut options: WebhookOptions,
    ) -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let name = format!("stage-{}", STAGES.fetch_add(1, Ordering::Relaxed));
        options.namespace_labels = BTreeMap::from([(STAGE_LABEL.to_owned(), name.clone())]);
        let registration = WebhookRegistration::create(cluster, &options).await.unwrap();
        let labels = [OPT_IN_LABEL, (STAGE_LABEL, &name)];
        let namespace = cluster.namespace(&name, &labels, &[]).await.unwrap();
        registration
            .wait_until_effective(&namespace, &typed(&pod("probe", &json!({}))), is_judged)
            .await
            .unwrap();
        Self { cluster, files, fermata, namespace, _registration: registration, name }
    }

    /// Registers a second webhook for the stage's namespace, which is called after Fermata and adds a container; it
    /// stands for as long as what is returned.
    pub(crate) async fn mesh(&self) -> (Injector, WebhookRegistration) {
        let injector = Injector::start().await;
        let options = WebhookOptions {
            name_prefix: "z-mesh".into(),
            only_namespace: Some(self.namespace.name().into()),
            ..WebhookOptions::new(format!("https://{}/mutate", injector.address), &injector.ca)
        };
        let mesh = WebhookRegistration::create(self.cluster, &options).await.unwrap();
        let injected =
            |pod: &Pod| pod.spec.as_ref().unwrap().containers.iter().any(|each| each.name == CONTAINER);
        let probe = typed(&pod("probe", &json!({})));
        mesh.wait_until_effective(&self.namespace, &probe, |answer| answer.as_ref().is_ok_and(injected))
            .await
            .unwrap();
        (injector, mesh)
    }

    /// Another namespace of this stage that has opted in, with labels of its own.
    pub(crate) async fn labelled(&self, labels: &[(&str, &str)]) -> TestNamespace {
        let own = [(STAGE_LABEL, self.name.as_str()), OPT_IN_LABEL];
        self.cluster.namespace(&self.name, &[&own, labels].concat(), &[]).await.unwrap()
    }

    /// Another namespace of this stage, with a label `fermata.dev/inject` or without, and with annotations.
    pub(crate) async fn namespace(&self, opted_in: bool, annotations: &[(&str, &str)]) -> TestNamespace {
        let labels = [(STAGE_LABEL, self.name.as_str()), OPT_IN_LABEL];
        let labels = if opted_in { &labels[..] } else { &labels[..1] };
        self.cluster.namespace(&self.name, labels, annotations).await.unwrap()
    }
}

/// The flags of a Fermata that brings the shim.
pub(crate) const SHIM: [&str; 2] =
    ["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config/shim.yaml")];

/// A Pod of one container, with some members of its metadata and spec replaced.
pub(crate) fn pod(name: &str, changes: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "app", "image": "registry.example.com/app:1" }] },
    });
    json_patch::merge(&mut pod, changes);
    pod
}

pub(crate) fn typed(pod: &Value) -> Pod {
    serde_json::from_value(pod.clone()).unwrap()
}
