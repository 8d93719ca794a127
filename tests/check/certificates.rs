//! Certificates that nobody has renewed, as a real replica serves them.

use std::time::{Duration, SystemTime};

use fermata_test_cluster::{Fermata, credentials::write_private};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::stage::{Checked, Stage, base64};

/// Serves a certificate that was made so long ago and is valid for so long from now, and registers its authority.
async fn serve(stage: &Stage, age: Duration, left: Duration) -> Fermata {
    let now = SystemTime::now();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = ((now - age).into(), (now + left).into());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let files = [stage.file("tls.crt"), stage.file("tls.key")];
    write_private(&files[0], &certificate.pem()).unwrap();
    write_private(&files[1], &key.serialize_pem()).unwrap();
    let [certificate, key] = files.each_ref().map(|file| file.to_str().unwrap());
    let flags = ["--tls-cert", certificate, "--tls-key", key];
    let fermata = stage.serve_with("127.0.0.1".parse().unwrap(), &flags).await;
    let url = format!("https://127.0.0.1:{}/mutate", fermata.ports().webhook);
    let bundle = base64(authority.pem().as_bytes());
    stage.register("fermata", json!({ "url": url, "caBundle": bundle })).await;
    fermata
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_should_have_been_renewed_is_told_while_it_still_counts() {
    const DAY: Duration = Duration::from_hours(24);
    let stage = Stage::new().await;
    let _shop = stage.namespace(true).await;
    let _fermata = serve(&stage, 80 * DAY, 20 * DAY).await;
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    checked.assert("certificate-lifetime", "warning", "19 days left, less than a quarter");
    assert_eq!((checked.code, checked.all("failed")), (0, vec![]));
}

/// Also while API servers go on with connections that they opened before.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_is_a_failure_whatever_becomes_of_pods_now() {
    let stage = Stage::new().await;
    let _shop = stage.namespace(true).await;
    let _fermata = serve(&stage, Duration::from_mins(1), Duration::from_secs(10)).await;
    // By whole seconds, as API servers look at dates.
    let refused = |checked: &Checked| checked.state("registration-ca-matches") == "failed";
    let checked = stage.check_until(&[], refused).await;
    checked.assert("certificate-lifetime", "failed", "expired ");
    checked.assert("registration-ca-matches", "failed", "it, or its authority, has expired");
    assert_eq!(checked.code, 1);
}
