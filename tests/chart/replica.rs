//! A replica with the chart's own arguments, settings and rights, behind the chart's own registration.
//!
//! There is no node, so the replica is a process of this test: it gets the arguments of the Deployment's container, the
//! token of the chart's `ServiceAccount` and the content of its `ConfigMap`. There is no kube-proxy either, so the
//! Service is made to lead to this machine.

use std::time::Duration;

use fermata_test_cluster::{Fermata, Launch, Ports, Scratch, credentials::write_private};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::stage::{HELMS, Stage, create, eventually};

/// What Fermata's container would be started with, on ports of this machine. Where that mounts a certificate, it is in the
/// folder.
pub(crate) async fn start(stage: &Stage, scratch: &Scratch) -> Fermata {
    let client = stage.cluster.client().unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "fermata");
    let pods = deployments.get("fermata").await.unwrap().spec.unwrap().template.spec.unwrap();
    let arguments = pods.containers[0].args.clone().unwrap();

    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), "fermata");
    let config = scratch.path().join("config.yaml");
    std::fs::write(&config, &configs.get("fermata-config").await.unwrap().data.unwrap()["config.yaml"])
        .unwrap();

    let accounts: Api<ServiceAccount> = Api::namespaced(client, "fermata");
    let account = pods.service_account_name.unwrap();
    let request: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } })).unwrap();
    let token = accounts.create_token_request(&account, &PostParams::default(), &request).await.unwrap();
    let authority = scratch.path().join("ca.crt");
    write_private(&authority, stage.cluster.ca_pem()).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "contexts": [{ "name": "pod", "context": { "cluster": "own", "user": "pod" } }],
        "clusters": [{ "name": "own", "cluster": {
            "server": stage.cluster.server_url(), "certificate-authority": authority,
        } }],
        "users": [{ "name": "pod", "user": { "token": token.status.unwrap().token } }],
    });
    let access = scratch.path().join("kubeconfig");
    write_private(&access, &kubeconfig.to_string()).unwrap();

    let launch = |ports: Ports| {
        let here = |argument: &String| match argument.split_once('=').map_or("", |(option, _)| option) {
            "--listen" => format!("--listen=127.0.0.1:{}", ports.webhook),
            "--admin-listen" => format!("--admin-listen=127.0.0.1:{}", ports.admin),
            "--config" => format!("--config={}", config.display()),
            option @ ("--tls-cert" | "--tls-key") => {
                let ending = if option == "--tls-cert" { "crt" } else { "key" };
                format!("{option}={}", scratch.path().join("tls").with_extension(ending).display())
            }
            _ => argument.clone(),
        };
        Launch {
            binary: env!("CARGO_BIN_EXE_fermata").into(),
            args: arguments.iter().map(here).chain([format!("--kubeconfig={}", access.display())]).collect(),
            env: vec![("POD_NAMESPACE".to_owned(), "fermata".to_owned())],
            readiness_url: format!("http://127.0.0.1:{}/readyz", ports.admin),
            grace: Duration::from_secs(20),
        }
    };
    Fermata::start(scratch, launch).await.unwrap()
}

/// Lets the Service lead to the replica.
async fn route(stage: &Stage, fermata: &Fermata) {
    let client = stage.cluster.client().unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), "fermata");
    let elsewhere = json!({ "spec": { "type": "ExternalName", "externalName": "localhost", "clusterIP": null, "clusterIPs": null } });
    services.patch("fermata", &PatchParams::default(), &Patch::Merge(&elsewhere)).await.unwrap();
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client);
    let port = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig/service/port", "value": fermata.ports().webhook }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(port).unwrap());
    configurations.patch("fermata", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_the_chart_s_own_rights_gives_pods_their_drain() {
    for binary in HELMS {
        let stage = Stage::shared(binary).await;
        let client = stage.cluster.client().unwrap();
        let flags = ["--set", "webhook.failurePolicy=Fail,drainSeconds=1,config.defaults.drain=7s"];
        stage.install("fermata", "fermata", &flags).await;
        let scratch = Scratch::create().unwrap();
        // Ready says: the authority is in the Secret, and what is registered trusts what is served.
        let fermata = start(&stage, &scratch).await;

        // What the replica has registered is in nobody's way, and stays.
        let bundle = bundle(&stage).await;
        stage.upgrade("fermata", "fermata", &["--reuse-values", "--set", "webhook.timeoutSeconds=9"]).await;
        assert_eq!(self::bundle(&stage).await, bundle, "after the upgrade");

        route(&stage, &fermata).await;
        let namespace = stage.opted_in().await;
        let mut number = 0;
        let stored = eventually("a Pod with its drain", async || {
            number += 1;
            create(&namespace, &format!("app-{number}")).await.map_err(|error| error.to_string())
        })
        .await;
        let spec = stored.spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(37), "{:?}", spec.containers);

        // The chart's own image of the shim, for whoever asks for it.
        let mut shimmed = crate::stage::pod("shimmed");
        shimmed.annotations_mut().insert("fermata.dev/shim".to_owned(), "init".to_owned());
        let container = &mut shimmed.spec.as_mut().unwrap().containers[0];
        container.command = Some(vec!["app".to_owned()]);
        let stored: Pod = namespace.pods().create(&PostParams::default(), &shimmed).await.unwrap();
        let init = &stored.spec.unwrap().init_containers.unwrap()[0];
        assert_eq!(init.image.as_deref(), Some(concat!("fermata/fermata-shim:", env!("CARGO_PKG_VERSION"))));

        // The replica is still there and sees everything go. It must not bring back what it kept.
        stage.uninstall("fermata", "fermata").await;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "fermata");
        let watched = Instant::now() + Duration::from_secs(2);
        while Instant::now() < watched {
            assert_eq!(secrets.get_opt("fermata-authority").await.unwrap(), None);
            assert!(stage.configurations().await.is_empty());
            sleep(Duration::from_millis(50)).await;
        }
        fermata.process().check_running().unwrap();
        create(&namespace, "after").await.unwrap();
        fermata.stop().await.unwrap();
    }
}

/// What is registered: certificates, and nothing that anybody else has put there.
async fn bundle(stage: &Stage) -> String {
    let mut configurations = stage.configurations().await;
    let webhook = configurations.remove(0).webhooks.unwrap().remove(0);
    let bundle = String::from_utf8(webhook.client_config.ca_bundle.unwrap().0).unwrap();
    assert!(bundle.contains("BEGIN CERTIFICATE"), "{bundle}");
    bundle
}
