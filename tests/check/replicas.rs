//! The replicas, as the cluster's own controllers see them.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use fermata_test_cluster::{
    TestNamespace,
    credentials::{Authority, write_private},
    wait::{self, Seen},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::stage::{Checked, Stage, base64, labels};

/// How long the controllers may take.
const BOUND: Duration = Duration::from_secs(30);

/// The labels of a replica.
fn replica_labels() -> Value {
    let mut labels = labels("fermata");
    labels["app.kubernetes.io/component"] = "webhook".into();
    labels
}

/// A Deployment, a Service and a budget, as the chart makes them.
pub(crate) async fn deploy(stage: &Stage, own: &TestNamespace, replicas: u32, admin: u16, args: &[&str]) {
    let selector = json!({ "app.kubernetes.io/name": "fermata", "app.kubernetes.io/instance": "fermata", "app.kubernetes.io/component": "webhook" });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "fermata", "labels": labels("fermata") },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": replica_labels() },
                "spec": { "containers": [{
                    "name": "fermata",
                    "image": "fermata/fermata:0",
                    "args": args,
                    "ports": [{ "name": "https", "containerPort": 8443 }, { "name": "http", "containerPort": admin }],
                }] },
            },
        },
    });
    let namespace = own.name();
    stage.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &deployment).await;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "fermata", "labels": labels("fermata") },
        "spec": { "selector": selector, "ports": [{ "name": "https", "port": 443, "targetPort": "https" }] },
    });
    stage.create(&format!("/api/v1/namespaces/{namespace}/services"), &service).await;
}

/// Plays the scheduler and the kubelet: the Pods get a node each, and are ready or not.
async fn settle(stage: &Stage, own: &TestNamespace, count: usize, played: &[(&str, Value)]) {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), own.name());
    let found = wait::until("the Pods of the Deployment", BOUND, async || {
        let found = pods.list(&ListParams::default()).await?.items;
        Ok(if found.len() == count {
            Seen::Yes(found)
        } else {
            Seen::NotYet(format!("{} Pods", found.len()))
        })
    })
    .await
    .unwrap();
    let address = address();
    for (pod, (node, state)) in found.iter().zip(played) {
        let path = format!("/api/v1/namespaces/{}/pods/{}", own.name(), pod.name_any());
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod.name_any() },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        stage.create(&format!("{path}/binding"), &binding).await;
        let mut status = state.clone();
        status["podIP"] = address.to_string().into();
        status["podIPs"] = json!([{ "ip": address }]);
        stage.merge(&format!("{path}/status"), &json!({ "status": status })).await;
    }
}

fn ready() -> Value {
    json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] })
}

fn crashing() -> Value {
    json!({
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "False", "reason": "ContainersNotReady" }],
        "containerStatuses": [{
            "name": "fermata", "image": "fermata/fermata:0", "imageID": "", "ready": false, "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 1, "message": "cannot read /etc/fermata/config.yaml" } },
        }],
    })
}

/// An address of this machine that is not loopback, which no Pod may have. Nothing is sent: the kernel only says which
/// one it would send from.
fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    match routed {
        Ok(own) if !own.ip().is_loopback() && !own.ip().is_unspecified() => own.ip(),
        _ => panic!("this machine has no address but loopback, which no Pod may have: give it one"),
    }
}

/// Nodes that nobody watches, so that nobody takes their Pods away.
async fn nodes(stage: &Stage, names: &[&str]) {
    for name in names {
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
        stage.create("/api/v1/nodes", &node).await;
    }
}

async fn register(stage: &Stage, own: &TestNamespace) {
    let target = json!({ "name": "fermata", "namespace": own.name(), "path": "/mutate", "port": 443 });
    stage.register("fermata", json!({ "service": target, "caBundle": base64(&stage.ca()) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_ready_spread_budgeted_and_reached() {
    let stage = Stage::new().await;
    let own = stage.namespace(false).await;
    let _fermata = stage.serve("127.0.0.1").await;
    register(&stage, &own).await;
    deploy(&stage, &own, 2, 1, &["serve", "--tls-secret", "fermata-authority"]).await;
    nodes(&stage, &["well-a", "well-b"]).await;
    let checked = stage.check(&[]);
    checked.assert("replicas-deployed", "ok", own.name());
    checked.assert("replicas-budget", "warning", "a node drain may take all");
    checked.assert("authority-secret", "failed", "the Secret fermata-authority does not exist");

    settle(&stage, &own, 2, &[("well-a", ready()), ("well-b", ready())]).await;
    let budget = |most: u32| {
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": { "name": "fermata" },
            "spec": { "maxUnavailable": most, "selector": { "matchLabels": { "app.kubernetes.io/name": "fermata" } } },
        })
    };
    let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", own.name());
    stage.create(&path, &budget(0)).await;
    let secret = |pem: &[u8]| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "fermata-authority" }, "data": { "tls.crt": base64(pem) } });
    let secrets = format!("/api/v1/namespaces/{}/secrets", own.name());
    stage.create(&secrets, &secret(&stage.ca())).await;
    let checked = stage
        .check_until(&[], |checked| {
            // The endpoints follow one Pod after the other.
            let reached = checked.get("replicas-reached")["message"].as_str();
            reached.is_some_and(|message| message.contains("2 ready"))
                && checked.state("replicas-ready") == "ok"
        })
        .await;
    checked.assert("replicas-ready", "ok", "2 of 2 ready");
    checked.assert("replicas-enough", "ok", "2 replicas");
    checked.assert("replicas-spread", "ok", "well-a, well-b");
    checked.assert("replicas-version", "ok", env!("CARGO_PKG_VERSION"));
    checked.assert("replicas-budget", "warning", "lets no replica go");
    checked.assert("replicas-reached", "ok", "2 ready endpoints");
    checked.assert("authority-secret", "ok", "left");
    stage.merge(&format!("{path}/fermata"), &budget(1)).await;
    stage.check(&[]).assert("replicas-budget", "ok", "fermata");
    let stranger = Authority::new("stranger").unwrap();
    stage.merge(&format!("{secrets}/fermata-authority"), &secret(stranger.pem().as_bytes())).await;
    stage.check(&[]).assert("authority-secret", "failed", "caBundle lacks the authority");

    // A new revision that never starts, as nothing here starts it: both of the earlier one go on answering.
    let image = json!([{ "name": "fermata", "image": "fermata/fermata:broken" }]);
    let template = json!({ "spec": { "template": { "spec": { "containers": image } } } });
    stage.merge(&format!("/apis/apps/v1/namespaces/{}/deployments/fermata", own.name()), &template).await;
    let stuck = |checked: &Checked| {
        let message = checked.get("replicas-ready")["message"].as_str().unwrap().to_owned();
        message.starts_with("2 of 2 ready; only 1 of the latest revision; fermata-")
    };
    let checked = stage.check_until(&[], stuck).await;
    assert_eq!(checked.state("replicas-ready"), "warning");
    let hint = checked.get("replicas-ready")["hint"].as_str().unwrap();
    assert!(hint.starts_with(&format!("kubectl -n {} describe pod/fermata-", own.name())), "{hint}");
    let shown = stage.paste(hint);
    assert!(shown.contains("fermata/fermata:broken"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_not_ready_say_why() {
    let stage = Stage::new().await;
    let own = stage.namespace(false).await;
    let _shop = stage.namespace(true).await;
    let _fermata = stage.serve("127.0.0.1").await;
    register(&stage, &own).await;
    deploy(&stage, &own, 2, 1, &["serve"]).await;
    nodes(&stage, &["ill"]).await;
    settle(&stage, &own, 2, &[("ill", crashing()), ("ill", crashing())]).await;
    let checked = stage.check_until(&[], |checked| checked.state("replicas-spread") == "warning").await;
    checked.assert("replicas-ready", "failed", "0 of 2 ready");
    checked.assert("replicas-ready", "failed", "CrashLoopBackOff (cannot read /etc/fermata/config.yaml)");
    checked.assert("replicas-spread", "warning", "all on ill");
    let checked = stage
        .check_until(&[], |checked| {
            checked.get("replicas-reached")["message"]
                .as_str()
                .unwrap()
                .contains("2 endpoints, none of them ready")
        })
        .await;
    checked.assert("replicas-reached", "failed", "2 endpoints");
    checked.assert("pod-patched", "failed", "only the API server knows");
    assert_eq!(checked.code, 1);

    stage
        .merge(
            &format!("/apis/apps/v1/namespaces/{}/deployments/fermata", own.name()),
            &json!({ "spec": { "replicas": 0 } }),
        )
        .await;
    let checked = stage.check(&[]);
    checked.assert("replicas-ready", "failed", "scaled to 0");
}

/// A replica can compare for itself, and is asked by way of the API server.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_says_what_it_makes_of_the_registration() {
    let stage = Stage::new().await;
    let own = stage.namespace(false).await;
    let authority = Authority::new("mounted").unwrap();
    let identity = authority.issue_server(&[&format!("fermata.{}.svc", own.name())]).unwrap();
    write_private(&stage.file("tls.crt"), &identity.certificate).unwrap();
    write_private(&stage.file("tls.key"), &identity.key).unwrap();
    let bundle = |authority: &Authority| base64(authority.pem().as_bytes());
    let target = json!({ "name": "fermata", "namespace": own.name(), "path": "/mutate", "port": 443 });
    stage.register("fermata", json!({ "service": target, "caBundle": bundle(&authority) })).await;
    let (certificate, key) = (stage.file("tls.crt"), stage.file("tls.key"));
    let settings = stage.file("config.yaml");
    std::fs::write(&settings, "defaults: { drain: 20s }\n").unwrap();
    let flags = [
        "--config",
        settings.to_str().unwrap(),
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
        "--webhook-configuration",
        "fermata",
    ];
    let fermata = stage.serve_with(address(), &flags).await;
    deploy(&stage, &own, 1, fermata.ports().admin, &["serve"]).await;
    nodes(&stage, &["lonely"]).await;
    settle(&stage, &own, 1, &[("lonely", ready())]).await;
    let checked = stage.check_until(&[], |checked| checked.state("replicas-ready") == "ok").await;
    checked.assert("registration-ca-matches", "ok", "the replicas have compared it themselves");
    checked.assert("replicas-enough", "warning", "1 replica");

    // What is refused does not count, and the earlier settings still do.
    std::fs::write(&settings, "defaults: { drian: 20s }\n").unwrap();
    let checked = stage.check_until(&[], |checked| checked.state("replicas-ready") == "warning").await;
    checked.assert("replicas-ready", "warning", "1 of 1 ready; config degraded: ");
    checked.assert("replicas-ready", "warning", "drian");
    std::fs::write(&settings, "defaults: { drain: 20s }\n").unwrap();
    stage.check_until(&[], |checked| checked.state("replicas-ready") == "ok").await;

    let stranger = Authority::new("stranger").unwrap();
    stage.change("fermata", &json!({ "clientConfig": { "caBundle": bundle(&stranger) } })).await;
    let checked =
        stage.check_until(&[], |checked| checked.state("registration-ca-matches") == "failed").await;
    checked.assert("registration-ca-matches", "failed", "does not have its authority");
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), own.name());
    let pod = pods.list(&ListParams::default()).await.unwrap().items[0].name_any();
    let status = json!({ "conditions": [{ "type": "Ready", "status": "False" }] });
    stage
        .merge(&format!("/api/v1/namespaces/{}/pods/{pod}/status", own.name()), &json!({ "status": status }))
        .await;
    let checked = stage.check_until(&[], |checked| checked.state("replicas-ready") == "failed").await;
    checked.assert("replicas-ready", "failed", &format!("{pod}: registration failed: "));
}
