//! What others forbid is not Fermata's fault, and proves nothing about it.

use serde_json::json;

use crate::{replicas::deploy, stage::Stage};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_allowed_images_is_no_fault_and_is_fulfilled_where_the_replicas_fulfil_it() {
    let stage = Stage::new().await;
    let (own, shop) = (stage.namespace(false).await, stage.namespace(true).await);
    let fermata = stage.serve("127.0.0.1").await;
    stage.register_url(&fermata).await;
    stage.check_until(&[], |checked| checked.state("pod-patched") == "ok").await;
    let name = shop.name();
    // Its answer has the HTTP status of a Pod that is not valid.
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
            },
            "validations": [{ "expression": "object.spec.containers.all(it, it.image == 'fermata/fermata:0')" }],
        },
    });
    stage.create(POLICIES, &policy).await;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    stage.create(BINDINGS, &binding).await;

    let checked = stage.check_until(&[], |checked| checked.state("pod-patched") == "skipped").await;
    checked.assert("pod-patched", "skipped", &format!("{name} takes no such Pod: "));
    checked.assert("pod-patched", "skipped", &format!("ValidatingAdmissionPolicy '{name}'"));
    assert_eq!((checked.code, checked.all("failed")), (0, vec![]));

    // Whoever says where wants a proof.
    let named = stage.check(&["--probe-namespace", name]);
    named.assert("pod-patched", "failed", "it could not be tried");
    assert_eq!(named.code, 1);

    deploy(&stage, &own, 1, 1, &["serve"]).await;
    let known = stage.check(&["--probe-namespace", name, "--namespace", own.name()]);
    known.assert("pod-patched", "ok", &format!("in {name} it gets a drain"));
    stage.delete(&format!("{BINDINGS}/{name}")).await;
    stage.delete(&format!("{POLICIES}/{name}")).await;
}
