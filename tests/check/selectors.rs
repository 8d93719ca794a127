//! What an operator asks of Namespaces and Pods by the chart's values.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn narrower_selectors_are_well_and_are_kept_to() {
    let stage = Stage::new().await;
    let (shop, other) = (stage.namespace(true).await, stage.namespace(true).await);
    for namespace in [&shop, &other] {
        for app in ["web", "db"] {
            let pod = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": app, "labels": { "app": app } },
                "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
            });
            stage.create(&format!("/api/v1/namespaces/{}/pods", namespace.name()), &pod).await;
        }
    }
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    let narrow = json!({
        "namespaceSelector": { "matchLabels": { "team": "a" } },
        "objectSelector": { "matchLabels": { "app": "web" } },
    });
    stage.change("fermata", &narrow).await;

    // None of the two fulfils it yet.
    let checked = stage.check(&[]);
    checked.assert(
        "registration-selectors",
        "ok",
        "only Namespaces with team=a, and there only Pods with app=web",
    );
    checked.assert("namespaces-opted-in", "warning", "namespaceSelector leaves out");
    checked.assert("pod-patched", "skipped", "namespaceSelector leaves out");
    checked.assert("pods-covered", "skipped", "no Namespace takes part");
    assert_eq!((checked.code, checked.all("failed")), (0, vec![]));

    // The way out, which is said for one of them.
    let hint = checked.get("namespaces-opted-in")["hint"].as_str().unwrap();
    stage.paste(hint);
    let is_shop = hint.contains(&format!("namespace {} ", shop.name()));
    let (taken, left) = if is_shop { (&shop, &other) } else { (&other, &shop) };
    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    checked.assert("pod-patched", "ok", &format!("in {} it gets", taken.name()));
    checked.assert("namespaces-opted-in", "ok", &format!("1 ({}); the registered", taken.name()));
    let missed = format!("1 of 1 Pod without, such as {}/web, in {}:", taken.name(), taken.name());
    checked.assert("pods-covered", "warning", &missed);

    let named = stage.check(&["--probe-namespace", left.name()]);
    let reason = format!("namespaceSelector leaves {} out, by what it asks of team", left.name());
    named.assert("pod-patched", "failed", &reason);
    assert_eq!(named.code, 1);
}
