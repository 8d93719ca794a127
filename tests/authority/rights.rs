//! What the chart's rights allow, and what they do not: the API server decides, not the mind of who wrote them.

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::installation::{
    CONFIGURATION_VERBS, Installation, READ, SECRET, SECRET_VERBS, Without, eventually, logged, metric, says,
};

fn secret(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "Opaque" })
}

async fn is_allowed<T>(request: impl Future<Output = kube::Result<T>>) -> bool {
    match request.await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.is_forbidden() => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_secret_and_the_named_configuration_can_be_touched() {
    let installation = Installation::without(Without { secret: true, ..Without::default() }).await;
    let client = installation.own_client().await;
    let home = installation.home.name();
    let secrets = Api::<Secret>::namespaced(client.clone(), home);
    eventually("the API server to know the rights", async || {
        let own = ListParams::default().fields(&format!("metadata.name={SECRET}"));
        secrets.list(&own).await.map(drop)
    })
    .await;
    let apply = PatchParams::apply("fermata").force();
    let apply_secret = |name: &'static str| {
        let (secrets, apply) = (secrets.clone(), apply.clone());
        async move { is_allowed(secrets.patch(name, &apply, &Patch::Apply(secret(name)))).await }
    };
    let ordinary: Secret = serde_json::from_value(secret(SECRET)).unwrap();
    assert!(!is_allowed(secrets.create(&PostParams::default(), &ordinary)).await, "a create has no name yet");
    assert!(apply_secret(SECRET).await, "an apply makes it");
    assert!(apply_secret(SECRET).await, "and leaves it alone");
    assert!(!apply_secret("another").await);
    assert!(is_allowed(secrets.get(SECRET)).await);
    assert!(!is_allowed(secrets.get("another")).await);
    assert!(!is_allowed(secrets.delete(SECRET, &kube::api::DeleteParams::default())).await);
    let by_name = |name: &str| ListParams::default().fields(&format!("metadata.name={name}"));
    assert!(is_allowed(secrets.list(&by_name(SECRET))).await);
    assert!(!is_allowed(secrets.list(&by_name("another"))).await);
    assert!(!is_allowed(secrets.list(&ListParams::default())).await);
    let elsewhere = Api::<Secret>::namespaced(client.clone(), installation.pods.name());
    assert!(!is_allowed(elsewhere.get(SECRET)).await);

    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let configuration = |name: &str| {
        let version = MutatingWebhookConfiguration::api_version(&());
        json!({ "apiVersion": version, "kind": "MutatingWebhookConfiguration", "metadata": { "name": name } })
    };
    let name = installation.name.as_str();
    assert!(is_allowed(configurations.patch(name, &apply, &Patch::Apply(configuration(name)))).await);
    let other = Patch::Apply(configuration("another"));
    assert!(!is_allowed(configurations.patch("another", &apply, &other)).await);
    installation.unregister().await;
    let again = Patch::Apply(configuration(name));
    let again = configurations.patch(name, &apply, &again);
    assert!(!is_allowed(again).await, "it cannot be made anew");
}

/// What is served stays, and nothing that needs a write is possible.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_leave_it_serving_and_come_back() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&[]).await;
    installation.call(fermata.ports().webhook, "Fail").await;
    installation.reviewed().await;
    let authority = installation.secret("tls.crt").await.unwrap();
    installation.allow(false).await;
    installation.empty_secret().await;
    assert!(says(&fermata, "[-]authority degraded: ").await, "ready, and with the reason");
    assert!(says(&fermata, "is forbidden: User \"system:serviceaccount:").await);
    assert!(says(&fermata, "[-]registration degraded: cannot follow").await);
    logged(&fermata, "cannot update Secret fermata-authority: ").await;
    logged(&fermata, "may not for long: cannot follow MutatingWebhookConfiguration").await;
    assert_eq!(installation.review().await, Ok(true));
    installation.allow(true).await;
    let renewed = installation.filled(Some(&authority)).await;
    assert!(says(&fermata, "[+]authority ok").await);
    assert!(says(&fermata, "[+]registration ok").await);
    assert!(
        installation.secret("ca.crt").await.unwrap().contains(&authority),
        "the earlier one is trusted on"
    );
    assert_ne!(renewed, authority);
    assert_eq!(installation.review().await, Ok(true));
}

/// The authority is renewed after 7 to 9 of them, and its certificates end with it.
const LIFETIMES: [&str; 4] = ["--tls-authority-lifetime", "12s", "--tls-certificate-lifetime", "4s"];

/// Side by side, for both wait for a renewal.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_right_that_is_missing_is_named_and_what_waits_for_it_is_done_at_last() {
    tokio::join!(without_patch(), without_update());
}

/// The new authority is in the Secret and cannot be registered.
async fn without_patch() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&LIFETIMES).await;
    installation.allow_only(&SECRET_VERBS, &READ).await;
    assert!(says(&fermata, "[-]registration degraded: cannot patch MutatingWebhookConfiguration").await);
    assert!(says(&fermata, "cannot patch resource \"mutatingwebhookconfigurations\"").await);
    eventually("more attempts", async || {
        let failed = metric(&fermata, "fermata_ca_bundle_writes_total{result=\"failed\"}").await;
        if failed > 3.5 { Ok(()) } else { Err(failed.to_string()) }
    })
    .await;
    let log = logged(&fermata, "may not for long").await;
    assert_eq!(
        log.matches("may not for long: cannot patch MutatingWebhookConfiguration").count(),
        1,
        "{log}"
    );
    installation.allow_only(&SECRET_VERBS, &CONFIGURATION_VERBS).await;
    assert!(says(&fermata, "[+]registration ok").await);
    assert!(installation.bundle().await.contains(&installation.secret("tls.crt").await.unwrap()));
}

/// The authority cannot be renewed, and ends.
async fn without_update() {
    let installation = Installation::new().await;
    let fermata = installation.replica(&LIFETIMES).await;
    let verbs = SECRET_VERBS.into_iter().filter(|verb| *verb != "update").collect::<Vec<_>>();
    installation.allow_only(&verbs, &CONFIGURATION_VERBS).await;
    assert!(says(&fermata, "[-]authority degraded: cannot update Secret").await);
    assert!(says(&fermata, "cannot update resource \"secrets\"").await);
    assert!(!says(&fermata, "[-]tls failed: the certificate has expired").await);
    let log = logged(&fermata, "the certificate has expired").await;
    for (said, times) in [
        ("\"cannot update Secret fermata-authority: ", 1..=1),
        ("/fermata-authority expires soon and should have been renewed by now", 1..=1),
        ("the certificate expires soon and should have been renewed by now", 1..=2),
        ("the certificate has expired, and API servers refuse it", 1..=1),
    ] {
        assert!(times.contains(&log.matches(said).count()), "{said}: {log}");
    }
    installation.allow_only(&SECRET_VERBS, &CONFIGURATION_VERBS).await;
    assert!(says(&fermata, "\nready").await);
    assert!(says(&fermata, "[+]authority ok").await);
}
