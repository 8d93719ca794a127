//! An installation on the shared API server, made object by object as the chart names them.
//!
//! `check` looks at the whole cluster, so one test at a time has it, and finds no registration and nobody who has opted in.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use fermata_test_cluster::{
    ControlPlane, Fermata, Launch, Ports, Scratch, TestNamespace,
    wait::{self, Seen},
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Namespace};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::sandbox::{Ran, Sandbox};

/// Whoever holds it has the cluster.
static TURN: Mutex<()> = Mutex::const_new(());

/// How long something may take to be seen by the API server.
const BOUND: Duration = Duration::from_secs(30);

/// The label by which Namespaces opt in.
pub(crate) const OPT_IN: (&str, &str) = ("fermata.dev/inject", "enabled");

/// The cluster, and what a test has put there.
pub(crate) struct Stage {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    pub(crate) files: Scratch,
    _turn: MutexGuard<'static, ()>,
}

/// What `check -o json` has said.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) code: i32,
    pub(crate) document: Value,
}

impl Checked {
    /// One check, by its id.
    pub(crate) fn get(&self, id: &str) -> &Value {
        let checks = self.document["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["id"] == id)
            .unwrap_or_else(|| panic!("no {id} in {:#}", self.document))
    }

    pub(crate) fn state(&self, id: &str) -> &str {
        self.get(id)["state"].as_str().unwrap()
    }

    /// Asserts a state, a part of the message, and that there is a way out.
    pub(crate) fn assert(&self, id: &str, state: &str, part: &str) {
        let check = self.get(id);
        let message = check["message"].as_str().unwrap();
        assert!(
            check["state"] == state && message.contains(part),
            "expected {state} and {part:?}: {check:#}"
        );
        if state == "failed" || state == "warning" {
            assert!(check["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{check:#}");
        }
    }

    /// The ids in a state.
    pub(crate) fn all(&self, state: &str) -> Vec<&str> {
        let checks = self.document["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["state"] == state).map(|check| check["id"].as_str().unwrap()).collect()
    }
}

impl Stage {
    /// Waits for its turn, and clears the cluster.
    pub(crate) async fn new() -> Self {
        let turn = TURN.lock().await;
        let cluster = ControlPlane::shared().await.unwrap();
        let client = cluster.client().unwrap();
        let stage =
            Self { cluster, client, sandbox: Sandbox::new(), files: Scratch::create().unwrap(), _turn: turn };
        let parameters = DeleteParams::default();
        stage.configurations().delete_collection(&parameters, &ListParams::default()).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(stage.client.clone());
        let labelled = ListParams::default().labels(OPT_IN.0);
        for namespace in namespaces.list(&labelled).await.unwrap() {
            let change = json!({ "metadata": { "labels": { OPT_IN.0: null } } });
            let (name, change) = (namespace.name_any(), Patch::Merge(change));
            namespaces.patch(&name, &PatchParams::default(), &change).await.unwrap();
        }
        stage
    }

    pub(crate) fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    /// Another namespace.
    pub(crate) async fn namespace(&self, opted_in: bool) -> TestNamespace {
        let labels: &[_] = if opted_in { &[OPT_IN] } else { &[] };
        self.cluster.namespace("check", labels, &[]).await.unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Serves with a certificate of its own making for these names.
    pub(crate) async fn serve(&self, names: &str) -> Fermata {
        let ca = self.file("ca.pem");
        let flags = ["--tls-self-signed", "--tls-name", names, "--tls-ca-out", ca.to_str().unwrap()];
        self.serve_with("127.0.0.1".parse().unwrap(), &flags).await
    }

    /// Serves, with the admin port at an address.
    pub(crate) async fn serve_with(&self, admin: IpAddr, flags: &[&str]) -> Fermata {
        let launch = |ports: Ports| {
            let admin = SocketAddr::new(admin, ports.admin);
            Launch {
                binary: env!("CARGO_BIN_EXE_fermata").into(),
                args: [
                    "serve",
                    "--listen",
                    &format!("127.0.0.1:{}", ports.webhook),
                    "--admin-listen",
                    &admin.to_string(),
                    "--kubeconfig",
                    self.cluster.kubeconfig_path().to_str().unwrap(),
                    "--drain",
                    "0s",
                ]
                .iter()
                .chain(flags)
                .map(ToString::to_string)
                .collect(),
                env: Vec::new(),
                readiness_url: format!("http://{admin}/readyz"),
                grace: Duration::from_secs(8),
            }
        };
        Fermata::start(&self.files, launch).await.unwrap()
    }

    /// The authority of what was served last.
    pub(crate) fn ca(&self) -> Vec<u8> {
        std::fs::read(self.file("ca.pem")).unwrap()
    }

    /// Registers what is served, by URL.
    pub(crate) async fn register_url(&self, fermata: &Fermata) {
        let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
        self.register("fermata", json!({ "url": url, "caBundle": base64(&self.ca()) })).await;
    }

    /// Registers something as the chart does.
    pub(crate) async fn register(&self, name: &str, target: Value) {
        let configuration = serde_json::from_value(configuration(name, &target)).unwrap();
        self.configurations().create(&PostParams::default(), &configuration).await.unwrap();
    }

    /// Changes the entry of the registered webhook; null takes a key away.
    pub(crate) async fn change(&self, name: &str, change: &Value) {
        let configurations = self.configurations();
        let known = configurations.get(name).await.unwrap();
        let mut webhook = serde_json::to_value(&known.webhooks.unwrap()[0]).unwrap();
        json_patch::merge(&mut webhook, change);
        let change = json!({ "webhooks": [webhook] });
        configurations.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Creates an object of any kind, at the path of its list.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Value {
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        self.client.request(request).await.unwrap()
    }

    /// Patches an object of any kind, or its status, by merging.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Value {
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(change.to_string().into_bytes())
            .unwrap();
        self.client.request(request).await.unwrap()
    }

    /// Deletes an object of any kind.
    pub(crate) async fn delete(&self, path: &str) {
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Runs `check` with the rights of an administrator.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_as(self.cluster.kubeconfig_path().to_str().unwrap(), arguments)
    }

    pub(crate) fn run_as(&self, kubeconfig: &str, arguments: &[&str]) -> Ran {
        self.sandbox.run(&[&["check", "--kubeconfig", kubeconfig][..], arguments].concat())
    }

    /// Runs it and reads what it says.
    pub(crate) fn check(&self, arguments: &[&str]) -> Checked {
        checked(&self.run(&[&["-o", "json"][..], arguments].concat()))
    }

    /// Checks until a condition holds: the API server acts on what it was told a little later.
    pub(crate) async fn check_until(&self, arguments: &[&str], holds: impl Fn(&Checked) -> bool) -> Checked {
        wait::until("the checks to say so", BOUND, async || {
            let checked = self.check(arguments);
            Ok(if holds(&checked) {
                Seen::Yes(checked)
            } else {
                Seen::NotYet(format!("{:#}", checked.document))
            })
        })
        .await
        .unwrap()
    }

    /// Does what a way out says: pastes its commands into a shell.
    pub(crate) fn paste(&self, hint: &str) -> String {
        let kubectl = self.cluster.kubectl().expect("kubectl among the assets");
        let commands: Vec<_> = hint.lines().filter(|line| line.starts_with("kubectl ")).collect();
        assert!(!commands.is_empty(), "nothing to paste: {hint}");
        let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-e", "-c", &commands.join("\n")])
            .env("PATH", path)
            .env("KUBECONFIG", self.cluster.kubeconfig_path())
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{hint}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A kubeconfig of a `ServiceAccount` with these cluster-wide rights, and rights in single namespaces.
    pub(crate) async fn account(&self, home: &str, rights: &[Rights<'_>]) -> String {
        let name = "checker";
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } });
        self.create(&format!("/api/v1/namespaces/{home}/serviceaccounts"), &account).await;
        for (index, Rights { namespace, rules }) in rights.iter().enumerate() {
            let (role, list) = match namespace {
                None => ("ClusterRole", "/apis/rbac.authorization.k8s.io/v1/cluster".to_owned()),
                Some(namespace) => {
                    ("Role", format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/"))
                }
            };
            let id = format!("{home}-{index}");
            let api_version = "rbac.authorization.k8s.io/v1";
            let object = json!({ "apiVersion": api_version, "kind": role, "metadata": { "name": id }, "rules": rules });
            self.create(&format!("{list}roles"), &object).await;
            let binding = json!({
                "apiVersion": api_version,
                "kind": format!("{role}Binding"),
                "metadata": { "name": id },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": id },
                "subjects": [{ "kind": "ServiceAccount", "namespace": home, "name": name }],
            });
            self.create(&format!("{list}rolebindings"), &binding).await;
        }
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let path = format!("/api/v1/namespaces/{home}/serviceaccounts/{name}/token");
        let token = self.create(&path, &request).await["status"]["token"].as_str().unwrap().to_owned();
        self.kubeconfig(self.cluster.server_url(), &json!({ "token": token }))
    }

    /// Writes a kubeconfig.
    pub(crate) fn kubeconfig(&self, server: &str, user: &Value) -> String {
        let authority = base64(self.cluster.ca_pem().as_bytes());
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority-data": authority } }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "here", "context": { "cluster": "c", "user": "u" } }],
            "current-context": "here",
        });
        let file = self.file(&format!("kubeconfig-{}", Instant::now().elapsed().as_nanos()));
        std::fs::write(&file, config.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// Rules for a `ServiceAccount`, in one namespace or in the whole cluster.
pub(crate) struct Rights<'r> {
    pub(crate) namespace: Option<&'r str>,
    pub(crate) rules: Value,
}

/// Reads what `check -o json` has said.
pub(crate) fn checked(ran: &Ran) -> Checked {
    let document = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    Checked { code: ran.code, document }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes)
}

/// The labels of all objects of a release.
pub(crate) fn labels(release: &str) -> Value {
    let labels: BTreeMap<_, _> = [
        ("app.kubernetes.io/name", "fermata"),
        ("app.kubernetes.io/instance", release),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
    ]
    .into();
    json!(labels)
}

/// A configuration as the chart makes it.
fn configuration(name: &str, target: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": name, "labels": labels(name) },
        "webhooks": [{
            "name": "pods.fermata.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": target,
            "failurePolicy": "Ignore",
            "timeoutSeconds": 5,
            "reinvocationPolicy": "IfNeeded",
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "namespaceSelector": {
                "matchLabels": { OPT_IN.0: OPT_IN.1 },
                "matchExpressions": [{
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "kube-public", "kube-node-lease"],
                }],
            },
            "matchConditions": [{
                "name": "not-a-mirror",
                "expression": "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
            }],
        }],
    })
}
