//! Fermata comes and goes; Pods do not suffer.

use std::time::Duration;

use fermata_test_cluster::{
    ControlPlane,
    credentials::{Authority, write_private},
    http,
    mounted::MountedPair,
    pod_load::PodLoad,
    wait::{self, Seen},
    webhook::{FailurePolicy, WebhookOptions},
};
use kube::api::PostParams;
use serde_json::json;

use crate::{
    balancer::Balancer,
    stage::{Files, STATUS, Stage, pod, serve, serve_with, typed},
};

#[tokio::test(flavor = "multi_thread")]
async fn pods_start_unchanged_while_no_webhook_answers() {
    let cluster = ControlPlane::shared().await.unwrap();
    let files = Files::new();
    let fermata = serve(cluster, &files, &[]).await;
    let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
    let options =
        WebhookOptions { failure_policy: FailurePolicy::Ignore, ..WebhookOptions::new(url, files.ca()) };
    let stage = Stage::registered(cluster, files, fermata, options).await;
    stage.fermata.terminate().unwrap();
    let (code, log) = stage.fermata.ended().await;
    assert_eq!(code, 0, "{log}");
    let pods = stage.namespace.pods();
    let stored = pods.create(&PostParams::default(), &typed(&pod("unchanged", &json!({})))).await.unwrap();
    assert!(stored.metadata.annotations.is_none_or(|annotations| !annotations.contains_key(STATUS)));
    assert_eq!(stored.spec.unwrap().termination_grace_period_seconds, Some(30));
}

/// Pods created by four clients at a time.
fn load(stage: &Stage) -> PodLoad {
    PodLoad::start(&stage.namespace, 4, &typed(&pod("load", &json!({}))))
}

/// The value of a metric without labels, or with exactly these.
async fn metric(admin: u16, name: &str) -> Option<f64> {
    let page = http::get(&format!("http://127.0.0.1:{admin}/metrics")).await.ok()?.body;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_without_a_failed_review() {
    let cluster = ControlPlane::shared().await.unwrap();
    let files = Files::new();
    let authority = Authority::new("mounted").unwrap();
    let issue = || authority.issue_server(&["127.0.0.1"]).unwrap();
    let mounted = MountedPair::create(&files.path("tls"), &issue()).unwrap();
    let flags = mounted.flags();
    let fermata = serve_with(cluster, &files, &[&flags[0], &flags[1]]).await;
    let admin = fermata.ports().admin;
    let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
    let options =
        WebhookOptions { failure_policy: FailurePolicy::Fail, ..WebhookOptions::new(url, authority.pem()) };
    let stage = Stage::registered(cluster, files, fermata, options).await;

    let load = load(&stage);
    for version in 1..=5 {
        mounted.publish(&issue()).unwrap();
        wait::until("the new certificate", Duration::from_secs(30), async || {
            let reloads = metric(admin, "fermata_certificate_reloads_total{result=\"ok\"}").await;
            Ok(if reloads >= Some(version.into()) {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{reloads:?}"))
            })
        })
        .await
        .unwrap();
        load.run(20).await.unwrap();
    }
    load.stop().await.expect_no_failure().unwrap();
}

/// One of two leaves while Pods are created. The API server keeps its connections to it open, whatever the
/// Service says, so it has to close them itself.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_ends_under_load_without_a_failed_review() {
    let cluster = ControlPlane::shared().await.unwrap();
    let authority = Authority::new("shared").unwrap();
    let files = Files::new();
    let identity = authority.issue_server(&["127.0.0.1"]).unwrap();
    write_private(&files.path("tls.crt"), &identity.certificate).unwrap();
    write_private(&files.path("tls.key"), &identity.key).unwrap();
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let leaving = serve_with(cluster, &files, &flags).await;
    let staying = serve_with(cluster, &files, &flags).await;
    let balancer = Balancer::start(&[leaving.ports().webhook, staying.ports().webhook]).await;
    let url = format!("https://{}/mutate", balancer.address);
    let options =
        WebhookOptions { failure_policy: FailurePolicy::Fail, ..WebhookOptions::new(url, authority.pem()) };
    let stage = Stage::registered(cluster, files, staying, options).await;

    let load = load(&stage);
    load.run(100).await.unwrap();
    let admin = leaving.ports().admin;
    leaving.terminate().unwrap();
    // A Service hears of it by the readiness, and sends no new connection.
    wait::until("unreadiness", Duration::from_secs(30), async || {
        Ok(match http::get(&format!("http://127.0.0.1:{admin}/readyz")).await {
            Ok(answer) if answer.status == 200 => Seen::NotYet("still ready".to_owned()),
            _ => Seen::Yes(()),
        })
    })
    .await
    .unwrap();
    balancer.remove(leaving.ports().webhook);
    let (code, log) = leaving.ended().await;
    assert_eq!(code, 0, "{log}");
    load.run(100).await.unwrap();
    load.stop().await.expect_no_failure().unwrap();
}
