//! The first moments: one replica, several at once, and what may be missing.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    greeting::greet,
    installation::{Installation, SECRET, Without, eventually, logged, metric, readiness, says},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_fills_the_secret_registers_and_is_called() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    assert_eq!(installation.bundle().await, installation.secret("ca.crt").await.unwrap());
    assert_eq!(installation.secret("tls.crt").await, installation.secret("ca.crt").await);
    let log = fermata.process().log();
    assert!(
        !log.contains("WARN") && !log.contains("ERROR"),
        "an ordinary start is no reason to worry: {log}"
    );
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
    // Nothing but the bundle is its own, and the Secret holds what the README says.
    let configuration = installation.configurations().get(&installation.name).await.unwrap();
    let owned: Vec<_> = configuration.metadata.managed_fields.into_iter().flatten().collect();
    let owned: Vec<_> = owned.iter().filter(|field| field.manager.as_deref() == Some("fermata")).collect();
    assert_eq!(owned.len(), 1, "{owned:?}");
    assert_eq!(owned[0].operation.as_deref(), Some("Apply"));
    let fields = json!({ "f:webhooks": { "k:{\"name\":\"pods.fermata.dev\"}": {
        ".": {}, "f:name": {}, "f:clientConfig": { "f:caBundle": {} },
    } } });
    assert_eq!(owned[0].fields_v1.as_ref().unwrap().0, fields);
    let data = installation.secrets().get(SECRET).await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    // What was registered was changed by others since then; nothing of that is lost or undone.
    eventually("both to be noticed", async || {
        let configuration = installation.configurations().get(&installation.name).await.unwrap();
        let webhook = configuration.webhooks.unwrap().remove(0);
        if webhook.failure_policy.as_deref() == Some("Fail") { Ok(()) } else { Err("lost") }
    })
    .await;
}

/// All see the Secret empty, or missing, at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_agree() {
    for secret in [false, true] {
        let installation = Installation::without(Without { secret, ..Without::default() }).await;
        let replicas = join_all((0..4).map(|_| installation.replica(&[]))).await;
        let authority = installation.secret("tls.crt").await.unwrap();
        assert_eq!(installation.secret("ca.crt").await.as_ref(), Some(&authority), "there was never another");
        assert_eq!(installation.bundle().await, authority);
        let mut made = 0.0;
        let mut keys = HashSet::new();
        for fermata in &replicas {
            let leaf = greet(fermata.ports().webhook, &authority).await.unwrap();
            let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
            assert!(keys.insert(leaf.public_key().raw.to_vec()), "each has a key of its own");
            made += metric(fermata, "fermata_authority_renewals_total{result=\"ok\"}").await;
            assert!(
                (metric(fermata, "fermata_certificate_renewals_total{result=\"ok\"}").await - 1.0).abs()
                    < 0.1
            );
            let failed = metric(fermata, "fermata_authority_renewals_total{result=\"failed\"}").await;
            assert!(failed < 0.1, "who was late has lost to a conflict and not failed");
            // The API server calls one after the other by its own address.
            installation.call(fermata.ports().webhook, "Fail").await;
            installation.reviewed().await;
        }
        assert!((made - 1.0).abs() < 0.1, "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_it_is_unready_with_the_reason_until_it_has_them() {
    let installation = Installation::without(Without { rights: true, ..Without::default() }).await;
    let fermata = installation.unready_replica(&[]).await;
    for line in [
        "[-]authority failed: cannot follow the Secret",
        "cannot list resource \"secrets\"",
        "allow it to the ServiceAccount",
        "cannot list resource \"mutatingwebhookconfigurations\"",
    ] {
        assert!(!says(&fermata, line).await, "{line}");
    }
    logged(&fermata, "no certificate can be served yet").await;
    logged(&fermata, "not ready: MutatingWebhookConfiguration").await;
    installation.allow(true).await;
    assert!(says(&fermata, "\nready").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registration_it_is_unready_until_there_is_one() {
    let installation = Installation::without(Without { registration: true, ..Without::default() }).await;
    let fermata = installation.unready_replica(&[]).await;
    assert!(!says(&fermata, "there is no MutatingWebhookConfiguration").await);
    assert!(
        installation.configurations().get_opt(&installation.name).await.unwrap().is_none(),
        "it makes none"
    );
    installation.register(fermata.ports().webhook, "Fail", None).await;
    assert!(says(&fermata, "[+]registration ok").await);
    installation.reviewed().await;
    // Who uninstalls takes the registration away first; that is no reason to stop.
    installation.unregister().await;
    assert!(says(&fermata, "[-]registration degraded: there is no").await);
}
