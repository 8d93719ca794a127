//! The Secret in other people's hands.

use std::time::{Duration, SystemTime};

use fermata::tls::authority::Authority;
use fermata_test_cluster::credentials;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::installation::{Installation, SECRET, eventually, metric, readiness, says};

const DAY: Duration = Duration::from_hours(24);

/// The members of the Secret that somebody writes, and what is said about it.
fn wrongs() -> Vec<(Value, &'static str)> {
    let now = SystemTime::now();
    let other = Authority::generate(now, DAY).unwrap();
    let expired = Authority::generate(now - DAY * 2, DAY).unwrap();
    let ahead = Authority::generate(now + DAY * 2, DAY).unwrap();
    let server = credentials::Authority::new("root").unwrap().issue_server(&["127.0.0.1"]).unwrap();
    vec![
        (json!({ "tls.crt": other.certificate }), "its key is not the certificate's"),
        (json!({ "tls.crt": "garbage" }), "its certificate is not PEM"),
        (json!({ "tls.key": "garbage" }), "its key is not a PKCS#8 key as PEM"),
        (json!({ "tls.crt": "" }), "it has no tls.crt"),
        (
            json!({ "tls.crt": server.certificate, "tls.key": server.key }),
            "is not the certificate of an authority",
        ),
        (json!({ "tls.crt": expired.certificate, "tls.key": expired.key }), "it has expired"),
        (json!({ "tls.crt": ahead.certificate, "tls.key": ahead.key }), "it is not valid yet"),
        (json!({ "tls.crt": "", "tls.key": "", "ca.crt": "" }), "the Secret is empty"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_written_into_it_is_mended_without_a_failed_review() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    let load = installation.load(2);
    let mut known = vec![installation.filled(None).await];
    for (data, reason) in wrongs() {
        installation.edit_secret(&data).await;
        let certificate = eventually("a new authority", async || {
            let certificate = installation.secret("tls.crt").await.unwrap_or_default();
            let is_new = certificate.contains("BEGIN CERTIFICATE")
                && !known.contains(&certificate)
                && data["tls.crt"].as_str() != Some(&certificate);
            if is_new { Ok(certificate) } else { Err(readiness(&fermata).await.1) }
        })
        .await;
        // The one that is served is trusted for as long as it is.
        let bundle = eventually("it to be registered", async || {
            let bundle = installation.bundle().await;
            if bundle.contains(&certificate) { Ok(bundle) } else { Err("not yet") }
        })
        .await;
        assert!(bundle.contains(known.last().unwrap()) || data["ca.crt"] == "", "{reason}");
        let log = fermata.process().log();
        assert_eq!(log.matches(reason).count().min(2), log.matches(reason).count(), "{reason}: {log}");
        assert!(log.contains(reason), "{reason}: {log}");
        known.push(certificate);
        load.run(10).await.unwrap();
    }
    assert!(says(&fermata, "[+]authority ok").await && says(&fermata, "[+]registration ok").await);
    load.stop().await.expect_no_failure().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_deleted_is_made_anew_and_its_authority_stays_trusted() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    let before = installation.filled(None).await;
    let load = installation.load(2);
    installation.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    let after = installation.filled(Some(&before)).await;
    assert!(installation.secret("ca.crt").await.unwrap().contains(&before));
    eventually("the new authority to be served", async || {
        let served = metric(&fermata, "fermata_certificate_renewals_total{result=\"ok\"}").await;
        if served > 1.5 { Ok(()) } else { Err(served.to_string()) }
    })
    .await;
    let bundle = installation.bundle().await;
    assert!(bundle.contains(&before) && bundle.contains(&after), "{bundle}");
    load.run(20).await.unwrap();
    load.stop().await.expect_no_failure().unwrap();
}

/// A company's own authority, put there by hand.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_somebody_else_has_made_is_used() {
    let installation = Installation::new().await;
    let made = Authority::generate(SystemTime::now(), DAY).unwrap();
    installation.edit_secret(&json!({ "tls.crt": made.certificate, "tls.key": made.key })).await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    assert_eq!(installation.bundle().await, made.certificate);
    assert_eq!(installation.secret("ca.crt").await, None, "it is left as it was written");
}
