//! `make try`: Fermata's main job on a real API server, shown to a person.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions,
    fermata::{Fermata, Launch},
    namespace::TestNamespace,
    wait::{self, Seen},
    webhook::{OPT_IN_LABEL, WebhookOptions, WebhookRegistration},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::{Map, Value, json};

/// How long the controllers may take from the Deployment to its Pods.
const PODS_BOUND: Duration = Duration::from_secs(30);

/// The annotation that shows that a Pod has been judged.
const STATUS: &str = "fermata.dev/status";

/// Everything that runs, while it is to run.
pub(crate) struct Trial {
    control_plane: ControlPlane,
    fermata: Fermata,
    namespace: TestNamespace,
    registration: WebhookRegistration,
}

/// Starts everything, applies the sample, and prints what became of it.
pub(crate) async fn run(fermata: &Path) -> anyhow::Result<Trial> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/deployment.yaml");
    let sample = sample.canonicalize().with_context(|| format!("failed to find {}", sample.display()))?;
    let trial = start(fermata).await?;

    let text =
        std::fs::read_to_string(&sample).with_context(|| format!("failed to read {}", sample.display()))?;
    let deployment: Value =
        serde_saphyr::from_str(&text).with_context(|| format!("failed to parse {}", sample.display()))?;
    let stored = trial.pod_of(&deployment, trial.namespace.name()).await?;
    // The same Deployment where nobody has opted in shows what the API server alone makes of it, so that the
    // difference is Fermata's and nothing else.
    let elsewhere = trial.control_plane.namespace("elsewhere", &[], &[]).await?;
    let bare = trial.pod_of(&deployment, elsewhere.name()).await?;
    say("sample", "deploy/samples/deployment.yaml, applied in both kinds of namespace; its Pods are there");

    let asked = ending(&deployment["spec"]["template"]);
    heading(&format!("asked: the Pod template of Deployment {}", name(&deployment)));
    print!("{}", yaml(&asked)?);
    heading(&format!("stored: Pod {}", name(&stored)));
    let stored = yaml(&ending(&stored))?;
    print!("{stored}");
    heading("the difference, to the same Pod in a namespace that has not opted in");
    print_difference(&yaml(&ending(&bare))?, &stored);
    heading("how a Pod of it ends, before and after");
    let explained = Command::new(fermata).arg("explain").arg(&sample).status();
    let explained = explained.with_context(|| format!("failed to run {} explain", fermata.display()))?;
    // 1 says that admission would change something, as it should.
    ensure!(matches!(explained.code(), Some(0 | 1)), "fermata explain ended with {explained}");
    Ok(trial)
}

async fn start(binary: &Path) -> anyhow::Result<Trial> {
    let started = Instant::now();
    let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
    let took = started.elapsed().as_secs_f64();
    say("control plane", &format!("Kubernetes {}, ready after {took:.1} s", control_plane.server_version()));

    let ca = control_plane.scratch().path().join("fermata-ca.pem");
    let fermata = Fermata::start(control_plane.scratch(), |ports| Launch {
        binary: absolute(binary),
        args: [
            "serve".to_owned(),
            format!("--listen=127.0.0.1:{}", ports.webhook),
            format!("--admin-listen=127.0.0.1:{}", ports.admin),
            "--tls-self-signed".to_owned(),
            format!("--tls-ca-out={}", ca.display()),
            format!("--kubeconfig={}", control_plane.kubeconfig_path().display()),
            "--drain=0s".to_owned(),
        ]
        .into(),
        env: Vec::new(),
        readiness_url: format!("http://127.0.0.1:{}/readyz", ports.admin),
        grace: Duration::from_secs(5),
    })
    .await?;
    let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
    say("fermata serve", &url);

    let bundle = std::fs::read_to_string(&ca).with_context(|| format!("failed to read {}", ca.display()))?;
    let registration =
        WebhookRegistration::create(&control_plane, &WebhookOptions::new(&url, bundle)).await?;
    let namespace = control_plane.namespace("shop", &[OPT_IN_LABEL], &[]).await?;
    let probe: Pod = serde_json::from_value(json!({
        "metadata": { "name": "probe" },
        "spec": { "containers": [{ "name": "probe", "image": "registry.example.com/probe:1" }] },
    }))?;
    let judged =
        |answer: &kube::Result<Pod>| answer.as_ref().is_ok_and(|pod| pod.annotations().contains_key(STATUS));
    registration.wait_until_effective(&namespace, &probe, judged).await?;
    say("namespace", &format!("{}, labelled {}: {}", namespace.name(), OPT_IN_LABEL.0, OPT_IN_LABEL.1));
    Ok(Trial { control_plane, fermata, namespace, registration })
}

impl Trial {
    /// Creates the Deployment and gives its first Pod.
    async fn pod_of(&self, deployment: &Value, namespace: &str) -> anyhow::Result<Value> {
        let kind = |group: &str, kind: &str| ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let client = self.control_plane.client()?;
        let deployments: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &kind("apps", "Deployment"));
        let object = serde_json::from_value(deployment.clone()).context("failed to read the sample")?;
        deployments.create(&PostParams::default(), &object).await.context("failed to create the sample")?;
        let pods: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind("", "Pod"));
        let wanted = usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap_or(1))?;
        let pod = wait::until("the sample's Pods", PODS_BOUND, async || {
            let mut pods = pods.list(&ListParams::default()).await?.items;
            if pods.len() < wanted {
                return Ok(Seen::NotYet(format!("{} of {wanted}", pods.len())));
            }
            Ok(Seen::Yes(pods.swap_remove(0)))
        })
        .await?;
        Ok(serde_json::to_value(pod)?)
    }

    /// Says how a person gets at what is running.
    pub(crate) fn print_how_to_reach(&self) {
        heading("it goes on running; Ctrl-C stops and removes everything");
        println!("export KUBECONFIG={}", self.control_plane.kubeconfig_path().display());
        let kubectl =
            self.control_plane.kubectl().map_or_else(|| PathBuf::from("kubectl"), Path::to_path_buf);
        println!("{} get pods --namespace {}", kubectl.display(), self.namespace.name());
        println!("curl http://127.0.0.1:{}/metrics", self.fermata.ports().admin);
        println!("less {}", self.fermata.process().log_path().display());
    }

    /// Ends and removes everything, in good order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.registration.delete().await?;
        self.fermata.stop().await?;
        self.control_plane.stop().await
    }
}

/// What of a Pod or a Pod template is about its ending.
fn ending(pod: &Value) -> Value {
    let mut containers = Vec::new();
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        containers.push(only(container, &["name", "image", "lifecycle"]));
    }
    let mut spec = only(&pod["spec"], &["terminationGracePeriodSeconds"]);
    spec["containers"] = containers.into();
    json!({ "metadata": only(&pod["metadata"], &["annotations"]), "spec": spec })
}

fn only(object: &Value, members: &[&str]) -> Value {
    let members =
        members.iter().filter_map(|name| object.get(name).map(|value| ((*name).to_owned(), value.clone())));
    Value::Object(members.collect::<Map<_, _>>())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn yaml(value: &Value) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(value).context("failed to write YAML")?;
    Ok(text.trim_end().to_owned() + "\n")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn say(what: &str, how: &str) {
    println!("{what:<14} {how}");
}

fn heading(text: &str) {
    println!("\n── {text} ──\n");
}

/// A line each, with colours only for a person.
fn print_difference(before: &str, after: &str) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let difference = similar::TextDiff::from_lines(before, after);
    for change in difference.iter_all_changes() {
        let (sign, colour) = match change.tag() {
            similar::ChangeTag::Delete => ('-', "\x1b[31m"),
            similar::ChangeTag::Insert => ('+', "\x1b[32m"),
            similar::ChangeTag::Equal => (' ', ""),
        };
        let line = change.value().trim_end();
        if colours && !colour.is_empty() {
            println!("{colour}{sign} {line}\x1b[0m");
        } else {
            println!("{sign} {line}");
        }
    }
}
