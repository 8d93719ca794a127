//! Certificates change, and so does who signs them.

use std::{sync::Arc, time::Duration};

use fermata_test_cluster::{
    ControlPlane, Fermata,
    credentials::Authority,
    http,
    service::Service,
    wait::{self, Seen},
    webhook_client::{WebhookClient, connection::post},
};
use tokio::time::{Instant, sleep};

use crate::{
    figures::{Figures, publish},
    load::{ALONE, BESIDE, Load, trials},
    replicas::{NAME, NEWS, Replicas, TIMEOUT, endpoint, metric},
};

/// Waits until a replica has taken up so many changes of its files.
async fn reloaded(replica: &Fermata, times: u32) {
    let wanted = format!("fermata_certificate_reloads_total{{result=\"ok\"}} {times}");
    wait::until("the new certificate", Duration::from_secs(30), async || {
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
    let (figures, ()) = trials(ALONE, change_files).await;
    figures.expect_no_failure();
}

async fn change_files() -> (Figures, ()) {
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
    (figures, ())
}

/// Ten certificates of each of two replicas and an authority after the first, with the lifetimes of mayflies. API
/// servers are always half a second behind with what they trust, and always new ones, without a connection.
#[tokio::test(flavor = "multi_thread")]
async fn ten_certificates_and_a_new_authority_fail_no_review() {
    let (figures, ()) = trials(BESIDE, renew_all).await;
    figures.expect_no_failure();
}

async fn renew_all() -> (Figures, ()) {
    let cluster = ControlPlane::shared().await.unwrap();
    let lifetimes = ["--tls-certificate-lifetime=4s", "--tls-authority-lifetime=28s"];
    let (replicas, registration) = Replicas::as_charted(cluster, &lifetimes).await;
    let both = [replicas.start().await, replicas.start().await];
    let first = registration.authority().await;
    let mut known = registration.bundle().await;
    replicas.register(&known);
    let load = Load::start(replicas.client());
    let bound = Instant::now() + Duration::from_mins(1);
    let renewed = loop {
        load.run(Duration::from_millis(500)).await;
        replicas.register(&known);
        known = registration.bundle().await;
        let newest = registration.authority().await;
        let mut certificates = Vec::new();
        let mut are_of_newest = newest != first;
        for replica in &both {
            // The first one was no change.
            certificates.push(metric(replica, "fermata_certificate_renewals_total{result=\"ok\"}").await - 1);
            are_of_newest &= is_signed_by(replica, &newest).await;
        }
        if are_of_newest && certificates.iter().all(|count| *count >= 10) {
            break certificates;
        }
        assert!(
            Instant::now() < bound,
            "changed {certificates:?} certificates; of a new authority: {are_of_newest}"
        );
    };
    replicas.register(&registration.bundle().await);
    load.answered(250).await;
    let figures = load.stop().await;
    publish(
        "certificates and authority of their own",
        &format!("{renewed:?} new certificates, the last ones of a new authority, {figures}"),
    );
    registration.delete().await;
    (figures, ())
}

/// Whether what a replica serves is accepted by who trusts nothing but that authority.
async fn is_signed_by(replica: &Fermata, authority: &str) -> bool {
    let service = Arc::new(Service::of([endpoint(replica)]));
    let client = WebhookClient::new(service, NAME, authority, TIMEOUT).unwrap();
    // Whatever it answers.
    client.send(&post("/mutate", NAME, b"")).await.is_ok()
}
