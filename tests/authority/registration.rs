//! The registration in other people's hands: tools that apply manifests again, and know nothing of bundles.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use fermata::tls::authority::Authority;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::installation::{Installation, eventually, logged, metric, readiness, says};

const DAY: Duration = Duration::from_hours(24);

fn foreign() -> String {
    Authority::generate(SystemTime::now(), DAY).unwrap().certificate
}

fn expired() -> String {
    Authority::generate(SystemTime::now() - DAY * 3, DAY).unwrap().certificate
}

/// What a tool puts in the place of the bundle; of the own one it may know.
type Replace = fn(&str) -> Option<String>;

const GARBAGE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_replaced_is_healed_within_seconds() {
    let replaced: [[Replace; 2]; 4] = [
        [|_| None, |_| Some(foreign())],
        [|_| Some("garbage".to_owned()), |_| None],
        [|_| Some(GARBAGE.to_owned()), |own| Some(format!("{GARBAGE}{own}"))],
        [|own| Some(format!("{own}{}", expired())), |_| Some(String::new())],
    ];
    join_all(replaced.map(are_healed)).await;
}

/// Twice is no contest yet.
async fn are_healed(replaced: [Replace; 2]) {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    let port = fermata.ports().webhook;
    let own = installation.filled(None).await;
    for replace in replaced {
        installation.register(port, "Fail", replace(&own).as_deref()).await;
        let replaced = Instant::now();
        eventually("the bundle to be healed", async || {
            let bundle = installation.bundle().await;
            if bundle == own { Ok(()) } else { Err(bundle) }
        })
        .await;
        // Not only when the watch is begun anew, after 25 s.
        assert!(replaced.elapsed() < Duration::from_secs(20), "{:?}", replaced.elapsed());
        installation.reviewed().await;
        let (ready, page) = readiness(&fermata).await;
        assert!(ready, "{page}");
    }
    // One that is more than what is needed does no harm, and nobody fights for it.
    let writes = metric(&fermata, "fermata_ca_bundle_writes_total{result=\"ok\"}").await;
    installation.register(port, "Fail", Some(&format!("{}{own}", foreign()))).await;
    installation.reviewed().await;
    assert!(says(&fermata, "[+]registration ok").await);
    assert!((metric(&fermata, "fermata_ca_bundle_writes_total{result=\"ok\"}").await - writes).abs() < 0.1);
}

/// As cert-manager's injector does with an annotation for it, or a tool that takes the manifest for the truth.
#[tokio::test(flavor = "multi_thread")]
async fn who_undoes_the_bundle_again_and_again_is_named() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    let (own, foreign) = (installation.filled(None).await, foreign());
    let gives_up = AtomicBool::new(false);
    let injects = async {
        while !gives_up.load(Ordering::Relaxed) {
            if installation.bundle().await.contains(&own) {
                installation.inject(&foreign, "cert-manager-cainjector").await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let writes = "fermata_ca_bundle_writes_total{result=\"ok\"}";
    let looks = async {
        let contested = "the caBundle is undone again and again, by cert-manager-cainjector";
        let page = eventually("it to be out of service", async || {
            let (_, page) = readiness(&fermata).await;
            let is_told = page.contains("[-]registration failed: ") && page.contains(contested);
            if is_told { Ok(page) } else { Err(page) }
        })
        .await;
        // It goes on writing, and the moments in which that counts do not make it ready.
        let written = metric(&fermata, writes).await;
        eventually("another write", async || {
            let (ready, page) = readiness(&fermata).await;
            assert!(!ready, "{page}");
            if metric(&fermata, writes).await > written + 0.5 { Ok(()) } else { Err("none") }
        })
        .await;
        gives_up.store(true, Ordering::Relaxed);
        page
    };
    let ((), page) = tokio::join!(injects, looks);
    let log = logged(&fermata, "is undone again and again").await;
    assert_eq!(log.matches("is undone again and again; have whoever").count(), 1, "{page}{log}");
    assert!(log.contains(r#""manager":"cert-manager-cainjector","operation":"Update","time":"2"#), "{log}");
    assert!(log.matches("ERROR").count() <= 2, "{log}");
    assert!(says(&fermata, "\nready").await);
    assert_eq!(installation.bundle().await, own);
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
