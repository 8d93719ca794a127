//! What the chart installs, made by hand: a Secret without data, the rights, the registration.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use fermata_test_cluster::{
    ControlPlane,
    credentials::write_private,
    fermata::{Fermata, Launch, Ports},
    http,
    namespace::TestNamespace,
    pod_load::{PodLoad, is_judged},
    scratch::Scratch,
    wait::{self, Seen},
};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        authentication::v1::TokenRequest,
        authorization::v1::SelfSubjectAccessReview,
        core::v1::{Pod, Secret, ServiceAccount},
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The name of everything, as a release of the chart would have it.
pub(crate) const NAME: &str = "fermata";

/// The name of the Secret.
pub(crate) const SECRET: &str = "fermata-authority";

/// What the chart allows in self-signed mode: about the Secret, and about the configuration.
pub(crate) const SECRET_VERBS: [&str; 6] = ["get", "list", "watch", "update", "patch", "create"];
pub(crate) const CONFIGURATION_VERBS: [&str; 4] = ["get", "list", "watch", "patch"];

/// What merely looks.
pub(crate) const READ: [&str; 3] = ["get", "list", "watch"];

/// How long to wait for anything.
const BOUND: Duration = Duration::from_secs(40);

/// An installation of Fermata, for its own namespace and one namespace of Pods.
pub(crate) struct Installation {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) client: Client,
    /// Where it runs.
    pub(crate) home: TestNamespace,
    /// Where its Pods are.
    pub(crate) pods: TestNamespace,
    /// The name of everything that is not in a namespace.
    pub(crate) name: String,
    scratch: Scratch,
}

/// What is not there at the start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Without {
    pub(crate) secret: bool,
    pub(crate) rights: bool,
    pub(crate) registration: bool,
}

impl Installation {
    pub(crate) async fn new() -> Self {
        Self::without(Without::default()).await
    }

    pub(crate) async fn without(without: Without) -> Self {
        Self::on(ControlPlane::shared().await.unwrap(), without).await
    }

    /// On a control plane of its own.
    pub(crate) async fn on(cluster: &'static ControlPlane, without: Without) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{NAME}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = cluster.client().unwrap();
        let home = cluster.namespace("home", &[], &[]).await.unwrap();
        let labels = [("fermata.dev/inject", "enabled"), ("fermata.test/installation", name.as_str())];
        let pods = cluster.namespace("pods", &labels, &[]).await.unwrap();
        let installation = Self { cluster, client, home, pods, name, scratch: Scratch::create().unwrap() };
        installation.service_account().await;
        if !without.secret {
            installation.make_secret(&json!({})).await;
        }
        if !without.rights {
            installation.allow(true).await;
        }
        if !without.registration {
            // Nobody calls it yet: the port is not known before a replica runs.
            installation.register(1, "Ignore", None).await;
        }
        installation
    }

    async fn service_account(&self) {
        let account = json!({ "metadata": { "name": NAME } });
        create(&self.home_api::<ServiceAccount>(), account).await;
        let params = PostParams::default();
        let request: TokenRequest =
            serde_json::from_value(json!({ "spec": { "audiences": [], "expirationSeconds": 3600 } }))
                .unwrap();
        let api = self.home_api::<ServiceAccount>();
        let token = api.create_token_request(NAME, &params, &request).await.unwrap().status.unwrap().token;
        let authority = self.scratch.path().join("ca.crt");
        write_private(&authority, self.cluster.ca_pem()).unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": NAME,
            "contexts": [{ "name": NAME, "context": { "cluster": NAME, "user": NAME } }],
            "clusters": [{ "name": NAME, "cluster": {
                "server": self.cluster.server_url(), "certificate-authority": authority,
            } }],
            "users": [{ "name": NAME, "user": { "token": token } }],
        });
        write_private(&self.scratch.path().join("kubeconfig"), &kubeconfig.to_string()).unwrap();
    }

    /// Gives the rights that the chart gives in self-signed mode, or takes all of them away.
    pub(crate) async fn allow(&self, allowed: bool) {
        let home = self.home.name();
        let subject = json!([{ "kind": "ServiceAccount", "name": NAME, "namespace": home }]);
        let group = "rbac.authorization.k8s.io";
        let binding = self.home_api::<RoleBinding>();
        let cluster_binding = Api::<ClusterRoleBinding>::all(self.client.clone());
        if !allowed {
            binding.delete(NAME, &DeleteParams::default()).await.unwrap();
            cluster_binding.delete(&self.name, &DeleteParams::default()).await.unwrap();
            return;
        }
        let reference = json!({ "apiGroup": group, "kind": "Role", "name": NAME });
        put(&binding, NAME, json!({ "subjects": subject, "roleRef": reference })).await;
        self.allow_secret(&SECRET_VERBS).await;
        self.allow_cluster(&CONFIGURATION_VERBS).await;
    }

    async fn allow_secret(&self, verbs: &[&str]) {
        let rule = json!({
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": verbs,
        });
        put(&self.home_api::<Role>(), NAME, json!({ "rules": [rule] })).await;
    }

    /// Gives these rights alone, and waits until the API server goes by them.
    pub(crate) async fn allow_only(&self, secret: &[&str], configuration: &[&str]) {
        self.allow_secret(secret).await;
        self.allow_cluster(configuration).await;
        let reviews = Api::<SelfSubjectAccessReview>::all(self.own_client().await);
        let (core, admission) = (
            ("", "secrets", SECRET),
            ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", self.name.as_str()),
        );
        for ((group, resource, name), all, allowed) in
            [(core, &SECRET_VERBS[..], secret), (admission, &CONFIGURATION_VERBS[..], configuration)]
        {
            for verb in all {
                let attributes = json!({ "namespace": self.home.name(), "group": group, "resource": resource,
                    "name": name, "verb": verb });
                let review: SelfSubjectAccessReview =
                    serde_json::from_value(json!({ "spec": { "resourceAttributes": attributes } })).unwrap();
                eventually("the API server to know the rights", async || {
                    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
                    let is_allowed = answer.status.is_some_and(|status| status.allowed);
                    if is_allowed == allowed.contains(verb) { Ok(()) } else { Err(*verb) }
                })
                .await;
            }
        }
    }

    /// Gives the rights that the chart gives where the certificate comes from files.
    pub(crate) async fn allow_reading(&self) {
        self.allow_cluster(&["get", "list", "watch"]).await;
    }

    async fn allow_cluster(&self, verbs: &[&str]) {
        let subject = json!([{ "kind": "ServiceAccount", "name": NAME, "namespace": self.home.name() }]);
        let reference =
            json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.name });
        let rules = json!([
            { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"] },
            {
                "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
                "resourceNames": [self.name], "verbs": verbs,
            },
        ]);
        let cluster_roles = Api::<ClusterRole>::all(self.client.clone());
        put(&cluster_roles, &self.name, json!({ "rules": rules })).await;
        let bindings = Api::<ClusterRoleBinding>::all(self.client.clone());
        put(&bindings, &self.name, json!({ "subjects": subject, "roleRef": reference })).await;
    }

    /// The chart's Secret, with data or without.
    pub(crate) async fn make_secret(&self, data: &Value) {
        let secret = json!({ "metadata": { "name": SECRET }, "type": "Opaque", "data": data });
        create(&self.home_api::<Secret>(), secret).await;
    }

    /// Replaces members of the Secret by text.
    pub(crate) async fn edit_secret(&self, data: &Value) {
        let patch = Patch::Merge(json!({ "stringData": data }));
        self.secrets().patch(SECRET, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Takes all out of the Secret.
    pub(crate) async fn empty_secret(&self) {
        let patch = Patch::Merge(json!({ "data": null }));
        self.secrets().patch(SECRET, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A client with the rights of Fermata.
    pub(crate) async fn own_client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.scratch.path().join("kubeconfig")).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        config.proxy_url = None;
        Client::try_from(config).unwrap()
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        self.home_api()
    }

    /// What the Secret holds under that key, as text.
    pub(crate) async fn secret(&self, key: &str) -> Option<String> {
        let data = self.secrets().get_opt(SECRET).await.unwrap()?.data?;
        Some(String::from_utf8(data.get(key)?.0.clone()).unwrap())
    }

    /// Waits until the Secret has been filled with something other than what was there.
    pub(crate) async fn filled(&self, before: Option<&str>) -> String {
        eventually("the Secret to be filled", async || {
            let certificate = self.secret("tls.crt").await.filter(|text| !text.is_empty());
            certificate.filter(|certificate| Some(certificate.as_str()) != before).ok_or("it is not")
        })
        .await
    }

    pub(crate) fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    /// The configuration as a tool would replace it that knows nothing of bundles, or of another one.
    pub(crate) fn configuration(&self, port: u16, failure_policy: &str, bundle: Option<&str>) -> Value {
        let bundle = bundle.map(|bundle| ByteString(bundle.as_bytes().to_vec()));
        json!({
            "metadata": { "name": self.name },
            "webhooks": [{
                "name": "pods.fermata.dev",
                "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": format!("https://127.0.0.1:{port}/mutate"), "caBundle": bundle },
                "failurePolicy": failure_policy,
                "namespaceSelector": { "matchLabels": { "fermata.test/installation": self.name } },
                "reinvocationPolicy": "IfNeeded",
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["pods"], "scope": "Namespaced" }],
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }],
        })
    }

    /// Replaces the configuration, or makes it.
    pub(crate) async fn register(&self, port: u16, failure_policy: &str, bundle: Option<&str>) {
        put(&self.configurations(), &self.name, self.configuration(port, failure_policy, bundle)).await;
    }

    /// Deletes the configuration.
    pub(crate) async fn unregister(&self) {
        self.configurations().delete(&self.name, &DeleteParams::default()).await.unwrap();
    }

    /// Lets API servers call that port, and leaves the bundle alone.
    pub(crate) async fn call(&self, port: u16, failure_policy: &str) {
        let entry = json!({
            "name": "pods.fermata.dev", "failurePolicy": failure_policy,
            "clientConfig": { "url": format!("https://127.0.0.1:{port}/mutate") },
        });
        let patch = json!({ "webhooks": [entry] });
        let api = self.configurations();
        api.patch(&self.name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    }

    /// Replaces the bundle, and nothing else, under the name of another tool.
    pub(crate) async fn inject(&self, bundle: &str, manager: &str) {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let entry = json!({ "name": "pods.fermata.dev", "clientConfig": { "caBundle": bundle } });
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let patch = Patch::Strategic(json!({ "webhooks": [entry] }));
        self.configurations().patch(&self.name, &params, &patch).await.unwrap();
    }

    /// The registered bundle as text.
    pub(crate) async fn bundle(&self) -> String {
        let configuration = self.configurations().get(&self.name).await.unwrap();
        let bundle = configuration.webhooks.unwrap().remove(0).client_config.ca_bundle;
        String::from_utf8_lossy(&bundle.map(|bundle| bundle.0).unwrap_or_default()).into_owned()
    }

    /// Starts a replica and waits until it is ready.
    pub(crate) async fn replica(&self, flags: &[&str]) -> Fermata {
        self.start(flags, "/readyz").await
    }

    /// Starts a replica and waits until it answers, ready or not.
    pub(crate) async fn unready_replica(&self, flags: &[&str]) -> Fermata {
        self.start(flags, "/livez").await
    }

    async fn start(&self, flags: &[&str], path: &str) -> Fermata {
        let own = ["--tls-secret", SECRET, "--tls-name", "127.0.0.1"];
        self.start_with(&[&own[..], flags].concat(), path).await
    }

    /// Starts a replica with a certificate of its own choice.
    pub(crate) async fn start_with(&self, flags: &[&str], path: &str) -> Fermata {
        let kubeconfig = self.scratch.path().join("kubeconfig");
        let launch = |ports: Ports| Launch {
            binary: env!("CARGO_BIN_EXE_fermata").into(),
            args: [
                "serve",
                "--listen",
                &format!("127.0.0.1:{}", ports.webhook),
                "--admin-listen",
                &format!("127.0.0.1:{}", ports.admin),
                "--kubeconfig",
                kubeconfig.to_str().unwrap(),
                "--own-namespace",
                self.home.name(),
                "--webhook-configuration",
                &self.name,
            ]
            .iter()
            .chain(if flags.contains(&"--drain") { &[][..] } else { &["--drain", "1s"] })
            .chain(flags)
            .map(ToString::to_string)
            .collect(),
            env: Vec::new(),
            readiness_url: format!("http://127.0.0.1:{}{path}", ports.admin),
            grace: Duration::from_secs(12),
        };
        Fermata::start(&self.scratch, launch).await.unwrap()
    }

    /// Creates a Pod by dry run; gives whether it was judged, or why it was refused.
    pub(crate) async fn review(&self) -> Result<bool, String> {
        let dry_run = PostParams { dry_run: true, field_manager: None };
        let answer = self.pods.pods().create(&dry_run, &pod()).await;
        if let Err(error) = &answer { Err(error.to_string()) } else { Ok(is_judged(&answer)) }
    }

    /// That many clients that create Pods by dry run, each of which is to be judged.
    pub(crate) fn load(&self, clients: usize) -> PodLoad {
        PodLoad::start(&self.pods, clients, &pod())
    }

    /// Waits until API servers call it and accept its certificate.
    pub(crate) async fn reviewed(&self) {
        eventually("a Pod to be judged", async || match self.review().await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.path().join(name)
    }

    fn home_api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.home.name())
    }
}

/// A Pod for Fermata to judge.
fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "probe" },
        "spec": { "containers": [{ "name": "app", "image": "registry.example.com/app:1" }] },
    }))
    .unwrap()
}

impl Drop for Installation {
    fn drop(&mut self) {
        // Pods of others must not wait for a webhook that is gone. What is namespaced is in nobody's way.
        let (kubectl, kubeconfig) = (self.cluster.kubectl().unwrap(), self.cluster.kubeconfig_path());
        let kind = "mutatingwebhookconfiguration,clusterrole,clusterrolebinding";
        let mut command = std::process::Command::new(kubectl);
        command.args([
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "delete",
            "--ignore-not-found",
            kind,
            &self.name,
        ]);
        command.output().ok();
    }
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Creates an object or replaces it, whatever was there.
async fn put<K>(api: &Api<K>, name: &str, mut object: Value)
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize + Resource,
{
    object["metadata"]["name"] = name.into();
    loop {
        match api.get_opt(name).await.unwrap() {
            None => {
                create(api, object).await;
                return;
            }
            Some(there) => {
                object["metadata"]["resourceVersion"] = there.meta().resource_version.clone().into();
                let object = serde_json::from_value(object.clone()).unwrap();
                match api.replace(name, &PostParams::default(), &object).await {
                    Ok(_) => return,
                    Err(kube::Error::Api(status)) if status.is_conflict() => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// Waits for something to come true.
pub(crate) async fn eventually<T, E: ToString>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    wait::until(what, BOUND, async || {
        Ok(match look().await {
            Ok(value) => Seen::Yes(value),
            Err(why) => Seen::NotYet(why.to_string()),
        })
    })
    .await
    .unwrap()
}

/// Whether it is ready, and the page that says why.
pub(crate) async fn readiness(fermata: &Fermata) -> (bool, String) {
    let page = http::get(&format!("http://127.0.0.1:{}/readyz", fermata.ports().admin)).await.unwrap();
    (page.status == 200, page.body)
}

/// Waits until the page says that, and whether it is ready then.
pub(crate) async fn says(fermata: &Fermata, line: &str) -> bool {
    eventually(&format!("/readyz to say {line}"), async || {
        let (ready, page) = readiness(fermata).await;
        if page.contains(line) { Ok(ready) } else { Err(page) }
    })
    .await
}

/// Waits until it has logged that, and gives all that it has logged by then.
pub(crate) async fn logged(fermata: &Fermata, said: &str) -> String {
    eventually(&format!("the log to say {said}"), async || {
        let log = fermata.process().log();
        if log.contains(said) { Ok(log) } else { Err(log) }
    })
    .await
}

/// The value of a metric.
pub(crate) async fn metric(fermata: &Fermata, name: &str) -> f64 {
    let url = format!("http://127.0.0.1:{}/metrics", fermata.ports().admin);
    let page = http::get(&url).await.unwrap().body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}
