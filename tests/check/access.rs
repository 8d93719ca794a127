//! What `check` may look at, and what becomes of it where it may not.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::stage::{Rights, Stage, checked};

#[tokio::test(flavor = "multi_thread")]
async fn without_permissions_nothing_is_known_and_nothing_fails() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let kubeconfig = stage.account(shop.name(), &[]).await;
    let unnamed = checked(&stage.run_as(&kubeconfig, &["-o", "json", "-n", shop.name()]));
    assert_eq!(unnamed.code, 0);
    assert_eq!(unnamed.all("ok"), ["api-reachable", "api-version"]);
    assert!(unnamed.all("failed").is_empty() && unnamed.all("warning").is_empty(), "{unnamed:#?}");
    unnamed.assert("registration-exists", "skipped", "not permitted: list mutatingwebhookconfigurations");
    unnamed.assert("pod-patched", "skipped", "the opted-in Namespaces are not known");
    let hint = unnamed.get("replicas-deployed")["hint"].as_str().unwrap();
    assert!(hint.contains("list deployments"), "{hint}");
    let ran = stage.run_as(&kubeconfig, &["-n", shop.name()]);
    assert!(ran.stdout.contains("\nNothing is known to be wrong: 2 ok, "), "{}", ran.stdout);

    // Whoever says where wants to know.
    let words = ["-o", "json", "--probe-namespace", shop.name(), "-n", shop.name()];
    let named = checked(&stage.run_as(&kubeconfig, &words));
    assert_eq!((named.code, named.all("failed")), (1, vec!["pod-patched"]));
    named.assert("pod-patched", "failed", "cannot create resource \"pods\"");
}

/// What the chart gives to `helm test`.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let stage = Stage::new().await;
    let shop = stage.namespace(true).await;
    let own = stage.namespace(false).await;
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    let rights = [
        Rights {
            namespace: None,
            rules: json!([
                { "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"], "verbs": ["list"] },
                { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"] },
            ]),
        },
        Rights {
            namespace: Some(own.name()),
            rules: json!([
                { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"] },
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
                { "apiGroups": [""], "resources": ["pods/proxy", "services"], "verbs": ["get"] },
                { "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list"] },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"] },
            ]),
        },
        Rights {
            namespace: Some(shop.name()),
            rules: json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["create", "list"] }]),
        },
    ];
    let kubeconfig = stage.account(own.name(), &rights).await;
    let ran = stage.run_as(
        &kubeconfig,
        &["-o", "json", "-n", own.name(), "--probe-namespace", shop.name(), "--wait", "30s"],
    );
    let checked = checked(&ran);
    assert_eq!((checked.code, checked.all("failed")), (0, vec![]), "{checked:#?}");
    assert!(!ran.stdout.contains("not permitted"), "{}", ran.stdout);
    assert_eq!(checked.state("pod-patched"), "ok");
    assert_eq!(checked.state("pods-covered"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_is_one_clear_line() {
    let stage = Stage::new().await;
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listening.local_addr().unwrap().port();
    let kubeconfig = stage.kubeconfig(&format!("https://127.0.0.1:{port}"), &json!({}));
    // Connections are taken by the kernel, and never answered.
    let began = Instant::now();
    let ran = stage.run_as(&kubeconfig, &["-o", "json"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let silent = checked(&ran);
    silent.assert("api-reachable", "failed", "no answer within");
    drop(listening);
    let ran = stage.run_as(&kubeconfig, &["-o", "json"]);
    let refused = checked(&ran);
    refused.assert("api-reachable", "failed", "refused");
    for checked in [silent, refused] {
        assert_eq!((checked.code, checked.all("failed")), (1, vec!["api-reachable"]));
        checked.assert("pod-patched", "skipped", "not run");
    }
    let wrong = stage.kubeconfig(stage.cluster.server_url(), &json!({ "token": "forged" }));
    let checked = checked(&stage.run_as(&wrong, &["-o", "json"]));
    checked.assert("api-reachable", "failed", "Unauthorized");
}
