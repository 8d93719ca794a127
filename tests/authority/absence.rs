//! The API server is away.

use fermata_test_cluster::{ControlPlane, control_plane::ControlPlaneOptions, process::Signal};

use crate::installation::{Installation, Without, eventually, metric, readiness, says};

/// A standing process is the worst of absences: connections are taken and never answered.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_and_readiness_stays_while_the_api_server_is_away() {
    // One of its own, for the others must not be disturbed. Like the shared one it ends with this process.
    let options = ControlPlaneOptions { controller_manager: false, ..ControlPlaneOptions::default() };
    let cluster = Box::leak(Box::new(ControlPlane::start(options).await.unwrap()));
    let installation = Installation::on(cluster, Without::default()).await;
    let lifetimes = ["--tls-authority-lifetime", "120s", "--tls-certificate-lifetime", "4s"];
    let fermata = installation.replica(&lifetimes).await;
    let renewals = "fermata_certificate_renewals_total{result=\"ok\"}";
    let before = metric(&fermata, renewals).await;
    cluster.api_server().signal(Signal::Stop).unwrap();
    eventually("renewals", async || {
        let (ready, page) = readiness(&fermata).await;
        assert!(ready, "{page}");
        let renewed = metric(&fermata, renewals).await - before;
        if renewed > 4.5 { Ok(()) } else { Err(renewed.to_string()) }
    })
    .await;
    cluster.api_server().signal(Signal::Continue).unwrap();
    assert!(says(&fermata, "[+]registration ok").await);
    assert!(says(&fermata, "[+]authority ok").await);
    assert_eq!(fermata.stop().await.unwrap(), 0);
}
