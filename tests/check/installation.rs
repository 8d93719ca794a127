//! Installations that are well, or nearly so.

use serde_json::json;

use crate::{
    sandbox::Ran,
    stage::{Stage, base64, checked},
};

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_where_all_is_well() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    let checked = stage.check(&["--wait", "30s"]);
    assert_eq!(
        (checked.code, checked.all("failed"), checked.all("warning")),
        (0, vec![], vec![]),
        "{checked:#?}"
    );
    checked.assert(
        "pod-patched",
        "ok",
        &format!("in {} it gets a drain of 15s and a grace period of 45 s", shop.name()),
    );
    checked.assert("registration-ca-matches", "ok", "127.0.0.1:");
    checked.assert("certificate-lifetime", "ok", "left");
    checked.assert("namespaces-opted-in", "ok", shop.name());
    checked.assert("replicas-ready", "skipped", "registered by URL");
    assert_eq!(checked.document["outcome"], "ok");

    let ran = stage.run(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.starts_with("kubernetes-api\n√ the API server answers: https://127.0.0.1:"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("\nFermata is well: "), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    assert_eq!(stage.run(&["-q"]).stdout, "");
    let quiet = stage.check(&["-q"]);
    assert_eq!((quiet.code, &quiet.document["checks"]), (0, &json!([])));
    assert!(quiet.document["summary"]["ok"].as_u64().is_some_and(|ok| ok > 10), "{quiet:#?}");
    let ascii = stage
        .sandbox
        .fermata(&["check", "--kubeconfig", stage.cluster.kubeconfig_path().to_str().unwrap()])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(ascii.stdout.is_ascii(), "{}", String::from_utf8_lossy(&ascii.stdout));
    let colored = stage.run(&["--color", "always"]);
    assert!(colored.stdout.contains("\u{1b}["));
}

/// A Service that stands for another name is one that the API server can follow without a node's kube-proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_registered_service_is_judged_by_what_the_api_server_gets() {
    let stage = Stage::new().await;
    let (own, _shop) = (stage.namespace(false).await, stage.namespace(true).await);
    let name = format!("fermata.{}.svc", own.name());
    let fermata = stage.serve(&name).await;
    let port = fermata.ports().webhook;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "fermata" },
        "spec": { "type": "ExternalName", "externalName": "localhost", "ports": [{ "port": port }] },
    });
    stage.create(&format!("/api/v1/namespaces/{}/services", own.name()), &service).await;
    let target = json!({ "name": "fermata", "namespace": own.name(), "path": "/mutate", "port": port });
    stage.register("fermata", json!({ "service": target, "caBundle": base64(&stage.ca()) })).await;
    let outside = stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    outside.assert("registration-ca-matches", "ok", "the API server has got through");
    outside.assert("certificate-lifetime", "skipped", "only be called by a Pod of this cluster");
    outside.assert("replicas-reached", "ok", "stands for localhost");
    outside.assert("replicas-deployed", "failed", own.name());
    outside.assert("registration-selectors", "warning", own.name());
    assert_eq!(outside.code, 1);

    // A Pod of one cluster that has been told of another one must not look for this Service in its own.
    let kubeconfig = stage.cluster.kubeconfig_path().to_str().unwrap();
    let mut elsewhere = stage.sandbox.fermata(&["check", "-o", "json", "--kubeconfig", kubeconfig]);
    let ran = Ran::of(elsewhere.env("KUBERNETES_SERVICE_HOST", "192.0.2.1"));
    let elsewhere = checked(&ran);
    elsewhere.assert("registration-ca-matches", "ok", "the API server has got through");
    elsewhere.assert("certificate-lifetime", "skipped", "only be called by a Pod of this cluster");

    // Another namespace than that of the installation.
    let checked = stage.check(&["--namespace", "default"]);
    checked.assert(
        "registration-exists",
        "failed",
        &format!("fermata, which calls the Service fermata in {}", own.name()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_looks_again_until_it_is_well() {
    let stage = Stage::new().await;
    let _shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    let kubeconfig = stage.cluster.kubeconfig_path().to_str().unwrap();
    let mut waiting = stage
        .sandbox
        .fermata(&["check", "--wait", "60s", "-o", "json", "--kubeconfig", kubeconfig])
        .spawn()
        .unwrap();
    let checked = stage.check(&["--wait", "2s"]);
    assert_eq!((checked.code, checked.state("registration-exists")), (1, "failed"));
    assert!(waiting.try_wait().unwrap().is_none());
    stage.register_url(&fermata).await;
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_namespace_asks_for_is_told() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.code == 0).await;
    let annotate = async |value: &str| {
        let change = json!({ "metadata": { "annotations": { "fermata.dev/drain": value } } });
        stage.merge(&format!("/api/v1/namespaces/{}", shop.name()), &change).await;
    };
    annotate("soon").await;
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "warning").await;
    checked.assert("pod-patched", "warning", "\"soon\"");
    annotate("0").await;
    let checked = stage
        .check_until(&[], |checked| {
            checked.get("pod-patched")["message"].as_str().unwrap().contains("drain-zero")
        })
        .await;
    assert_eq!((checked.code, checked.state("pod-patched")), (0, "warning"));
}
