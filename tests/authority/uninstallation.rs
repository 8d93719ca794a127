//! Replicas that still run while what belongs to them is deleted: a Secret that they made anew would belong to no
//! release, and the next installation would be refused because of it.

use std::time::Duration;

use kube::api::DeleteParams;
use tokio::time::sleep;

use crate::installation::{Installation, SECRET, readiness, says};

/// Longer than a replica waits before it makes a Secret that was deleted.
const LONG: Duration = Duration::from_secs(5);

/// Side by side, for both wait for what does not happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_goes_for_good_is_not_made_anew() {
    tokio::join!(with_its_registration(), with_its_last_replica());
}

async fn with_its_registration() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    // As Helm 3 does; Helm 4 does it the other way round.
    installation.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    installation.unregister().await;
    assert!(says(&fermata, "/fermata-authority is missing").await);
    sleep(LONG).await;
    assert!(installation.secrets().get_opt(SECRET).await.unwrap().is_none());
    let (ready, page) = readiness(&fermata).await;
    assert!(ready && page.contains("[-]registration degraded: there is no"), "{page}");
    // It was no uninstallation.
    installation.register(fermata.ports().webhook, "Fail", None).await;
    installation.filled(None).await;
    assert!(says(&fermata, "[+]authority ok").await && says(&fermata, "[+]registration ok").await);
    installation.reviewed().await;
}

async fn with_its_last_replica() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&["--drain", "5s"]).await;
    installation.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    fermata.terminate().unwrap();
    let (code, log) = fermata.ended().await;
    assert_eq!(code, 0, "{log}");
    assert!(installation.secrets().get_opt(SECRET).await.unwrap().is_none());
}
