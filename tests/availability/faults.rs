//! A replica dies, or stands still.

use std::time::Duration;

use fermata_test_cluster::{ControlPlane, credentials::Authority, process::Signal, webhook_client::Lost};
use tokio::time::{Instant, sleep};

use crate::{
    figures::{Outcome, publish},
    load::{Load, alone},
    replicas::{NEWS, Replicas, endpoint},
};

/// How long reviews may go on failing after a replica was killed.
const RECOVERY: Duration = Duration::from_secs(1);

/// How often a replica is killed at most, where this machine was too short of time for the figures to say anything.
const TRIALS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_loses_at_most_what_it_had_in_hand() {
    let _turn = alone().await;
    for further in (0..TRIALS).rev() {
        if kill_one_of_two(further > 0).await {
            return;
        }
    }
}

/// Whether the load was sent as it had to be. What became of it is checked then, and in the last trial always.
async fn kill_one_of_two(may_be_void: bool) -> bool {
    let cluster = ControlPlane::shared().await.unwrap();
    let replicas = Replicas::with_files(cluster, &Authority::new("mounted").unwrap()).await;
    let (mut killed, mut stays) = (replicas.start().await, replicas.start().await);
    let load = Load::start(replicas.client());
    load.answered(500).await;
    if load.last_server() == endpoint(&stays) {
        std::mem::swap(&mut killed, &mut stays);
    }
    let before = Instant::now();
    killed.process().signal(Signal::Kill).unwrap();
    killed.process().exited().await;
    let dead = Instant::now();
    // Until the kubelet and the endpoints' controller have said so, new connections still go there.
    sleep(NEWS).await;
    replicas.service.remove(endpoint(&killed));
    let known = Instant::now();
    load.run(Duration::from_secs(2)).await;
    let figures = load.stop().await;
    let next = figures.next_right_after(dead).unwrap();
    publish("one of two killed", &format!("{figures}, next success after {next:.1?}"));
    if may_be_void && figures.short_of_time() {
        return false;
    }

    assert!(next <= RECOVERY, "the next success came after {next:?}");
    for record in figures.failures() {
        let shown = figures.show(record);
        match &record.outcome {
            // What it had in hand.
            Outcome::Lost(Lost::Broken | Lost::ClosedIdle, _) => {
                assert!(record.due <= dead && record.done >= before, "{shown}");
            }
            // A new connection, refused while the endpoint was still behind the Service.
            Outcome::Lost(Lost::Dial, _) => assert!(record.due <= known && record.done >= before, "{shown}"),
            _ => panic!("{shown}"),
        }
    }
    assert!(figures.answered_by(endpoint(&stays)) > 500);
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stands_still_for_a_while_fails_no_review() {
    let _turn = alone().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let replicas = Replicas::with_files(cluster, &Authority::new("mounted").unwrap()).await;
    let (mut stopped, mut stays) = (replicas.start().await, replicas.start().await);
    let load = Load::start(replicas.client());
    load.answered(500).await;
    if load.last_server() == endpoint(&stays) {
        std::mem::swap(&mut stopped, &mut stays);
    }
    stopped.process().signal(Signal::Stop).unwrap();
    let still = Instant::now();
    // Less than the webhook's timeout.
    load.run(Duration::from_secs(3)).await;
    stopped.process().signal(Signal::Continue).unwrap();
    let resumed = Instant::now();
    load.run(Duration::from_secs(2)).await;
    let figures = load.stop().await;
    let late = figures.records.iter().filter(|record| record.done > resumed && record.due < resumed).count();
    publish("one of two stopped for 3 s", &format!("{figures}, {late} waited for it"));
    figures.expect_no_failure();
    let meanwhile = figures.records.iter().filter(|record| (still..resumed).contains(&record.due)).count();
    // Only those that were on its connections, or on new ones to it, have waited.
    assert!(
        late * 5 < meanwhile,
        "{late} of {meanwhile} reviews have waited for the replica that stood still"
    );
    stopped.process().check_running().unwrap();
}
