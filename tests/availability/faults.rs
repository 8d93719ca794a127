//! A replica dies, or stands still.

use std::{net::SocketAddr, time::Duration};

use fermata_test_cluster::{ControlPlane, credentials::Authority, process::Signal, webhook_client::Lost};
use tokio::time::{Instant, sleep};

use crate::{
    figures::{Figures, Outcome, publish},
    load::{ALONE, Load, trials},
    replicas::{NEWS, Replicas, endpoint},
};

/// How long reviews may go on failing after a replica was killed.
const RECOVERY: Duration = Duration::from_secs(1);

/// The moments of a replica's death.
struct Death {
    before: Instant,
    after: Instant,
    /// When everybody knew.
    known: Instant,
    /// Who stays.
    stays: SocketAddr,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_loses_at_most_what_it_had_in_hand() {
    let (figures, Death { before, after, known, stays }) = trials(ALONE, kill_one_of_two).await;
    let next = figures.next_right_after(after).unwrap();
    assert!(next <= RECOVERY, "the next success came after {next:?}");
    for record in figures.failures() {
        let shown = figures.show(record);
        match &record.outcome {
            // What it had in hand.
            Outcome::Lost(Lost::Broken | Lost::ClosedIdle, _) => {
                assert!(record.due <= after && record.done >= before, "{shown}");
            }
            // A new connection, refused while the endpoint was still behind the Service.
            Outcome::Lost(Lost::Dial, _) => assert!(record.due <= known && record.done >= before, "{shown}"),
            _ => panic!("{shown}"),
        }
    }
    assert!(figures.answered_by(stays) > 500);
}

async fn kill_one_of_two() -> (Figures, Death) {
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
    let after = Instant::now();
    // Until the kubelet and the endpoints' controller have said so, new connections still go there.
    sleep(NEWS).await;
    replicas.service.remove(endpoint(&killed));
    let known = Instant::now();
    load.run(Duration::from_secs(2)).await;
    let figures = load.stop().await;
    let next = figures.next_right_after(after).unwrap();
    publish("one of two killed", &format!("{figures}, next success after {next:.1?}"));
    (figures, Death { before, after, known, stays: endpoint(&stays) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stands_still_for_a_while_fails_no_review() {
    let (figures, (still, resumed)) = trials(ALONE, stop_one_of_two).await;
    figures.expect_no_failure();
    let late = waited(&figures, resumed);
    let meanwhile = figures.records.iter().filter(|record| (still..resumed).contains(&record.due)).count();
    // Only those that were on its connections, or on new ones to it, have waited.
    assert!(
        late * 5 < meanwhile,
        "{late} of {meanwhile} reviews have waited for the replica that stood still"
    );
}

/// How many were due before that moment, and over after it.
fn waited(figures: &Figures, moment: Instant) -> usize {
    figures.records.iter().filter(|record| record.done > moment && record.due < moment).count()
}

/// Gives the moments at which it began to stand still, and ended to.
async fn stop_one_of_two() -> (Figures, (Instant, Instant)) {
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
    let late = waited(&figures, resumed);
    publish("one of two stopped for 3 s", &format!("{figures}, {late} waited for it"));
    stopped.process().check_running().unwrap();
    (figures, (still, resumed))
}
