//! The API server that Fermata watches is gone for a while.
//!
//! In a cluster of several API servers one can be away and the others go on sending reviews; and whichever comes back
//! sends reviews at once, before the replicas' watches are back.

use std::time::Duration;

use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, Fermata,
    credentials::Authority,
    http,
    wait::{self, Seen},
};

use crate::{
    figures::publish,
    load::{Load, turn},
    replicas::Replicas,
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
    let _turn = turn().await;
    let options = ControlPlaneOptions { controller_manager: false, ..ControlPlaneOptions::default() };
    let mut cluster = ControlPlane::start(options).await.unwrap();
    let replicas = Replicas::with_files(&cluster, &Authority::new("mounted").unwrap()).await;
    let both = [replicas.start().await, replicas.start().await];
    let load = Load::start(replicas.client());
    load.answered(500).await;

    cluster.stop_api_server().await.unwrap();
    load.run(AWAY).await;
    for replica in &both {
        let readyz = get(replica, "readyz").await;
        assert_eq!(readyz.status, 200, "{}", readyz.body);
        assert!(!well(&readyz.body, "namespaces"), "it has not noticed: {}", readyz.body);
    }
    cluster.start_api_server().await.unwrap();
    for replica in &both {
        // The pause between two attempts has grown meanwhile; its limit is ten seconds.
        wait::until("the watch of Namespaces", Duration::from_secs(40), async || {
            let readyz = get(replica, "readyz").await;
            let seen = well(&readyz.body, "namespaces");
            Ok(if seen { Seen::Yes(()) } else { Seen::NotYet(readyz.body) })
        })
        .await
        .unwrap();
    }
    let figures = load.stop().await;
    publish(&format!("API server away for {} s", AWAY.as_secs()), &figures);
    figures.expect_no_failure();
    drop(both);
    cluster.stop().await.unwrap();
}
