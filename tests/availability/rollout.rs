//! Replicas are replaced, and nobody notices.

use std::{env, net::SocketAddr, time::Duration};

use fermata_test_cluster::{ControlPlane, Fermata};
use tokio::time::sleep;

use crate::{
    figures::{Figures, publish},
    load::{ALONE, Load, trials},
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
    let (figures, both) = trials(ALONE, restart_both).await;
    figures.expect_no_failure();
    for replica in both {
        assert!(figures.answered_by(replica) > 0, "one of the new replicas has done nothing");
    }
}

/// As the chart runs them: each new replica has to find the authority, and its registration, before it is ready.
async fn restart_both() -> (Figures, [SocketAddr; 2]) {
    let cluster = ControlPlane::shared().await.unwrap();
    let (replicas, registration) = Replicas::as_charted(cluster, &[]).await;
    let (mut first, mut second) = (replicas.start().await, replicas.start().await);
    let bundle = registration.bundle().await;
    replicas.register(&bundle);
    let load = Load::start(replicas.client());
    let rounds = env::var("FERMATA_ROLLOUTS").map_or(1, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        load.answered(500).await;
        first = replace(&replicas, first).await;
        load.answered(500).await;
        second = replace(&replicas, second).await;
    }
    // Who has connections needs few new ones, and may find all of them at one replica; another API server needs several.
    replicas.register(&bundle);
    load.run(Duration::from_secs(2)).await;
    let figures = load.stop().await;
    publish("rolling restart of both replicas", &figures);
    registration.delete().await;
    (figures, [endpoint(&first), endpoint(&second)])
}
