//! The first moments: one replica, several at once, and what may be missing.

use crate::installation::{Installation, eventually, metric, readiness};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_fills_the_secret_registers_and_is_called() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    assert_eq!(installation.bundle().await, installation.secret("ca.crt").await.unwrap());
    assert_eq!(installation.secret("tls.crt").await, installation.secret("ca.crt").await);
    let (ready, page) = readiness(&fermata).await;
    assert!(ready, "{page}");
    for line in ["[+]tls ok", "[+]authority ok", "[+]registration ok"] {
        assert!(page.contains(line), "{page}");
    }
    for (name, value) in [
        ("fermata_authority_renewals_total{result=\"ok\"}", 1.0),
        ("fermata_ca_bundle_writes_total{result=\"ok\"}", 1.0),
        ("fermata_certificate_renewals_total{result=\"ok\"}", 1.0),
    ] {
        assert!((metric(&fermata, name).await - value).abs() < 0.1, "{name}");
    }
    // What was registered was changed by others since then; nothing of that is lost or undone.
    eventually("both to be noticed", async || {
        let configuration = installation.configurations().get(&installation.name).await.unwrap();
        let webhook = configuration.webhooks.unwrap().remove(0);
        if webhook.failure_policy.as_deref() == Some("Fail") { Ok(()) } else { Err("lost") }
    })
    .await;
}
