//! Certificates change, and so does who signs them.

use std::time::Duration;

use fermata_test_cluster::{
    ControlPlane, Fermata,
    credentials::Authority,
    http,
    wait::{self, Seen},
    webhook::WebhookOptions,
};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ServiceReference};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use tokio::time::{Instant, sleep};

use crate::{
    figures::publish,
    load::{Load, turn},
    replicas::{NAME, NEWS, Replicas},
};

/// Waits until a replica has taken up so many changes of its files.
async fn reloaded(replica: &Fermata, times: u32) {
    let wanted = format!("fermata_certificate_reloads_total{{result=\"ok\"}} {times}");
    wait::until("the new certificate", Duration::from_secs(10), async || {
        let page = http::get(&format!("http://127.0.0.1:{}/metrics", replica.ports().admin)).await?.body;
        let seen = page.lines().any(|line| line == wanted);
        let now = page.lines().find(|line| line.starts_with("fermata_certificate_reloads_total"));
        Ok(if seen { Seen::Yes(()) } else { Seen::NotYet(format!("{now:?}")) })
    })
    .await
    .unwrap();
}

/// New certificates, and then one of another authority, which API servers are told to trust before it is served and
/// which is the only one that they trust in the end.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_fail_no_review() {
    let _turn = turn().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let (authority, next) = (Authority::new("mounted").unwrap(), Authority::new("the next").unwrap());
    let replicas = Replicas::with_files(cluster, &authority).await;
    let both = [replicas.start().await, replicas.start().await];
    let load = Load::start(replicas.client());
    load.answered(250).await;
    for times in 1..=2 {
        replicas.publish(&authority);
        for replica in &both {
            reloaded(replica, times).await;
        }
        // Connections outlive certificates; an API server that has none yet is the one to see the new one.
        replicas.register(authority.pem());
        load.answered(50).await;
    }
    replicas.register(&format!("{}{}", next.pem(), authority.pem()));
    sleep(NEWS).await;
    replicas.publish(&next);
    for replica in &both {
        reloaded(replica, 3).await;
    }
    load.answered(250).await;
    replicas.register(next.pem());
    load.answered(500).await;
    let figures = load.stop().await;
    publish("files that change, and another authority", &figures);
    figures.expect_no_failure();
}

/// The value of a metric of a replica.
async fn metric(replica: &Fermata, name: &str) -> u32 {
    let page = http::get(&format!("http://127.0.0.1:{}/metrics", replica.ports().admin)).await.unwrap().body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// Registers a webhook for Pods that there are not, under the name by which API servers know the Service.
async fn unused_registration(configurations: &Api<MutatingWebhookConfiguration>) -> String {
    let mut configuration = WebhookOptions {
        only_namespace: Some("nowhere".to_owned()),
        ..WebhookOptions::new("https://unused", "")
    }
    .configuration();
    let client = &mut configuration.webhooks.as_mut().unwrap()[0].client_config;
    (client.url, client.ca_bundle) = (None, None);
    let (name, namespace) = ("fermata".to_owned(), "fermata".to_owned());
    client.service = Some(ServiceReference { name, namespace, path: Some("/mutate".to_owned()), port: None });
    configurations.create(&PostParams::default(), &configuration).await.unwrap().name_any()
}

/// Ten certificates of each of two replicas and an authority after the first, with the lifetimes of mayflies. API
/// servers are always half a second behind with what they trust, and always new ones, without a connection.
#[tokio::test(flavor = "multi_thread")]
async fn ten_certificates_and_a_new_authority_fail_no_review() {
    let _turn = turn().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let home = cluster.namespace("home", &[], &[]).await.unwrap();
    let configurations = Api::<MutatingWebhookConfiguration>::all(cluster.client().unwrap());
    let name = unused_registration(&configurations).await;
    let flags = [
        "--tls-secret=fermata-authority",
        &format!("--tls-name={NAME}"),
        &format!("--webhook-configuration={name}"),
        &format!("--own-namespace={}", home.name()),
        "--tls-certificate-lifetime=4s",
        "--tls-authority-lifetime=28s",
    ];
    let replicas = Replicas::with_secret(cluster, flags.map(str::to_owned).to_vec()).await;
    let both = [replicas.start().await, replicas.start().await];
    let registered = async || {
        let webhook = configurations.get(&name).await.unwrap().webhooks.unwrap().remove(0);
        String::from_utf8(webhook.client_config.ca_bundle.unwrap().0).unwrap()
    };
    let mut known = registered().await;
    replicas.register(&known);
    let load = Load::start(replicas.client());
    let bound = Instant::now() + Duration::from_mins(1);
    let mut counts = Vec::new();
    while Instant::now() < bound {
        sleep(Duration::from_millis(500)).await;
        replicas.register(&known);
        known = registered().await;
        counts.clear();
        for replica in &both {
            let certificates = metric(replica, "fermata_certificate_renewals_total{result=\"ok\"}").await;
            let authorities = metric(replica, "fermata_authority_renewals_total{result=\"ok\"}").await;
            counts.push((certificates, authorities));
        }
        // The first of each was no change.
        let authorities: u32 = counts.iter().map(|(_, authorities)| authorities).sum();
        if authorities > 1 && counts.iter().all(|(certificates, _)| *certificates > 10) {
            break;
        }
    }
    // The new authority is served after it has been registered for a while.
    load.run(Duration::from_secs(3)).await;
    replicas.register(&registered().await);
    load.answered(250).await;
    let figures = load.stop().await;
    publish(
        "certificates and authority of their own, (certificates, authorities) made by each",
        &format!("{counts:?}, {figures}"),
    );
    assert!(Instant::now() < bound + Duration::from_secs(10), "too few changes: {counts:?}");
    figures.expect_no_failure();
    configurations.delete(&name, &DeleteParams::default()).await.unwrap();
}
