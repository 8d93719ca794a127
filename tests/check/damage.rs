//! Each kind of damage to a registration.

use fermata_test_cluster::credentials::Authority;
use kube::api::PostParams;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::stage::{OPT_IN, Stage, base64};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_installed() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let checked = stage.check(&[]);
    assert_eq!(checked.code, 1);
    checked.assert("registration-exists", "failed", "app.kubernetes.io/name=fermata");
    checked.assert("registration-ca-matches", "skipped", "nothing is registered");
    checked.assert("replicas-ready", "skipped", "nothing is registered");
    checked.assert(
        "pod-patched",
        "failed",
        &format!("a Pod in {} is admitted as it was: nothing is registered", shop.name()),
    );
    let ran = stage.run(&[]);
    assert!(
        ran.stdout.contains("× a MutatingWebhookConfiguration registers Fermata  [registration-exists]\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("→ helm upgrade --install fermata"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_namespace_has_opted_in() {
    let stage = Stage::new().await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    let checked = stage.check(&[]);
    checked.assert("namespaces-opted-in", "warning", "none has");
    checked.assert("pod-patched", "skipped", "no opted-in Namespace");
    checked.assert("pods-covered", "skipped", "");
    assert_eq!((checked.code, checked.all("failed")), (0, vec![]));

    let other = stage.namespace(false).await;
    let checked = stage.check(&["--probe-namespace", other.name()]);
    checked.assert("pod-patched", "failed", "does not have the label fermata.dev/inject: enabled");
    let way_out = format!("kubectl label namespace {} {}={}", other.name(), OPT_IN.0, OPT_IN.1);
    assert_eq!(checked.get("pod-patched")["hint"], way_out);
    let checked = stage.check(&["--probe-namespace", "kube-system"]);
    checked.assert("pod-patched", "failed", "kube-system is never touched");
    let checked = stage.check(&["--probe-namespace", "nowhere"]);
    checked.assert("pod-patched", "failed", "not found");
}

/// An authority that has expired, and the certificate of nobody.
fn expired() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registered_authority_is_not_the_right_one() {
    let stage = Stage::new().await;
    let _shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.code == 0).await;
    let own = stage.ca();
    let bundle = |pem: &[u8]| json!({ "clientConfig": { "caBundle": base64(pem) } });

    let stranger = Authority::new("stranger").unwrap();
    stage.change("fermata", &bundle(stranger.pem().as_bytes())).await;
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "failed").await;
    checked.assert("registration-ca-valid", "ok", "1 authority");
    checked.assert("registration-ca-matches", "failed", "does not have its authority");
    checked.assert("pod-patched", "failed", "API servers refuse the certificate");
    assert_eq!(checked.code, 1);

    stage.change("fermata", &bundle(b"garbage")).await;
    let checked = stage.check(&[]);
    checked.assert("registration-ca-valid", "failed", "the 7 bytes of caBundle");
    checked.assert("registration-ca-lifetime", "skipped", "no certificate");
    checked.assert("registration-ca-matches", "failed", "");

    stage.change("fermata", &json!({ "clientConfig": { "caBundle": null } })).await;
    let checked = stage.check(&[]);
    checked.assert("registration-ca-valid", "failed", "empty");

    stage.change("fermata", &bundle(expired().as_bytes())).await;
    let checked = stage.check(&[]);
    checked.assert("registration-ca-lifetime", "failed", "expired");
    checked.assert("registration-ca-matches", "failed", "no authority in caBundle counts today");

    // As after a change of the authority: one that counts is enough.
    let both = [expired().into_bytes(), own].concat();
    stage.change("fermata", &bundle(&both)).await;
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    checked.assert("registration-ca-valid", "ok", "2 authorities");
    checked.assert("registration-ca-lifetime", "ok", "left");
    assert_eq!(checked.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registration_asks_for_the_wrong_things() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.code == 0).await;
    let good = stage.configurations().get("fermata").await.unwrap();
    let good = serde_json::to_value(&good.webhooks.unwrap()[0]).unwrap();

    for (change, id, state, part) in [
        (
            json!({ "namespaceSelector": { "matchLabels": { OPT_IN.0: "true" } } }),
            "registration-selectors",
            "failed",
            "leaves out every Namespace",
        ),
        (
            json!({ "objectSelector": { "matchLabels": { OPT_IN.0: "disabled" } } }),
            "registration-selectors",
            "failed",
            "leaves out every Pod",
        ),
        (
            json!({ "rules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"] }] }),
            "registration-rules",
            "failed",
            "no webhook of fermata",
        ),
    ] {
        stage.change("fermata", &change).await;
        let named = ["--probe-namespace", shop.name()];
        let checked = stage.check_until(&named, |checked| checked.state("pod-patched") == "failed").await;
        checked.assert(id, state, part);
        checked.assert("pod-patched", "failed", &format!("a Pod in {} is admitted as it was", shop.name()));
        stage.change("fermata", &json!({ "objectSelector": { "matchLabels": null } })).await;
        stage.change("fermata", &good).await;
        stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    }
    for (change, id, part) in [
        (
            json!({ "namespaceSelector": { "matchExpressions": null } }),
            "registration-selectors",
            "lets in kube-system",
        ),
        (
            json!({ "namespaceSelector": { "matchLabels": null } }),
            "registration-selectors",
            "without the label",
        ),
        (json!({ "failurePolicy": "Fail" }), "registration-failure-policy", "refuses every Pod"),
        (json!({ "failurePolicy": "Fail" }), "registration-conditions", "not-a-mirror"),
        (json!({ "timeoutSeconds": 30 }), "registration-timeout", "timeoutSeconds: 30"),
        (json!({ "timeoutSeconds": 1 }), "registration-timeout", "timeoutSeconds: 1;"),
        (json!({ "reinvocationPolicy": "Never" }), "registration-reinvocation", "proxy"),
    ] {
        stage.change("fermata", &change).await;
        let checked = stage.check(&[]);
        checked.assert(id, "warning", part);
        assert!(checked.all("failed").is_empty(), "{checked:#?}");
        let quiet = stage.check(&["-q"]);
        assert!(quiet.all("ok").is_empty() && quiet.all("skipped").is_empty(), "{quiet:#?}");
        assert_eq!((quiet.code, quiet.all("warning")), (0, checked.all("warning")));
        assert_eq!(quiet.document["summary"], checked.document["summary"]);
        stage.change("fermata", &good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_is_down() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.code == 0).await;
    fermata.stop().await.unwrap();
    let checked = stage.check(&[]);
    assert_eq!(checked.code, 1);
    checked.assert("registration-ca-matches", "failed", "nobody can be asked at 127.0.0.1:");
    checked.assert("pod-patched", "failed", "failurePolicy is Ignore: nobody answers at 127.0.0.1:");

    stage.change("fermata", &json!({ "failurePolicy": "Fail" })).await;
    let checked = stage
        .check_until(&[], |checked| {
            checked.get("pod-patched")["message"].as_str().unwrap().contains("refused")
        })
        .await;
    checked.assert("pod-patched", "failed", &format!("refused in {}", shop.name()));
    checked.assert("pod-patched", "failed", "failed calling webhook");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_two_installations() {
    let stage = Stage::new().await;
    let _shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    let target = json!({ "name": "old", "namespace": "elsewhere" });
    stage.register("z-old", json!({ "service": target, "caBundle": base64(&stage.ca()) })).await;
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    checked.assert("registration-exists", "ok", "fermata, which calls https://");
    checked.assert("registration-unique", "warning", "z-old calls the Service old in elsewhere");
    assert_eq!(checked.code, 0);
    let checked = stage.check(&["--namespace", "fermata"]);
    checked.assert("registration-exists", "ok", "fermata, which calls https://");
    checked.assert("registration-unique", "warning", "z-old");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_were_missed_are_counted() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let pods = shop.pods();
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template },
    });
    stage.create(&format!("/apis/apps/v1/namespaces/{}/deployments", shop.name()), &deployment).await;
    let pod = |name: &str, labels: Value| {
        let mut pod = template.clone();
        pod["metadata"] = json!({ "name": name, "labels": labels });
        serde_json::from_value(pod).unwrap()
    };
    pods.create(&PostParams::default(), &pod("aside", json!({ OPT_IN.0: "disabled" }))).await.unwrap();
    stage.check_until(&[], |checked| checked.state("pods-covered") == "warning").await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    pods.create(&PostParams::default(), &pod("late", json!({}))).await.unwrap();
    let checked = stage.check(&[]);
    checked.assert("pods-covered", "warning", &format!("1 of 2 Pods without, such as {}/web-", shop.name()));
    let hint = format!("kubectl -n {} rollout restart deployment/web", shop.name());
    assert_eq!(checked.get("pods-covered")["hint"], hint);
    assert_eq!(checked.code, 0);

    // The way out, as kubectl goes it.
    let now = json!({ "kubectl.kubernetes.io/restartedAt": "2026-11-23T12:00:00Z" });
    let restart = json!({ "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null }, "template": { "metadata": { "annotations": now } } } });
    stage.merge(&format!("/apis/apps/v1/namespaces/{}/deployments/web", shop.name()), &restart).await;
    let checked = stage.check_until(&[], |checked| checked.state("pods-covered") == "ok").await;
    checked.assert("pods-covered", "ok", "Pod");
}
