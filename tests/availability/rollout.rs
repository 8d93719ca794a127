//! Replicas are replaced, and nobody notices.

use std::{env, time::Duration};

use fermata_test_cluster::{ControlPlane, Fermata, credentials::Authority};
use tokio::time::sleep;

use crate::{
    figures::publish,
    load::{Load, turn},
    replicas::{NEWS, Replicas, endpoint},
};

/// Replaces a replica as a Deployment does with `maxSurge: 1` and `maxUnavailable: 0`: the new one is ready before
/// the old one gets its signal, and it takes a while until everybody knows that the old one is out.
async fn replace(replicas: &Replicas, old: Fermata) -> Fermata {
    let new = replicas.start().await;
    old.terminate().unwrap();
    sleep(NEWS).await;
    replicas.service.remove(endpoint(&old));
    let (code, log) = old.ended().await;
    assert_eq!(code, 0, "{log}");
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_both_replicas_fails_no_review() {
    let _turn = turn().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let replicas = Replicas::with_files(cluster, &Authority::new("mounted").unwrap()).await;
    let (mut first, mut second) = (replicas.start().await, replicas.start().await);
    let load = Load::start(replicas.client());
    let rounds = env::var("FERMATA_ROLLOUTS").map_or(1, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        load.answered(500).await;
        first = replace(&replicas, first).await;
        load.answered(500).await;
        second = replace(&replicas, second).await;
    }
    load.run(Duration::from_secs(2)).await;
    let figures = load.stop().await;
    publish("rolling restart of both replicas", &figures);
    figures.expect_no_failure();
    for replica in [&first, &second] {
        assert!(figures.answered_by(endpoint(replica)) > 0, "one of the new replicas has done nothing");
    }
}
