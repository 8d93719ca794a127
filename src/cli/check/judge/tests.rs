//! Findings that take more than an API server to bring about.

mod certificates;
mod damage;
mod selectors;

use std::{collections::BTreeMap, time::SystemTime};

use k8s_openapi::{
    ByteString, api::policy::v1::PodDisruptionBudget, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value, json};

use super::judge;
use crate::cli::check::{
    catalogue::Check,
    facts::{Admitted, ApiServer, Coverage, Facts, Gap, Handshake, OptedIn, Probe, Registrations, Replica},
    finding::{Finding, State},
};

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A Pod that has got its ending.
fn patched() -> Value {
    json!({
        "metadata": { "annotations": { "fermata.dev/status":
            json!({ "version": env!("CARGO_PKG_VERSION"), "gracePeriodSeconds": 45, "drain": { "app": "15s" } }).to_string() } },
        "spec": {
            "terminationGracePeriodSeconds": 45,
            "containers": [{ "name": "app", "lifecycle": { "preStop": { "sleep": { "seconds": 15 } } } }],
        },
    })
}

fn admitted(pod: Value, warnings: &[&str]) -> Probe {
    let labels = [("fermata.dev/inject", "enabled"), ("kubernetes.io/metadata.name", "shop")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Probe::Admitted(Box::new(Admitted {
        namespace: "shop".into(),
        pod,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        labels: Ok(BTreeMap::from(labels)),
    }))
}

fn replica(name: &str, node: &str, version: &str, page: Option<&str>) -> Replica {
    Replica {
        pod: typed(json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/version": version } },
            "spec": { "nodeName": node, "containers": [] },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "message": "containers with unready status" }] },
        })),
        ready_page: page.map(str::to_owned),
    }
}

/// A replica that is as it should be.
fn well(name: &str, node: &str) -> Replica {
    let mut replica = replica(name, node, env!("CARGO_PKG_VERSION"), None);
    replica.pod.status =
        typed(json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }));
    replica
}

/// An installation behind a Service, seen from outside the cluster. All is well.
pub(super) fn facts() -> Facts {
    let configuration = typed(json!({
        "metadata": { "name": "fermata" },
        "webhooks": [{
            "name": "pods.fermata.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {
                "service": { "name": "fermata", "namespace": "fermata" },
                "caBundle": ByteString(certificates::authority(-1, 99).pem().into_bytes()),
            },
            "failurePolicy": "Ignore",
            "timeoutSeconds": 5,
            "reinvocationPolicy": "IfNeeded",
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
            "namespaceSelector": {
                "matchLabels": { "fermata.dev/inject": "enabled" },
                "matchExpressions": [{
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "kube-public", "kube-node-lease", "fermata"],
                }],
            },
            "objectSelector": {
                "matchExpressions": [{ "key": "fermata.dev/inject", "operator": "NotIn", "values": ["disabled"] }],
            },
        }],
    }));
    Facts {
        now: SystemTime::now(),
        api: ApiServer { server: String::new(), git_version: "v1.36.0".into(), version: "1.36".parse().ok() },
        registrations: Ok(Registrations { candidates: vec![configuration], others: Vec::new() }),
        own_namespace: Some("fermata".into()),
        handshake: Handshake::NotTried("outside".into()),
        deployments: Some(Ok(vec![typed(json!({
            "metadata": { "name": "fermata", "generation": 3 },
            "spec": { "replicas": 2, "selector": {}, "template": { "metadata": { "labels": { "app": "fermata" } } } },
            "status": { "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2 },
        }))])),
        replicas: Some(Ok(vec![well("one", "a"), well("two", "b")])),
        budgets: Some(Ok(vec![budget(&json!({ "maxUnavailable": 1 }))])),
        service: Some(Ok(Some(typed(json!({ "spec": { "ports": [{ "port": 443 }] } }))))),
        endpoints: Some(Ok(vec![typed(
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.1"] }] }),
        )])),
        secret: None,
        opted_in: Ok(OptedIn {
            namespaces: vec![namespace("shop", &json!({})), namespace("kube-system", &json!({}))],
        }),
        probe: admitted(patched(), &[]),
        is_probe_asked_for: false,
        coverage: Some(Coverage { looked_at: 3, ..Coverage::default() }),
    }
}

/// A Namespace that has opted in, and has further labels.
fn namespace(name: &str, further: &Value) -> ObjectMeta {
    let mut labels = json!({ "fermata.dev/inject": "enabled", "kubernetes.io/metadata.name": name });
    json_patch::merge(&mut labels, further);
    typed(json!({ "name": name, "labels": labels }))
}

/// A budget of the replicas.
fn budget(spec: &Value) -> PodDisruptionBudget {
    let mut spec = spec.clone();
    spec["selector"] = json!({ "matchLabels": { "app": "fermata" } });
    typed(json!({ "metadata": { "name": "fermata" }, "spec": spec }))
}

fn find(facts: &Facts, check: Check) -> Finding {
    judge(facts).into_iter().find(|finding| finding.check == check).unwrap()
}

#[test]
fn every_check_has_one_finding_in_the_order_of_the_catalogue() {
    let checks: Vec<_> = judge(&facts()).iter().map(|finding| finding.check).collect();
    assert_eq!(checks, Check::ALL);
    let nothing = Facts {
        registrations: Err(Gap::NotPermitted("list".into())),
        deployments: None,
        replicas: None,
        own_namespace: None,
        ..facts()
    };
    assert_eq!(judge(&nothing).len(), Check::ALL.len());
    assert_eq!(super::unreachable("away").len(), Check::ALL.len());
}

#[test]
fn what_came_back_is_looked_at_and_not_only_the_status() {
    let change = |change: &dyn Fn(&mut Value)| {
        let mut pod = patched();
        change(&mut pod);
        pod
    };
    let status = |text: Value| {
        change(&|pod| {
            pod["metadata"]["annotations"]["fermata.dev/status"] = text.to_string().into();
            pod["spec"]["containers"][0]["lifecycle"] = Value::Null;
        })
    };
    for (probe, state, part) in [
        (admitted(patched(), &["mesh: injected"]), State::Ok, "a drain of 15s and a grace period of 45 s"),
        (admitted(patched(), &["fermata: no such key"]), State::Warning, "fermata: no such key"),
        (
            admitted(change(&|pod| pod["spec"]["containers"][0]["lifecycle"] = Value::Null), &[]),
            State::Failed,
            "has no preStop hook",
        ),
        (
            admitted(change(&|pod| pod["spec"]["terminationGracePeriodSeconds"] = 10.into()), &[]),
            State::Failed,
            "sleep 15 s within a grace period of 10 s",
        ),
        (
            admitted(status(json!({ "version": "0", "skipped": { "app": "needs-shim" } })), &[]),
            State::Warning,
            "no drain (needs-shim)",
        ),
        (
            admitted(change(&|pod| pod["metadata"]["annotations"] = Value::Null), &[]),
            State::Failed,
            "only the API server knows",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 422,
                message: "Pod \"fermata-check-x\" is invalid: spec.containers[0].lifecycle.preStop: Forbidden".into(),
            },
            State::Failed,
            "not valid in shop as it was changed",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 422,
                message: "pods \"fermata-check-x\" is forbidden: ValidatingAdmissionPolicy 'registries' with binding 'all' denied request: failed expression: false".into(),
            },
            State::Skipped,
            "shop takes no such Pod: pods",
        ),
        (
            Probe::Refused { namespace: "shop".into(), code: 403, message: "exceeded quota: small".into() },
            State::Skipped,
            "exceeded quota",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 400,
                message: "admission webhook \"pods.fermata.dev\" denied the request".into(),
            },
            State::Failed,
            "denied the request",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 403,
                message: "error looking up service account shop/default".into(),
            },
            State::Failed,
            "no Pod can be created in shop",
        ),
        (
            Probe::NoAnswer { namespace: "shop".into(), error: "nothing within 15 s".into() },
            State::Failed,
            "nothing within 15 s",
        ),
    ] {
        let finding = find(&Facts { probe, ..facts() }, Check::PodPatched);
        assert!(finding.state == state && finding.message.contains(part), "{part}: {finding:?}");
    }
}

#[test]
fn a_service_without_pods_explains_an_unchanged_pod() {
    let mut pod = patched();
    pod["metadata"]["annotations"] = Value::Null;
    let facts = Facts { probe: admitted(pod, &[]), endpoints: Some(Ok(Vec::new())), ..facts() };
    let finding = find(&facts, Check::PodPatched);
    assert!(finding.message.ends_with("failurePolicy is Ignore: the Service leads to no Pod"), "{finding:?}");
    let finding = find(&facts, Check::ReplicasReached);
    assert_eq!(finding.state, State::Failed, "{finding:?}");
}

#[test]
fn a_port_that_the_service_does_not_have_is_named() {
    let service = typed(json!({ "spec": { "ports": [{ "port": 8443 }] } }));
    let finding = find(&Facts { service: Some(Ok(Some(service))), ..facts() }, Check::ReplicasReached);
    assert!(finding.message.contains("no port 443"), "{finding:?}");
}

#[test]
fn versions_are_compared_with_what_runs() {
    let own = env!("CARGO_PKG_VERSION");
    for (one, two, state, part) in [
        (own, own, State::Ok, own),
        ("0.0.9", own, State::Warning, "0.0.9, "),
        ("9.0.0", "9.0.0", State::Warning, "and this program of"),
    ] {
        let replicas = vec![replica("one", "a", one, None), replica("two", "b", two, None)];
        let finding = find(&Facts { replicas: Some(Ok(replicas)), ..facts() }, Check::ReplicasVersion);
        assert!(finding.state == state && finding.message.contains(part), "{one} {two}: {finding:?}");
    }
}

#[test]
fn replicas_speak_for_themselves() {
    let page = "[+]tls ok\n[-]authority failed: secrets is forbidden\n[-]registration failed: no authority\nnot ready\n";
    let replicas = vec![replica("one", "a", "", Some(page)), replica("two", "a", "", None)];
    let mut facts = Facts { replicas: Some(Ok(replicas)), ..facts() };
    if let Some(Ok(deployments)) = &mut facts.deployments {
        deployments[0].status = typed(
            json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1 }),
        );
    }
    let finding = find(&facts, Check::ReplicasReady);
    assert_eq!(finding.state, State::Warning);
    for part in
        ["1 of 2 ready", "one: authority failed: secrets is forbidden", "two: containers with unready status"]
    {
        assert!(finding.message.contains(part), "{finding:?}");
    }
    let finding = find(&facts, Check::CaMatches);
    assert!(
        finding.state == State::Failed && finding.message == "replica one says: no authority",
        "{finding:?}"
    );
    let finding = find(&facts, Check::ReplicasSpread);
    assert!(finding.state == State::Warning && finding.message == "all on a", "{finding:?}");
}

#[test]
fn a_budget_that_lets_nothing_go_is_told_from_a_good_one() {
    for (spec, state) in [
        (json!({ "maxUnavailable": 1 }), State::Ok),
        (json!({ "maxUnavailable": 0 }), State::Warning),
        (json!({ "maxUnavailable": "0%" }), State::Warning),
        (json!({ "minAvailable": 1 }), State::Ok),
        (json!({ "minAvailable": 2 }), State::Warning),
        (json!({ "minAvailable": "50%" }), State::Ok),
        (json!({ "minAvailable": "51%" }), State::Warning),
    ] {
        let budgets = Some(Ok(vec![budget(&spec)]));
        let finding = find(&Facts { budgets, ..facts() }, Check::ReplicasBudget);
        assert_eq!(finding.state, state, "{spec}: {finding:?}");
    }
}

#[test]
fn labels_on_namespaces_that_are_never_touched_count_for_nothing() {
    let finding = find(&facts(), Check::NamespacesOptedIn);
    assert_eq!((finding.state, finding.message.as_str()), (State::Ok, "1 (shop)"));
    let namespaces = vec![namespace("fermata", &json!({}))];
    let facts = Facts { opted_in: Ok(OptedIn { namespaces }), ..facts() };
    let finding = find(&facts, Check::NamespacesOptedIn);
    assert!(finding.state == State::Warning && finding.message.contains("never touched"), "{finding:?}");
}

#[test]
fn namespaces_for_whose_pods_there_was_no_time_are_named() {
    let unseen = vec!["shop".to_owned(), "yard".to_owned()];
    let coverage = Some(Coverage { looked_at: 30_000, unseen, ..Coverage::default() });
    let finding = find(&Facts { coverage, ..facts() }, Check::PodsCovered);
    let message = "30000 Pods; there was no time for those of 2 Namespaces (shop, yard)";
    assert_eq!((finding.state, finding.message.as_str()), (State::Warning, message));
    let column = "STATUS:.metadata.annotations.fermata\\.dev/status";
    assert!(finding.hint.as_ref().is_some_and(|hint| hint.contains(column)), "{finding:?}");
}

#[test]
fn a_replica_that_answers_and_is_not_well_is_told() {
    let page = "[+]tls ok\n[-]config degraded: no such key: drian; the earlier settings still count\nready\n";
    let replicas = ["one", "two"].map(|name| Replica { ready_page: Some(page.into()), ..well(name, name) });
    let finding = find(&Facts { replicas: Some(Ok(replicas.into())), ..facts() }, Check::ReplicasReady);
    assert_eq!(
        (finding.state, finding.message.as_str()),
        (
            State::Warning,
            "2 of 2 ready; config degraded: no such key: drian; the earlier settings still count (says one, two)"
        )
    );
}

#[test]
fn replicas_of_an_earlier_revision_do_not_hide_one_that_never_starts() {
    let latest = || replica("new", "a", "", None);
    for (status, part) in [
        (
            json!({ "observedGeneration": 3, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2 }),
            "2 of 2 ready; only 1 of the latest revision; new: containers with unready status",
        ),
        (
            json!({ "observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2 }),
            "2 of 2 ready; 1 of an earlier revision",
        ),
        (
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2 }),
            "not acted upon yet",
        ),
        (
            json!({
                "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
                "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                    "message": "ReplicaSet \"fermata-6\" has timed out progressing." }],
            }),
            "has timed out progressing",
        ),
    ] {
        let mut facts =
            Facts { replicas: Some(Ok(vec![well("one", "a"), well("two", "b"), latest()])), ..facts() };
        if let Some(Ok(deployments)) = &mut facts.deployments {
            deployments[0].status = typed(status);
        }
        let finding = find(&facts, Check::ReplicasReady);
        assert!(finding.state == State::Warning && finding.message.contains(part), "{part}: {finding:?}");
    }
    // One that a node has evicted is listed until somebody deletes it.
    let replicas = Some(Ok(vec![well("one", "a"), well("two", "b"), latest()]));
    let finding = find(&Facts { replicas, ..facts() }, Check::ReplicasReady);
    assert_eq!((finding.state, finding.message.as_str()), (State::Ok, "2 of 2 ready"));
}

#[test]
fn what_somebody_wants_to_know_may_not_stay_unknown() {
    for probe in [
        Probe::NoNamespace,
        Probe::NotPermitted { namespaces: vec!["shop".into()], reason: "cannot create".into() },
        Probe::Refused { namespace: "shop".into(), code: 403, message: "exceeded quota: small".into() },
    ] {
        let mut facts = Facts { probe, ..facts() };
        assert_eq!(find(&facts, Check::PodPatched).state, State::Skipped);
        facts.is_probe_asked_for = true;
        let finding = find(&facts, Check::PodPatched);
        assert!(finding.state == State::Failed && finding.hint.is_some(), "{finding:?}");
    }
}
