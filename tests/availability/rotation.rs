//! Certificates change, and so does who signs them.

use std::time::Duration;

use fermata_test_cluster::{
    ControlPlane, Fermata,
    credentials::Authority,
    http,
    wait::{self, Seen},
};
use tokio::time::sleep;

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

/// Ten certificates, and then one of another authority, which API servers are told to trust before it is served and
/// which is the only one that they trust in the end.
#[tokio::test(flavor = "multi_thread")]
async fn ten_certificates_and_another_authority_fail_no_review() {
    let _turn = turn().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let replicas = Replicas::with_files(cluster).await;
    let both = [replicas.start().await, replicas.start().await];
    let load = Load::start(replicas.client());
    load.answered(250).await;
    for times in 1..=10 {
        replicas.mounted.publish(&replicas.authority.issue_server(&[NAME]).unwrap()).unwrap();
        for replica in &both {
            reloaded(replica, times).await;
        }
        // Connections outlive certificates; an API server that has none yet is the one to see the new one.
        replicas.register(replicas.authority.pem());
        load.answered(50).await;
    }
    let next = Authority::new("the next").unwrap();
    replicas.register(&format!("{}{}", next.pem(), replicas.authority.pem()));
    sleep(NEWS).await;
    replicas.mounted.publish(&next.issue_server(&[NAME]).unwrap()).unwrap();
    for replica in &both {
        reloaded(replica, 11).await;
    }
    load.answered(250).await;
    replicas.register(next.pem());
    load.answered(500).await;
    let figures = load.stop().await;
    publish("10 certificates and another authority", &figures);
    figures.expect_no_failure();
}
