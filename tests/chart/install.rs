//! Installing, with the values that people use: the API server takes every object, and what it takes is complete.

use std::path::Path;

use fermata_test_cluster::assets::{self, Binary};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{Namespace, Pod, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::stage::{HELMS, Stage, VALIDATED, create, eventually};

/// What every release has, whatever the values.
const ALWAYS: [&str; 9] = [
    "ClusterRole fermata",
    "ClusterRoleBinding fermata",
    "ConfigMap fermata/fermata-config",
    "Deployment fermata/fermata",
    "MutatingWebhookConfiguration fermata",
    "PodDisruptionBudget fermata/fermata",
    "Service fermata/fermata",
    "Service fermata/fermata-metrics",
    "ServiceAccount fermata/fermata",
];

/// What the self-signed mode has beside that.
const SELF_SIGNED: [&str; 3] =
    ["Role fermata/fermata", "RoleBinding fermata/fermata", "Secret fermata/fermata-authority"];

/// Whatever of a release is not made by a controller.
async fn installed(stage: &Stage) -> Vec<String> {
    let all = stage.labelled("app.kubernetes.io/name=fermata").await;
    let made = ["ReplicaSet ", "Pod ", "ControllerRevision "];
    all.into_iter().filter(|object| !made.iter().any(|kind| object.starts_with(kind))).collect()
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all: Vec<&str> = ALWAYS.iter().chain(more).copied().collect();
    all.sort_unstable();
    all
}

/// cert-manager's and the Prometheus operator's own definitions of the objects that the chart makes for them.
pub(crate) async fn define_custom_resources(stage: &Stage) {
    let cert_manager = assets::source(assets::CERT_MANAGER).await.unwrap().join("deploy/crds");
    let prometheus =
        assets::source(assets::PROMETHEUS_OPERATOR).await.unwrap().join("example/prometheus-operator-crd");
    let files = [
        cert_manager.join("cert-manager.io_certificates.yaml"),
        cert_manager.join("cert-manager.io_issuers.yaml"),
        prometheus.join("monitoring.coreos.com_servicemonitors.yaml"),
        prometheus.join("monitoring.coreos.com_podmonitors.yaml"),
        prometheus.join("monitoring.coreos.com_prometheusrules.yaml"),
    ];
    // They are too large for the annotation of a client-side apply.
    let mut words = vec!["apply", "--server-side", "--force-conflicts"];
    words.extend(files.iter().flat_map(|file| ["--filename", path(file)]));
    let applied = stage.kubectl(&words).await;
    assert!(applied.status.success(), "{applied:?}");
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
    assert!(stage.kubectl(&wait).await.status.success());
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_values() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        let notes = stage.install("fermata", "fermata", &[VALIDATED]).await;
        assert!(notes.contains("kubectl label namespace NAME fermata.dev/inject=enabled"), "{notes}");
        assert_eq!(installed(&stage).await, with(&SELF_SIGNED));
        stage.uninstall("fermata", "fermata").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_and_no_pod_without_an_answer() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        let flags = ["--set", "replicas=3,webhook.failurePolicy=Fail,podDisruptionBudget.minAvailable=2"];
        let notes = stage.install("fermata", "fermata", &flags).await;
        assert!(notes.contains("kubectl delete mutatingwebhookconfiguration fermata"), "{notes}");
        assert_eq!(installed(&stage).await, with(&SELF_SIGNED));
        stage.uninstall("fermata", "fermata").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cert_manager_and_everything_that_can_be_switched_on() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        define_custom_resources(&stage).await;
        let everything = "tls.mode=certManager,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,\
                          networkPolicy.enabled=true,networkPolicy.apiServerCidrs={192.0.2.0/24},priorityClass.create=true";
        stage.install("fermata", "fermata", &[VALIDATED, "--set", everything]).await;
        let more = [
            "Certificate fermata/fermata",
            "Certificate fermata/fermata-authority",
            "Issuer fermata/fermata",
            "Issuer fermata/fermata-root",
            "NetworkPolicy fermata/fermata",
            "PriorityClass fermata",
            "PrometheusRule fermata/fermata",
            "ServiceMonitor fermata/fermata",
        ];
        assert_eq!(installed(&stage).await, with(&more));
        let configuration = &stage.configurations().await[0];
        assert_eq!(configuration.annotations()["cert-manager.io/inject-ca-from"], "fermata/fermata");

        // An issuer of the operator's own takes the place of the chart's, and what it replaces goes.
        let issuer = "tls.mode=certManager,tls.certManager.issuerRef.name=company,tls.certManager.issuerRef.kind=ClusterIssuer,\
                      metrics.podMonitor.enabled=true";
        stage.upgrade("fermata", "fermata", &[VALIDATED, "--reset-values", "--set", issuer]).await;
        assert_eq!(
            installed(&stage).await,
            with(&["Certificate fermata/fermata", "PodMonitor fermata/fermata"])
        );
        stage.uninstall("fermata", "fermata").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_one_s_own() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        let authority = stage.cluster.scratch().path().join("own-ca.crt");
        std::fs::write(&authority, stage.cluster.ca_pem()).unwrap();
        let bundle = format!("tls.caBundle={}", path(&authority));
        let flags = ["--set", "tls.mode=files,tls.secretName=own", "--set-file", &bundle];
        stage.install("fermata", "fermata", &flags).await;
        assert_eq!(installed(&stage).await, with(&[]));
        let configurations = stage.configurations().await;
        let webhook = &configurations[0].webhooks.as_ref().unwrap()[0];
        let registered = &webhook.client_config.ca_bundle.as_ref().unwrap().0;
        assert_eq!(String::from_utf8_lossy(registered).trim(), stage.cluster.ca_pem().trim());
        stage.uninstall("fermata", "fermata").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replicas_meet_the_strictest_pod_security_standard() {
    let stage = Stage::new(Binary::Helm).await;
    let namespaces: Api<Namespace> = Api::all(stage.cluster.client().unwrap());
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "fermata", "labels": labels } });
    let apply = PatchParams::apply("test").force();
    namespaces.patch("fermata", &apply, &Patch::Apply(&namespace)).await.unwrap();
    stage.install("fermata", "fermata", &[]).await;
    let pods: Api<Pod> = Api::namespaced(stage.cluster.client().unwrap(), "fermata");
    let found = eventually("two replicas", async || {
        let list = ListParams::default().labels("app.kubernetes.io/component=webhook");
        let items = pods.list(&list).await.map_err(|error| error.to_string())?.items;
        if items.len() == 2 { Ok(items) } else { Err(format!("{} Pods", items.len())) }
    })
    .await;
    // Its own Pods are never its own business.
    for pod in found {
        assert!(!pod.annotations().contains_key("fermata.dev/status"));
        let spec = pod.spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(30));
        let token = |volume: &k8s_openapi::api::core::v1::Volume| volume.name.starts_with("kube-api-access");
        assert!(spec.volumes.unwrap().iter().any(token), "no token");
    }
    stage.uninstall("fermata", "fermata").await;
    let none = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "fermata" } });
    namespaces.patch("fermata", &apply, &Patch::Apply(&none)).await.unwrap();
}

/// Neither an upgrade nor a rollback takes away what the replicas have written.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_replicas_keep_survives_an_upgrade_and_a_rollback() {
    for binary in HELMS {
        let stage = Stage::new(binary).await;
        stage.install("fermata", "fermata", &[]).await;
        let client = stage.cluster.client().unwrap();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "fermata");
        let filled = json!({ "data": { "tls.crt": "Y2VydGlmaWNhdGU=", "tls.key": "a2V5" } });
        secrets.patch("fermata-authority", &PatchParams::default(), &Patch::Merge(&filled)).await.unwrap();
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let bundle = stage.cluster.ca_pem().as_bytes().to_vec();
        let trusted = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "webhooks": [{ "name": "pods.fermata.dev", "clientConfig": { "caBundle": k8s_openapi::ByteString(bundle.clone()) } }],
        });
        let apply = PatchParams::apply("fermata").force();
        configurations.patch("fermata", &apply, &Patch::Apply(&trusted)).await.unwrap();

        let check = async |step: &str, timeout: i32, replicas: i32| {
            let data = secrets.get("fermata-authority").await.unwrap().data.unwrap();
            assert_eq!(data["tls.crt"].0, b"certificate", "{step}");
            let webhook = configurations.get("fermata").await.unwrap().webhooks.unwrap().swap_remove(0);
            assert_eq!(webhook.client_config.ca_bundle.unwrap().0, bundle, "{step}");
            assert_eq!(webhook.timeout_seconds, Some(timeout), "{step}");
            let deployments: Api<Deployment> = Api::namespaced(client.clone(), "fermata");
            let deployment = deployments.get("fermata").await.unwrap();
            assert_eq!(deployment.spec.unwrap().replicas, Some(replicas), "{step}");
        };
        check("installed", 5, 2).await;
        stage.upgrade("fermata", "fermata", &["--set", "webhook.timeoutSeconds=7,replicas=3"]).await;
        check("upgraded", 7, 3).await;
        stage.helm.success(&["rollback", "fermata", "1", "--namespace", "fermata"]).await.unwrap();
        check("rolled back", 5, 2).await;
        stage.uninstall("fermata", "fermata").await;
        assert_eq!(secrets.get_opt("fermata-authority").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_decides_who_is_asked() {
    let stage = Stage::new(Binary::Helm).await;
    // Nothing answers, and that is refused: so one sees who is asked.
    let flags = ["--set", "webhook.failurePolicy=Fail,webhook.excludedNamespaces={kept-out}"];
    stage.install("fermata", "fermata", &flags).await;
    let shop = stage.opted_in().await;
    let asked = eventually("the API server to ask", async || {
        if let Err(error) = create(&shop, "asked").await {
            return Ok(error.to_string());
        }
        shop.pods().delete("asked", &DeleteParams::default()).await.ok();
        Err("the Pod was created".to_owned())
    })
    .await;
    assert!(asked.contains("pods.fermata.dev"), "{asked}");

    let client = stage.cluster.client().unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let label = json!({ "metadata": { "labels": { "fermata.dev/inject": "enabled" } } });
    let kept_out = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kept-out" } });
    let apply = PatchParams::apply("test").force();
    namespaces.patch("kept-out", &apply, &Patch::Apply(&kept_out)).await.unwrap();
    for name in ["fermata", "kept-out", "kube-system"] {
        namespaces.patch(name, &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(client.clone(), name);
        let dry_run = PostParams { dry_run: true, field_manager: None };
        eventually(&format!("a Pod in {name}"), async || {
            pods.create(&dry_run, &crate::stage::pod("free")).await.map_err(|error| error.to_string())
        })
        .await;
    }
    let mut out = crate::stage::pod("opted-out");
    out.labels_mut().insert("fermata.dev/inject".to_owned(), "disabled".to_owned());
    shop.pods().create(&PostParams::default(), &out).await.unwrap();
    stage.uninstall("fermata", "fermata").await;
    create(&shop, "after").await.unwrap();
}
