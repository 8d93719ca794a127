//! The registration in other people's hands: tools that apply manifests again, and know nothing of bundles.

use std::time::{Duration, Instant, SystemTime};

use fermata::tls::authority::Authority;

use crate::installation::{Installation, eventually, metric, readiness, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_replaced_is_healed_within_seconds() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    let port = fermata.ports().webhook;
    let own = installation.filled(None).await;
    let day = Duration::from_hours(24);
    let foreign = Authority::generate(SystemTime::now(), day).unwrap().certificate;
    let expired = Authority::generate(SystemTime::now() - day * 3, day).unwrap().certificate;
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let replaced = [
        None,
        Some(foreign.clone()),
        Some("garbage".to_owned()),
        Some(garbage.to_owned()),
        Some(format!("{own}{expired}")),
        Some(format!("{garbage}{own}")),
        None,
    ];
    for bundle in replaced {
        installation.register(port, "Fail", bundle.as_deref()).await;
        let replaced = Instant::now();
        eventually("the bundle to be healed", async || {
            let bundle = installation.bundle().await;
            if bundle == own { Ok(()) } else { Err(bundle) }
        })
        .await;
        assert!(replaced.elapsed() < Duration::from_secs(6), "{:?}", replaced.elapsed());
        installation.reviewed().await;
        let (ready, page) = readiness(&fermata).await;
        assert!(ready, "{page}");
    }
    // One that is more than what is needed does no harm, and nobody fights for it.
    let writes = metric(&fermata, "fermata_ca_bundle_writes_total{result=\"ok\"}").await;
    installation.register(port, "Fail", Some(&format!("{foreign}{own}"))).await;
    installation.reviewed().await;
    assert!(says(&fermata, "[+]registration ok").await);
    assert!((metric(&fermata, "fermata_ca_bundle_writes_total{result=\"ok\"}").await - writes).abs() < 0.1);
}

/// It is not merely the bundle: the name that API servers use has to be in the certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_certificate_is_not_for_is_told() {
    let installation = Installation::new().await;
    let fermata = installation.unready_replica(&["--tls-name", "fermata.infra.svc"]).await;
    assert!(says(&fermata, "[+]registration ok").await, "names can be given more than once");
    drop(fermata);
    let own = ["--tls-secret", "fermata-authority", "--tls-name", "fermata.infra.svc"];
    let fermata = installation.start_with(&own, "/livez").await;
    assert!(!says(&fermata, "is called by the name 127.0.0.1, which it is not for").await);
}
