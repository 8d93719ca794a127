//! The API server that Fermata watches is gone for a while.
//!
//! In a cluster of several API servers one can be away and the others go on sending reviews; and whichever comes back
//! sends reviews at once, before the replicas' watches are back.

use std::time::Duration;

use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, Fermata, http,
    wait::{self, Seen},
};

use crate::{
    figures::{Figures, publish},
    load::{BESIDE, Load, trials},
    replicas::{Replicas, metric},
};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);

async fn get(replica: &Fermata, path: &str) -> http::Response {
    http::get(&format!("http://127.0.0.1:{}/{path}", replica.ports().admin)).await.unwrap()
}

/// Whether a replica says of a condition that all is well with it.
fn well(readyz: &str, condition: &str) -> bool {
    readyz.lines().any(|line| line.contains(condition) && line.starts_with("[+]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_do_not_suffer_while_the_api_server_is_away() {
    let (figures, ()) = trials(BESIDE, go_away).await;
    figures.expect_no_failure();
}

/// As the chart runs them, with certificates that live for seconds: these have to be renewed meanwhile.
async fn go_away() -> (Figures, ()) {
    let options = ControlPlaneOptions { controller_manager: false, ..ControlPlaneOptions::default() };
    let mut cluster = ControlPlane::start(options).await.unwrap();
    let (replicas, registration) = Replicas::as_charted(&cluster, &["--tls-certificate-lifetime=10s"]).await;
    let both = [replicas.start().await, replicas.start().await];
    let bundle = registration.bundle().await;
    replicas.register(&bundle);
    let load = Load::start(replicas.client());
    load.answered(500).await;

    let renewals = "fermata_certificate_renewals_total{result=\"ok\"}";
    let mut before = Vec::new();
    for replica in &both {
        before.push(metric(replica, renewals).await);
    }
    cluster.stop_api_server().await.unwrap();
    for _ in 0..6 {
        load.run(AWAY / 6).await;
        // Another API server calls for the first time.
        replicas.register(&bundle);
    }
    for (replica, before) in both.iter().zip(before) {
        let readyz = get(replica, "readyz").await;
        assert_eq!(readyz.status, 200, "{}", readyz.body);
        assert!(!well(&readyz.body, "namespaces"), "it has not noticed: {}", readyz.body);
        let renewed = metric(replica, renewals).await - before;
        assert!(renewed >= 3, "{renewed} new certificates meanwhile");
    }
    cluster.start_api_server().await.unwrap();
    for replica in &both {
        // The pause between two attempts has grown meanwhile; its limit is ten seconds.
        wait::until("what it watches to be there again", Duration::from_secs(40), async || {
            let readyz = get(replica, "readyz").await;
            let watched = ["namespaces", "authority", "registration"];
            let seen = watched.iter().all(|condition| well(&readyz.body, condition));
            Ok(if seen { Seen::Yes(()) } else { Seen::NotYet(readyz.body) })
        })
        .await
        .unwrap();
    }
    let figures = load.stop().await;
    publish(&format!("API server away for {} s", AWAY.as_secs()), &figures);
    drop(both);
    drop(registration);
    cluster.stop().await.unwrap();
    (figures, ())
}
